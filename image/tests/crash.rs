//! The program is killed wherever it hurts, and run again.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "tests"
)]

#[path = "common/archive.rs"]
mod archive;
#[path = "common/images.rs"]
mod images;
#[path = "common/program.rs"]
mod program;

use archive::{Item, archive};
use images::docker;
use program::Place;
use serde_json::json;

fn image(place: &Place) {
    let layers = [
        archive(&[Item::directory("d"), Item::file("d/old", "old"), Item::file("f", "one")]),
        archive(&[Item::file("d/.wh..wh..opq", ""), Item::file("d/new", "new"), Item::file("f", "two")]),
    ];
    place.write(
        "local/abc:latest.tar",
        &archive(&docker(&["abc:latest"], &json!({"Cmd": ["/bin/x"]}), &layers)),
    );
}

/// Killed by SIGKILL, and not for another reason.
fn dies(place: &Place, fault: &str, words: &[&str]) {
    let ran = place.run_with(&[("MAINSTAY_IMAGE_FAULT", fault)], words);
    assert_eq!(ran.signal, Some(9), "{fault}: {}", ran.err);
}

#[test]
fn an_import_that_is_killed_at_any_step_leaves_nothing_half_done() {
    for fault in [
        "described",
        "layer-unpacked",
        "file-staged",
        "layer-synced",
        "layer-complete",
        "layers-complete",
        "image-complete",
    ] {
        let Some(place) = Place::new() else { return };
        image(&place);
        dies(&place, fault, &["import", "abc"]);
        place.good(&["verify"]);
        // What it left is thrown away by whoever looks, and is no hindrance if nobody does.
        let listed = place.good(&["list", "--json"]);
        assert_eq!(listed.contains("abc"), fault == "image-complete", "{fault}");
        let again = place.good(&["import", "abc"]);
        assert!(again.starts_with("docker:///abc:latest sha256:"), "{fault}: {again}");
        place.good(&["recover"]);
        assert_eq!(place.names("store/staging"), Vec::<String>::new(), "{fault}");
        let swept = place.good(&["gc"]);
        assert!(swept.starts_with("0 layers"), "{fault}: {swept}");
        place.good(&["verify"]);
        assert_eq!(place.names("store/layers").len(), 2, "{fault}");
    }
}

#[test]
fn a_root_whose_making_is_killed_at_any_step_is_known_and_goes() {
    for fault in ["root-recorded", "root-made", "file-staged", "root-complete"] {
        let Some(place) = Place::new() else { return };
        image(&place);
        place.good(&["import", "abc"]);
        dies(&place, fault, &["provision", "abc", "--container", "c", "--writable"]);
        // Its layers are in use from the first moment on.
        if fault != "file-staged" {
            place.good(&["remove", "abc"]);
            assert!(place.good(&["gc"]).starts_with("0 layers"), "{fault}");
            place.good(&["import", "abc"]);
        }
        let made = place.good(&["provision", "abc", "--container", "c"]);
        assert_eq!(place.read_at(made.trim(), "f"), "two");
        assert!(place.mounts() <= 3, "{fault}");
        let recovered = place.good(&["recover"]);
        assert_eq!(recovered, "destroyed: c\n", "{fault}");
        assert_eq!((place.mounts(), place.names("containers")), (1, vec![]), "{fault}");
    }
}

#[test]
fn a_destroy_that_is_killed_at_any_step_is_finished_by_the_next() {
    for fault in ["root-destroyed", "roots-destroyed"] {
        let Some(place) = Place::new() else { return };
        image(&place);
        place.good(&["provision", "abc", "--container", "c/d"]);
        place.good(&["provision", "abc", "--container", "c"]);
        dies(&place, fault, &["destroy", "c"]);
        place.good(&["destroy", "c"]);
        assert_eq!((place.mounts(), place.names("containers")), (1, vec![]), "{fault}");
        assert_eq!(place.run(&["destroy", "c"]).code, Some(3));
    }
}

#[test]
fn a_gc_that_is_killed_at_any_step_takes_nothing_that_is_needed() {
    for fault in ["gc-marked", "gc-moved"] {
        let Some(place) = Place::new() else { return };
        image(&place);
        place.good(&["import", "abc"]);
        let lone = archive(&docker(&["lone:1"], &json!({}), &[archive(&[Item::file("lone", "")])]));
        place.write("lone.tar", &lone);
        place.good(&["import", &place.path("lone.tar")]);
        place.good(&["remove", "lone:1"]);
        dies(&place, fault, &["gc"]);
        place.good(&["verify"]);
        place.good(&["gc"]);
        assert_eq!((place.names("store/layers").len(), place.names("store/gc").len()), (2, 0), "{fault}");
        place.good(&["verify"]);
    }
}

/// The lock of a process that was killed is nobody's.
#[test]
fn whoever_waits_for_an_import_that_is_killed_does_it() {
    let Some(place) = Place::new() else { return };
    image(&place);
    let first = place.start(&[("MAINSTAY_IMAGE_FAULT", "layers-complete")], &["import", "abc"]);
    let second = place.start(&[], &["import", "abc"]);
    let (first, second) = (place.end(first), place.end(second));
    // Whichever came first.
    assert!(first.signal == Some(9) || first.code == Some(0), "{}", first.err);
    assert_eq!(second.code, Some(0), "{}", second.err);
    place.good(&["verify"]);
}
