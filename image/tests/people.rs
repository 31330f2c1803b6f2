//! What people try with a store and with roots.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

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
use serde_json::{Value, json};
use std::path::Path;
use std::time::Instant;

fn save(place: &Place, name: &str, layers: &[Vec<Item>]) {
    let layers: Vec<Vec<u8>> = layers.iter().map(|items| archive(items)).collect();
    place.write(&format!("local/{name}.tar"), &archive(&docker(&[name], &json!({}), &layers)));
}

fn text(name: &str) -> Vec<Vec<Item>> {
    vec![vec![Item::file("below", "the same")], vec![Item::file("who", name)]]
}

fn who(place: &Place, image: &str, container: &str) -> String {
    let root = place.good(&["provision", image, "--container", container]);
    place.read_at(root.trim(), "who")
}

#[test]
fn the_same_archive_twice_is_the_same_image_once() {
    let Some(place) = Place::new() else { return };
    save(&place, "a:1", &text("x"));
    let path = place.path("local/a:1.tar");
    let first = place.good(&["import", &path]);
    assert_eq!(place.good(&["import", &path]), first);
    assert_eq!(place.good(&["import", "a:1", "--again"]), first);
    assert_eq!((place.names("store/images").len(), place.names("store/layers").len()), (1, 2));
    place.good(&["verify"]);
}

#[test]
fn tags_that_are_moved_are_what_they_were_moved_to() {
    let Some(place) = Place::new() else { return };
    for (one, two) in [("x", "y"), ("y", "x"), ("z", "x")] {
        save(&place, "a:1", &text(one));
        save(&place, "a:2", &text(two));
        place.good(&["import", "a:1", "a:2", "--again"]);
        assert_eq!(who(&place, "a:1", &format!("{one}1")), one);
        assert_eq!(who(&place, "a:2", &format!("{two}2")), two);
    }
    // What the roots are made of stays, though no tag leads to it any more.
    assert!(place.good(&["gc"]).starts_with("0 layers"));
    for container in ["x1", "y1", "z1", "x2", "y2"] {
        place.good(&["destroy", container]);
    }
    assert!(place.good(&["gc"]).starts_with("1 layers"), "that of y is nobody's");
    place.good(&["verify"]);
}

#[test]
fn whoever_throws_away_and_whoever_brings_in_do_not_hurt_one_another() {
    let Some(place) = Place::new() else { return };
    for round in 0..8 {
        let name = format!("a:{round}");
        save(&place, &name, &text(&name));
        let importing = place.start(&[], &["provision", &name, "--container", &format!("c{round}")]);
        let sweeping = place.start(&[], &["gc", "--wait", "--unused"]);
        let hasty = place.run(&["gc"]);
        assert!(matches!(hasty.code, Some(0 | 4)), "{}", hasty.err);
        let (imported, swept) = (place.end(importing), place.end(sweeping));
        assert_eq!(swept.code, Some(0), "{}", swept.err);
        assert_eq!(imported.code, Some(0), "{}", imported.err);
        assert_eq!(place.read_at(imported.out.trim(), "who"), name);
    }
    place.good(&["verify"]);
}

/// Nothing is thrown away as long as it cannot be told what is in use.
#[test]
fn with_a_record_that_is_damaged_nothing_is_thrown_away_until_its_container_is_gone() {
    let Some(place) = Place::new() else { return };
    save(&place, "a:1", &text("x"));
    assert_eq!(who(&place, "a:1", "c"), "x");
    place.good(&["remove", "a:1"]);
    place.write("containers/c/roots/0.json", b"{\"number\": 0");
    for words in [&["gc"][..], &["verify", "--repair"]] {
        let ran = place.run(words);
        assert_eq!(ran.code, Some(1), "{words:?}: {}", ran.err);
        assert!(ran.err.contains("containers/c/roots/0.json"), "{words:?}: {}", ran.err);
        assert_eq!(place.names("store/layers").len(), 2);
    }
    place.good(&["destroy", "c"]);
    assert!(place.good(&["gc"]).starts_with("2 layers"));
    assert_eq!(place.mounts(), 1);
}

#[test]
fn what_is_damaged_is_found_and_after_repair_brought_in_again() {
    let Some(place) = Place::new() else { return };
    save(&place, "a:1", &text("x"));
    place.good(&["import", "a:1"]);
    let image: Value = serde_json::from_str(&place.good(&["inspect", "a:1"])).unwrap();
    let file = format!("store/layers/{}/tree/who", image["layers"][1]["chain"].as_str().unwrap());
    place.write(&file, b"other");
    let ran = place.run(&["verify"]);
    assert!(ran.code == Some(1) && ran.out.contains("/who RegularFile"), "{}", ran.out);
    assert_eq!(place.run(&["verify", "--repair"]).code, Some(1), "it says what it has found");
    assert!(place.run(&["verify"]).out.contains("is missing"), "until somebody asks for the image");
    assert_eq!(who(&place, "a:1", "c"), "x");
    place.good(&["verify"]);
    // One that is in use stays: its containers have to go first.
    place.write(&file, b"other");
    assert_eq!(place.run(&["verify", "--repair"]).code, Some(1));
    assert_eq!(place.names("store/layers").len(), 2);
    place.good(&["destroy", "c"]);
    place.run(&["verify", "--repair"]);
    assert_eq!(place.names("store/layers").len(), 1);
    assert_eq!(who(&place, "a:1", "c"), "x");
}

/// Also for overlayfs, whose options have signs of their own.
#[test]
fn places_and_files_may_be_called_anything() {
    let Some(place) = Place::new() else { return };
    let odd = "my own, störe: 1\\2 \"x\"";
    let names =
        ["with space", "ünïcode", "quote\"'", "back\\slash", "new\nline", "-dash", "a:b,c=d", "*?[", "😀"];
    let lower: Vec<Item> = names.iter().map(|name| Item::file(&format!("d {name}/f"), name)).collect();
    let upper = vec![Item::file(&format!("d {}/.wh.f", names[0]), ""), Item::file("top", "")];
    save(&place, "a:1", &[lower, upper]);
    std::fs::rename(place.path("local/a:1.tar"), place.path("an archive, of mine: 1.tar")).unwrap();
    for name in ["store", "containers"] {
        std::fs::create_dir_all(place.path(&format!("{odd}/{name}"))).unwrap();
        std::os::unix::fs::symlink(place.path(&format!("{odd}/{name}")), place.path(name)).unwrap();
    }
    place.good(&["import", &place.path("an archive, of mine: 1.tar")]);
    for backend in ["copy", "overlay"] {
        let root =
            place.good(&["provision", "a:1", "--container", backend, "--backend", backend, "--writable"]);
        let root = root.trim_end_matches('\n');
        assert!(root.contains(odd), "{root}");
        for name in &names[1..] {
            assert_eq!(place.read_at(root, &format!("d {name}/f")), *name, "{backend}");
        }
        assert!(!Path::new(root).join(format!("d {}/f", names[0])).exists(), "{backend}");
    }
    place.good(&["verify"]);
    place.good(&["destroy", "copy", "overlay"]);
    assert_eq!(place.mounts(), 1, "what has blanks in its name is unmounted too");
}

/// As from a medium that cannot be written to: what is there is listed, and roots are made of it elsewhere.
#[test]
fn a_store_that_cannot_be_written_to_serves_what_it_has() {
    let Some(place) = Place::new() else { return };
    save(&place, "a:1", &text("x"));
    place.good(&["import", "a:1"]);
    let store = place.path("store");
    let bind =
        |flags| mount(Some(store.as_str()), Path::new(&store), None::<&str>, flags, None::<&str>).unwrap();
    bind(MsFlags::MS_BIND);
    bind(MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY);
    assert!(place.good(&["list"]).contains("docker:///a:1"));
    place.good(&["inspect", "a:1"]);
    place.good(&["verify"]);
    place.good(&["import", "a:1"]);
    for backend in ["copy", "overlay"] {
        let root =
            place.good(&["provision", "a:1", "--container", backend, "--backend", backend, "--writable"]);
        assert_eq!(place.read_at(root.trim(), "who"), "x");
        place.good(&["destroy", backend]);
    }
    for words in [&["import", "a:1", "--again"][..], &["remove", "a:1"], &["gc"]] {
        let ran = place.run(words);
        assert!(matches!(ran.code, Some(111)) || words == ["gc"], "{words:?}: {:?} {}", ran.code, ran.err);
        assert!(ran.code == Some(0) || ran.err.contains("Read-only file system"), "{words:?}: {}", ran.err);
    }
}

#[test]
fn the_store_and_the_roots_may_be_on_different_filesystems() {
    let Some(place) = Place::new() else { return };
    save(&place, "a:1", &text("x"));
    std::fs::create_dir(place.path("containers")).unwrap();
    mount(None::<&str>, Path::new(&place.path("containers")), Some("tmpfs"), MsFlags::empty(), None::<&str>)
        .unwrap();
    for backend in ["copy", "overlay"] {
        let words = ["provision", "a:1", "--container", backend, "--backend", backend, "--writable"];
        let root = place.good(&words);
        assert_eq!(place.read_at(root.trim(), "who"), "x");
        std::fs::write(Path::new(root.trim()).join("who"), "mine").unwrap();
        place.good(&["destroy", backend]);
    }
    save(&place, "b:1", &text("x")[..1]);
    place.good(&["provision", "b:1", "--container", "b", "--backend", "bind"]);
    place.good(&["destroy", "b"]);
    place.good(&["verify"]);
    assert_eq!(place.names("containers"), Vec::<String>::new());
}

/// More layers than overlayfs takes: then they are copied, and that is said.
#[test]
fn a_thousand_layers_are_kept_and_used_one_way_or_another() {
    let Some(place) = Place::new() else { return };
    let many = |count: usize, from: usize| -> Vec<Vec<Item>> {
        (from..from + count)
            .map(|at| vec![Item::file(&format!("f{at}"), ""), Item::file("who", &at.to_string())])
            .collect()
    };
    save(&place, "many:1", &many(600, 0));
    save(&place, "many:2", &many(400, 600));
    let ran = place.run(&["provision", "many:1", "--container", "c", "--writable"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(place.read_at(ran.out.trim(), "who"), "599");
    assert!((0..600).all(|at| Path::new(ran.out.trim()).join(format!("f{at}")).exists()));
    let overlay = ran.err.contains("backend overlay");
    assert!(
        overlay || (ran.err.contains("backend copy") && ran.err.contains("not by overlay")),
        "{}",
        ran.err
    );
    assert_eq!(who(&place, "many:2", "d"), "999");
    assert_eq!(place.names("store/layers").len(), 1000);
    assert!(place.good(&["list"]).contains("600"));
    place.good(&["remove", "many:2"]);
    place.good(&["destroy", "d"]);
    assert!(place.good(&["gc"]).starts_with("400 layers"));
    place.good(&["verify"]);
}

/// How long it takes is told beside tar, and is no part of the test.
#[test]
fn an_image_of_fifty_thousand_files_comes_in() {
    let Some(place) = Place::new() else { return };
    let items: Vec<Item> = (0..50_000).map(|at| Item::file(&format!("d{}/f{at}", at % 500), "x")).collect();
    let layer = archive(&items);
    place.write("layer.tar", &layer);
    std::fs::create_dir(place.path("by-tar")).unwrap();
    let begun = Instant::now();
    let (into, from) = (place.path("by-tar"), place.path("layer.tar"));
    let tar = std::process::Command::new("tar").args(["-x", "-C", &into, "-f", &from]).status();
    let tar = tar.map(|status| (status.success(), begun.elapsed()));
    place.write("local/many:1.tar", &archive(&docker(&["many:1"], &json!({}), &[layer])));
    let begun = Instant::now();
    place.good(&["import", "many:1"]);
    eprintln!("50,000 files: {:?}; tar: {tar:?}", begun.elapsed());
    let root = place.good(&["provision", "many:1", "--container", "c", "--backend", "bind"]);
    assert_eq!(std::fs::read_dir(root.trim()).unwrap().count(), 500);
    assert_eq!(place.read_at(root.trim(), "d499/f49999"), "x");
}
