//! Where a redirection leads, and whom one may tell there who we are.

/// The scheme and the authority of an address, such as `https` and `host:443`.
#[must_use]
pub fn origin(url: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    (matches!(scheme, "http" | "https") && !authority.is_empty()).then_some((scheme, authority))
}

/// Whether two addresses are of the same host and port by the same scheme: nobody else hears of our credentials.
#[must_use]
pub fn same_origin(one: &str, other: &str) -> bool {
    match (origin(one), origin(other)) {
        (Some((one, a)), Some((other, b))) => one == other && a.eq_ignore_ascii_case(b),
        _ => false,
    }
}

/// The address that the header `Location` of an answer means (RFC 9110, section 10.2.2).
///
/// None is one that is not followed: of another scheme, or with a name and a password in it.
#[must_use]
pub fn follow(base: &str, location: &str) -> Option<String> {
    let (scheme, authority) = origin(base)?;
    let location = location.split('#').next()?;
    let target = if location.contains("://") && origin(location).is_some() {
        location.to_owned()
    } else if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else if location.is_empty() || location.split(['/', '?']).next()?.contains(':') {
        return None;
    } else {
        // Beside what was asked for.
        let path = base.split(['?', '#']).next()?;
        let directory = path.rfind('/').filter(|at| *at >= scheme.len() + 3 + authority.len());
        match directory.and_then(|at| path.get(..=at)) {
            Some(directory) => format!("{directory}{location}"),
            None => format!("{scheme}://{authority}/{location}"),
        }
    };
    let (_, authority) = origin(&target)?;
    (!authority.contains('@')).then_some(target)
}

/// Text as the value of a query: everything but unreserved letters is escaped (RFC 3986, section 2.1).
#[must_use]
pub fn escape(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn redirections_lead_where_they_say() {
        let base = "https://r.example:5000/v2/a/blobs/sha256:0?x=http://y/";
        let to = |location| follow(base, location).unwrap();
        assert_eq!(to("https://cdn.example/x?y=z"), "https://cdn.example/x?y=z");
        assert_eq!(to("//cdn.example/x"), "https://cdn.example/x");
        assert_eq!(to("/x?to=http://z/#part"), "https://r.example:5000/x?to=http://z/");
        assert_eq!(to("x"), "https://r.example:5000/v2/a/blobs/x");
        assert_eq!(follow("http://h", "x").unwrap(), "http://h/x");
        for bad in
            ["", "ftp://h/x", "file:///etc/passwd", "javascript:x", "https://u:p@h/", "https:///x", "//"]
        {
            assert_eq!(follow(base, bad), None, "{bad}");
        }
    }

    #[test]
    fn another_port_or_scheme_is_somebody_else() {
        assert!(same_origin("https://A.example/x", "https://a.example/y"));
        assert!(!same_origin("https://a.example/", "http://a.example/"));
        assert!(!same_origin("https://a.example/", "https://a.example:444/"));
        assert!(!same_origin("https://a.example/", "https://a.example.evil/"));
    }

    #[test]
    fn a_scope_is_escaped() {
        assert_eq!(escape("repository:a/b:pull&x ü"), "repository%3Aa%2Fb%3Apull%26x%20%C3%BC");
    }

    proptest! {
        #[test]
        fn whatever_the_location_is_it_is_an_address_of_the_web_or_none(location in "[a-z:/@?#.]{0,30}") {
            if let Some(url) = follow("https://h/a", &location) {
                prop_assert!(origin(&url).is_some());
            }
        }
    }
}
