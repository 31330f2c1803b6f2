//! A disk that is too small at every write, and things that people do to a store.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

#[path = "common/archive.rs"]
mod archive;
#[path = "common/images.rs"]
mod images;
#[path = "common/program.rs"]
mod program;

use archive::{Item, archive};
use images::docker;
use nix::mount::{MsFlags, mount};
use program::Place;
use serde_json::json;
use std::path::Path;

/// An archive of two layers.
fn save(place: &Place, name: &str) {
    let layers = [
        archive(&[Item::file("d/a", "1"), Item::file("big", &"x".repeat(20_000))]),
        archive(&[Item::file("d/.wh.a", ""), Item::file("d/b", &"y".repeat(9_000))]),
    ];
    place.write(&format!("local/{name}.tar"), &archive(&docker(&[name], &json!({}), &layers)));
}

/// Mounts a disk over a directory of the place, or gives it another size.
fn disk(place: &Place, name: &str, options: &str, again: bool) {
    std::fs::create_dir_all(place.path(name)).unwrap();
    let flags = if again { MsFlags::MS_REMOUNT } else { MsFlags::empty() };
    mount(None::<&str>, Path::new(&place.path(name)), Some("tmpfs"), flags, Some(options)).unwrap();
}

/// For each size that is too small: what was there stays, nothing is left, and with room it works.
fn with_too_little(sizes: impl Iterator<Item = String>, words: &[&str]) -> usize {
    for (failed, options) in sizes.enumerate() {
        let Some(place) = Place::new() else { return usize::MAX };
        save(&place, "abc:1");
        disk(&place, "disk", &options, false);
        // Where the program looks for its own.
        for name in ["store", "containers"] {
            std::fs::create_dir(place.path(&format!("disk/{name}"))).unwrap();
            std::os::unix::fs::symlink(place.path(&format!("disk/{name}")), place.path(name)).unwrap();
        }
        let ran = place.run(words);
        if ran.code == Some(0) {
            return failed;
        }
        assert_eq!(ran.code, Some(111), "{options}: {}", ran.err);
        assert!(ran.err.contains("No space left on device"), "{options}: {}", ran.err);
        let told = ran.err.lines().filter(|line| line.contains("unable")).count();
        assert_eq!(told, 1, "{options}: {}", ran.err);
        disk(&place, "disk", "size=8000k,nr_inodes=2000", true);
        assert!(!place.good(&["containers", "--json"]).contains("\"number\""), "{options}: half a root");
        assert_eq!(place.names("disk/store/staging"), Vec::<String>::new(), "{options}");
        place.good(words);
        place.good(&["verify"]);
        assert!(place.good(&["gc"]).starts_with("0 layers"), "{options}");
    }
    panic!("it never works");
}

#[test]
fn without_room_for_any_write_nothing_is_left_and_with_room_it_works() {
    let words = ["provision", "abc:1", "--container", "c", "--backend", "copy"];
    let bytes = (1..60).map(|pages| format!("size={}k,nr_inodes=2000", pages * 4));
    let files = (4..90).map(|files| format!("size=8000k,nr_inodes={files}"));
    assert!(with_too_little(bytes, &words) > 8);
    assert!(with_too_little(files, &words) > 15);
}
