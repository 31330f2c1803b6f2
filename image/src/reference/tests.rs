//! What is a reference, what two of them have in common, and what is none.
#![allow(clippy::wildcard_enum_match_arm, clippy::type_complexity, reason = "tables of cases")]

use super::*;
use proptest::prelude::*;

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn docker(text: &str) -> Docker {
    match text.parse().unwrap() {
        Reference::Docker(docker) => docker,
        other => panic!("{text} is {other:?}"),
    }
}

/// The forms that Mesos's tests have, and those of the seeds of this program.
#[test]
fn docker_references_are_taken_apart() {
    let rows: [(&str, Option<&str>, &str, Option<&str>, bool); 14] = [
        ("library/busybox", None, "busybox", Some("latest"), false),
        ("busybox", None, "busybox", Some("latest"), false),
        ("library/busybox:tag", None, "busybox", Some("tag"), false),
        ("library/busybox@DIGEST", None, "busybox", None, true),
        ("registry.io/library/busybox", Some("registry.io"), "library/busybox", Some("latest"), false),
        ("registry.io/library/busybox:tag", Some("registry.io"), "library/busybox", Some("tag"), false),
        ("registry.io:80/library/busybox:tag", Some("registry.io:80"), "library/busybox", Some("tag"), false),
        ("registry.io:80/library/busybox@DIGEST", Some("registry.io:80"), "library/busybox", None, true),
        ("localhost/a", Some("localhost"), "a", Some("latest"), false),
        ("docker:///ubuntu:13.04", None, "ubuntu", Some("13.04"), false),
        ("docker://ubuntu:13.04", None, "ubuntu", Some("13.04"), false),
        ("docker://my.registry.com/foo/bar:tag", Some("my.registry.com"), "foo/bar", Some("tag"), false),
        ("docker.io/library/ubuntu:1@DIGEST", None, "ubuntu", None, true),
        ("foo/bar__baz/a-b--c.d", None, "foo/bar__baz/a-b--c.d", Some("latest"), false),
    ];
    for (text, registry, repository, tag, digest) in rows {
        let found = docker(&text.replace("DIGEST", DIGEST));
        let shown = (
            found.registry.as_deref(),
            found.repository.as_str(),
            found.tag.as_deref(),
            found.digest.is_some(),
        );
        assert_eq!(shown, (registry, repository, tag, digest), "{text}");
    }
}

#[test]
fn what_means_the_same_is_equal() {
    for (one, other) in [
        ("abc", "abc:latest"),
        ("docker.io/library/abc", "docker:///abc"),
        ("docker:abc:1", "docker://abc:1"),
        ("appc:a/b:1,os=linux", "appc:a/b,os=linux,version=1"),
    ] {
        assert_eq!(one.parse::<Reference>().unwrap(), other.parse().unwrap());
    }
    assert_ne!("r.io/library/abc".parse::<Reference>().unwrap(), "r.io/abc".parse().unwrap());
}

#[test]
fn mistakes_are_refused_with_a_reason() {
    let long = "a".repeat(256);
    for (text, reason) in [
        ("", "it is empty"),
        ("docker://", "a name is missing"),
        ("docker:///", "a name is missing"),
        ("a@b@c", "more than one \"@\""),
        (&format!("a@{DIGEST}@{DIGEST}"), "more than one \"@\""),
        ("a@sha256:00", "is no sha256 digest"),
        ("Ubuntu", "upper-case"),
        ("a/../b", "cannot be a part"),
        ("../a", "not the name of a host"),
        ("a//b", "empty"),
        ("a/", "empty"),
        ("docker:////etc/passwd", "empty"),
        ("a:", "its tag is empty"),
        ("a:.b", "cannot be a tag"),
        ("a:b c", "cannot be a tag"),
        ("a b", "cannot be a part"),
        ("r.io:0/a", "port"),
        ("r.io:80:80/a", "host"),
        ("r.io:x80/a", "port"),
        ("-r.io/a", "host"),
        (&long, "too long"),
        ("ftp://a", "no kind of image"),
        ("appc:", "a name is missing"),
        ("appc:a/../b", "cannot be the name"),
        ("appc:A", "cannot be the name"),
        ("appc:a,version", "is no label"),
        ("appc:a,version=", "cannot be the value"),
        ("appc:a,version=../../b", "cannot be the value"),
        ("appc:a:1,version=2", "twice"),
        ("appc:a,id=sha512-0", "no sha512 digest"),
        ("appc:a,id=sha256-0", "begins with sha512-"),
        ("oci:", "a path is missing"),
        ("oci::tag", "a path is missing"),
        ("oci:../x", "\"..\""),
        ("oci:a:b c", "tag"),
    ] {
        let error = text.parse::<Reference>().expect_err(text);
        assert!(error.to_string().contains(reason), "{text}: {error}");
        assert_eq!(error.kind == Kind::Usage, !error.to_string().contains("digest"), "{text}");
    }
}

#[test]
fn layouts_have_a_path_and_may_have_a_tag() {
    let layout = |text: &str| match text.parse().unwrap() {
        Reference::Oci(layout) => (layout.path, layout.tag, layout.digest.is_some()),
        other => panic!("{other}"),
    };
    assert_eq!(layout("oci:/srv/a:1.0"), ("/srv/a".to_owned(), Some("1.0".to_owned()), false));
    assert_eq!(layout("oci:a/b"), ("a/b".to_owned(), None, false));
    assert_eq!(layout(&format!("oci:a:x@{DIGEST}")), ("a".to_owned(), None, true));
}

proptest! {
    #[test]
    fn a_reference_comes_back_from_what_is_shown_of_it(
        host in proptest::option::of("[a-z]{1,5}\\.[a-z]{2}(:[1-9][0-9]{0,3})?"),
        parts in proptest::collection::vec("[a-z0-9]{1,4}([._-][a-z0-9]{1,3})?", 1..4),
        tag in proptest::option::of("[A-Za-z0-9_][A-Za-z0-9_.-]{0,8}"),
        digest in any::<bool>(),
    ) {
        let mut text = host.map(|host| format!("{host}/")).unwrap_or_default() + &parts.join("/");
        if let Some(tag) = tag {
            text = format!("{text}:{tag}");
        }
        if digest {
            text = format!("{text}@{DIGEST}");
        }
        let reference: Reference = text.parse().unwrap();
        prop_assert_eq!(reference.to_string().parse::<Reference>().unwrap(), reference);
    }

    #[test]
    fn whatever_is_accepted_is_shown_as_what_is_accepted_again(text in "(docker:|appc:|oci:)?[a-z./:@,=_ A-Z0-9-]{0,24}") {
        if let Ok(reference) = text.parse::<Reference>() {
            let shown = reference.to_string();
            prop_assert_eq!(shown.parse::<Reference>().unwrap(), reference);
            prop_assert!(!shown.split('/').any(|part| part == ".."));
        }
    }
}
