//! What a registry asks for when it says 401: the header `WWW-Authenticate` (RFC 9110, section 11.6.1).

/// How to prove who one is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// A token, from somewhere else.
    Bearer {
        /// Where it is given.
        realm: String,
        /// For whom.
        service: Option<String>,
        /// For what.
        scope: Option<String>,
    },
    /// Name and password.
    Basic,
}

/// Reads a header; of several challenges, the first that we can meet, a token first.
#[must_use]
pub fn parse(header: &str) -> Option<Challenge> {
    let challenges = split(header);
    let bearer = challenges.iter().find(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    if let Some((_, parameters)) = bearer {
        let find =
            |name: &str| parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        if let Some(realm) = find("realm") {
            return Some(Challenge::Bearer { realm, service: find("service"), scope: find("scope") });
        }
    }
    challenges.iter().any(|(scheme, _)| scheme.eq_ignore_ascii_case("basic")).then_some(Challenge::Basic)
}

/// The schemes of a header, each with its parameters.
fn split(header: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut challenges: Vec<(String, Vec<(String, String)>)> = Vec::new();
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let end = rest.find([' ', '\t', ',', '=']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word.is_empty() {
            return challenges;
        }
        match (after.trim_start().strip_prefix('='), challenges.last_mut()) {
            (Some(value), Some((_, parameters))) => {
                let (value, after) = unquote(value.trim_start());
                parameters.push((word.to_ascii_lowercase(), value));
                rest = after;
            }
            // A value of nothing: it is no header that we understand.
            (Some(_), None) => return challenges,
            (None, _) => {
                challenges.push((word.to_owned(), Vec::new()));
                rest = after;
            }
        }
    }
}

/// Takes a token or a quoted string from the front.
fn unquote(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = text.split_at(text.find([',', ' ', '\t']).unwrap_or(text.len()));
        return (value.to_owned(), rest);
    };
    let mut value = String::new();
    let mut letters = quoted.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (value, quoted.get(at.saturating_add(1)..).unwrap_or("")),
            '\\' => value.extend(letters.next().map(|(_, next)| next)),
            other => value.push(other),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Option<Challenge> {
        let own = |text: Option<&str>| text.map(str::to_owned);
        Some(Challenge::Bearer { realm: realm.to_owned(), service: own(service), scope: own(scope) })
    }

    #[test]
    fn a_token_is_asked_for_with_realm_service_and_scope() {
        let header = r#"Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a/b:pull,push""#;
        let expected =
            bearer("https://auth.example/token", Some("registry.example"), Some("repository:a/b:pull,push"));
        assert_eq!(parse(header), expected);
        assert_eq!(parse(r#"bearer  Realm = "x" , SERVICE=y"#), bearer("x", Some("y"), None));
        assert_eq!(parse(r#"Bearer realm="a\"b""#), bearer("a\"b", None, None));
    }

    #[test]
    fn of_several_the_token_is_taken_and_what_is_unknown_is_passed_over() {
        assert_eq!(parse(r#"Basic realm="x", Bearer realm="y""#), bearer("y", None, None));
        assert_eq!(parse(r#"Negotiate, Basic realm="a, Bearer b""#), Some(Challenge::Basic));
        assert_eq!(parse("Bearer service=x"), None);
        assert_eq!(parse("Negotiate abc=="), None);
        assert_eq!(parse(""), None);
    }

    proptest! {
        #[test]
        fn whatever_the_header_is_it_is_read_to_its_end(header in "[ -~]{0,60}|[a-z=\", \\\\]{0,60}|.{0,20}") {
            let _ = parse(&header);
        }
    }
}
