//! What images are called, as far as a definition can be wrong about it. What a reference means in full the
//! provisioner decides; whatever is refused here it refuses too.

use crate::definition::Volume;

/// The longest reference.
const LONGEST: usize = 1024;

/// Whether this may be the reference of an image: `docker://ubuntu:13.04`, `oci:NAME:TAG`, `appc:NAME,version=1`, or
/// one of Docker's without a scheme.
///
/// # Errors
/// What is wrong with it.
pub fn check(text: &str) -> Result<(), String> {
    let shown = text.escape_debug();
    let wrong = |what: &str| Err(format!("\"{shown}\" is no reference of an image: {what}"));
    if text.is_empty() {
        return wrong("it is empty");
    }
    if text.len() > LONGEST {
        return Err("the reference of an image is too long".to_owned());
    }
    if text.chars().any(|letter| letter.is_control() || letter.is_whitespace()) {
        return wrong("it has a space or a control character");
    }
    if let Some(rest) = text.strip_prefix("appc:") {
        return if name(rest).is_empty() { wrong("a name is missing") } else { Ok(()) };
    }
    if let Some(rest) = text.strip_prefix("oci:") {
        let path = rest.split(['@', ':']).next().unwrap_or_default();
        return match path {
            "" => wrong("a path is missing"),
            path if path.split('/').any(|part| part == "..") => wrong("\"..\" is not allowed in its path"),
            _ => Ok(()),
        };
    }
    let rest = match text.split_once("://") {
        Some(("docker", rest)) => rest.trim_start_matches('/'),
        Some(_) => return wrong("docker://, appc: and oci: are known"),
        None => text.strip_prefix("docker:").unwrap_or(text),
    };
    let (rest, digest) = rest.split_once('@').map_or((rest, None), |(rest, digest)| (rest, Some(digest)));
    if digest.is_some_and(|digest| digest.split_once(':').is_none_or(|(_, hex)| hex.len() < 32)) {
        return wrong("its digest is none");
    }
    let last = rest.rsplit('/').next().unwrap_or_default();
    let (last, tag) = last.split_once(':').map_or((last, None), |(last, tag)| (last, Some(tag)));
    if tag.is_some_and(|tag| tag.is_empty() || tag.len() > 128) {
        return wrong("its tag is none");
    }
    if last.is_empty() || rest.split('/').any(str::is_empty) {
        return wrong("a name is missing");
    }
    if last.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return wrong("its name has capital letters");
    }
    Ok(())
}

/// The name before the labels of an App Container Image.
fn name(text: &str) -> &str {
    text.split(',').next().unwrap_or_default()
}

/// `SOURCE:TARGET`, with `:ro` or `:rw`.
#[must_use]
pub fn volume(text: &str) -> Option<Volume> {
    let (text, writable) = match text.strip_suffix(":ro") {
        Some(text) => (text, false),
        None => (text.strip_suffix(":rw").unwrap_or(text), true),
    };
    let (source, target) = text.split_once(':')?;
    let filled = !source.is_empty() && !target.is_empty() && !target.contains(':');
    filled.then(|| Volume { source: source.to_owned(), target: target.to_owned(), writable, image: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_that_cannot_be_are_told_from_those_that_may() {
        for text in [
            "ubuntu",
            "docker:///ubuntu:13.04",
            "docker://my.registry.com:5000/foo/bar:tag",
            "localhost:1234/a@sha256:0000000000000000000000000000000000000000000000000000000000000000",
            "oci:/var/lib/images/a:1",
            "oci:a",
            "appc:example.com/app,version=1.0",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
        for text in [
            "",
            "a b",
            "http://x/y",
            "oci:",
            "oci:../x",
            "appc:,version=1",
            "a:",
            "Ubuntu",
            "a@x",
            "a//b",
            "docker://",
        ] {
            assert!(check(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_volume_is_two_paths() {
        let parts = |text| volume(text).map(|found| (found.source, found.target, found.writable));
        assert_eq!(parts("/a:/b"), Some(("/a".to_owned(), "/b".to_owned(), true)));
        assert_eq!(parts("/a:/b:ro"), Some(("/a".to_owned(), "/b".to_owned(), false)));
        assert_eq!(parts("/a"), None);
        assert_eq!(parts("/a:/b:/c"), None);
    }
}
