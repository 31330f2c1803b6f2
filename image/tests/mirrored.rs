//! What Mesos's own tests of its provisioner ask for, asked of the program: `docs/provisioner-tests.md` has the list.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "common/archive.rs"]
mod archive;
#[path = "common/images.rs"]
mod images;
#[path = "common/program.rs"]
mod program;

use archive::{Item, archive};
use images::{aci, docker, gzip, layout, legacy};
use program::Place;
use serde_json::{Value, json};

/// An archive as `docker save` wrote them: layer 456 on layer 123.
fn save_legacy(place: &Place) {
    let layers = [
        ("123", archive(&[Item::file("temp", "foo 123"), Item::file("of-123", "")])),
        ("456", archive(&[Item::file("temp", "bar 456"), Item::file("of-456", "")])),
    ];
    place.write("local/abc.tar", &archive(&legacy("abc", "latest", &layers, &json!({}))));
}

fn inspected(place: &Place, reference: &str) -> Value {
    serde_json::from_str(&place.good(&["inspect", reference])).unwrap()
}

fn tree(place: &Place, image: &Value, layer: usize) -> String {
    let chain = image["layers"][layer]["chain"].as_str().unwrap();
    place.path(&format!("store/layers/{chain}/tree"))
}

#[test]
fn a_local_archive_of_two_layers_is_found_by_its_name_and_lies_in_order() {
    let Some(place) = Place::new() else { return };
    save_legacy(&place);
    place.good(&["import", "abc"]);
    let image = inspected(&place, "abc");
    assert_eq!(image["layers"].as_array().unwrap().len(), 2);
    assert_eq!(place.read_at(&tree(&place, &image, 0), "temp"), "foo 123");
    assert_eq!(place.read_at(&tree(&place, &image, 1), "temp"), "bar 456");
    for backend in ["copy", "overlay"] {
        let root = place.good(&["provision", "abc", "--container", backend, "--backend", backend]);
        assert_eq!(place.read_at(root.trim(), "temp"), "bar 456");
        assert!(["of-123", "of-456"].iter().all(|name| place.read_at(root.trim(), name).is_empty()));
    }
}

/// Whoever comes next finds it without its archive; without a layer of it, it is brought in again.
#[test]
fn what_is_in_the_store_needs_no_archive_and_a_missing_layer_does() {
    let Some(place) = Place::new() else { return };
    save_legacy(&place);
    place.good(&["import", "abc"]);
    let image = inspected(&place, "abc");
    std::fs::rename(place.path("local/abc.tar"), place.path("elsewhere.tar")).unwrap();
    place.good(&["recover"]);
    place.good(&["import", "abc"]);
    place.good(&["provision", "abc", "--container", "a"]);
    std::fs::remove_dir_all(tree(&place, &image, 1)).unwrap();
    let ran = place.run(&["provision", "abc", "--container", "b", "--registry", "http://127.0.0.1:1"]);
    assert_ne!(ran.code, Some(0), "nothing is made of half an image");
    std::fs::rename(place.path("elsewhere.tar"), place.path("local/abc.tar")).unwrap();
    let root = place.good(&["provision", "abc", "--container", "b", "--backend", "copy"]);
    assert_eq!(place.read_at(root.trim(), "temp"), "bar 456");
    place.good(&["verify"]);
}

#[test]
fn a_store_whose_list_of_images_is_empty_or_unreadable_recovers() {
    let Some(place) = Place::new() else { return };
    place.good(&["recover"]);
    save_legacy(&place);
    place.good(&["import", "abc"]);
    for name in place.names("store/images") {
        place.write(&format!("store/images/{name}"), b"");
    }
    place.good(&["recover"]);
    assert!(place.run(&["list"]).err.contains("is no description of an image"));
    place.good(&["provision", "abc", "--container", "a"]);
    assert!(place.good(&["list"]).contains("docker:///abc:latest"));
}

/// Put where simple discovery looks for it, by os and architecture.
fn discoverable(place: &Place, rest: &Value) {
    let arch = if images::architecture() == "arm64" { "aarch64" } else { images::architecture() };
    let bytes = gzip(&aci("image", "latest", rest, &[Item::file("tmp/test", "test")]));
    place.write(&format!("discovery/image-latest-linux-{arch}.aci"), &bytes);
}

fn with_prefix<'a>(prefix: &'a str, words: &[&'a str]) -> Vec<&'a str> {
    [&["--appc_simple_discovery_uri_prefix", prefix], words].concat()
}

#[test]
fn an_app_container_image_is_there_for_whoever_opens_the_store_next() {
    let Some(place) = Place::new() else { return };
    discoverable(&place, &json!({}));
    let prefix = format!("{}/", place.path("discovery"));
    place.good(&with_prefix(&prefix, &["import", "appc:image"]));
    std::fs::remove_dir_all(place.path("discovery")).unwrap();
    place.good(&["recover"]);
    assert_eq!(place.names("store/images").len(), 1);
    assert!(place.good(&["list"]).contains("appc:image"));
    let root = place.good(&["provision", "appc:image", "--container", "c"]);
    assert_eq!(place.read_at(root.trim(), "tmp/test"), "test");
    assert!(inspected(&place, "appc:image")["id"].as_str().unwrap().starts_with("sha512:"));
}

/// After recovery another root is made in the same container; one destroy takes both, and those inside.
#[test]
fn a_container_is_provisioned_again_after_recovery_and_one_destroy_takes_all() {
    let Some(place) = Place::new() else { return };
    discoverable(&place, &json!({}));
    let prefix = format!("{}/", place.path("discovery"));
    let provision = |container: &str| {
        let words = with_prefix(&prefix, &["provision", "appc:image", "--container", container]);
        place.good(&words).trim().to_owned()
    };
    let first = provision("c");
    assert_eq!(place.good(&["recover", "c"]), "");
    let (second, inside) = (provision("c"), provision("c/inside"));
    // The one around it has no image of its own.
    let lone = provision("without/inside");
    for root in [&first, &second, &inside, &lone] {
        assert_eq!(place.read_at(root, "tmp/test"), "test");
    }
    assert_ne!(first, second);
    place.good(&["destroy", "c"]);
    assert!([&first, &second, &inside].iter().all(|root| !std::path::Path::new(root).exists()));
    assert_eq!(place.names("containers"), ["without"]);
    place.good(&["destroy", "without"]);
    assert_eq!((place.mounts(), place.names("containers")), (1, vec![]));
}

/// A child was made and its parent was not; then the machine went down.
#[test]
fn a_child_without_its_parent_goes_with_it_after_a_reboot() {
    let Some(place) = Place::new() else { return };
    save_legacy(&place);
    place.good(&["provision", "abc", "--container", "parent/child", "--backend", "copy"]);
    assert_eq!(place.good(&["recover"]), "destroyed: parent/child\ndestroyed: parent\n");
    assert_eq!(place.names("containers"), Vec::<String>::new());
}

#[test]
fn five_containers_are_listed_of_which_two_are_only_around_others() {
    let Some(place) = Place::new() else { return };
    save_legacy(&place);
    for container in ["1/2/3", "1/4", "5"] {
        place.good(&["provision", "abc", "--container", container, "--backend", "copy"]);
    }
    let listed: Value = serde_json::from_str(&place.good(&["containers", "--json"])).unwrap();
    let mut names: Vec<&str> =
        listed.as_array().unwrap().iter().filter_map(|one| one["container"].as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["1", "1/2", "1/2/3", "1/4", "5"]);
}

/// What could not be made can be destroyed, and is not there for the next one.
#[test]
fn after_a_failure_there_is_something_to_destroy_or_nothing_and_never_half_a_root() {
    let Some(place) = Place::new() else { return };
    save_legacy(&place);
    let ran = place.run(&["provision", "abc", "--container", "c", "--backend", "bind"]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert!(ran.err.contains("takes one layer, and there are 2"), "{}", ran.err);
    place.good(&["destroy", "c"]);
    let ran = place.run(&["provision", "nosuch", "--container", "c", "--registry", "http://127.0.0.1:1"]);
    assert_ne!(ran.code, Some(0));
    assert_eq!(place.run(&["destroy", "c"]).code, Some(3), "it was never begun");
    assert_eq!((place.mounts(), place.names("containers")), (1, vec![]));
}

/// While it is made it is destroyed: whoever is second waits, and nothing is left after both.
#[test]
fn a_container_that_is_destroyed_while_it_is_made_leaves_nothing() {
    let Some(place) = Place::new() else { return };
    save_legacy(&place);
    place.good(&["import", "abc"]);
    for round in 0..6 {
        let making = place.start(&[], &["provision", "abc", "--container", "c"]);
        let destroying = place.start(&[], &["destroy", "c"]);
        let (made, destroyed) = (place.end(making), place.end(destroying));
        assert_eq!(made.code, Some(0), "round {round}: {}", made.err);
        assert!(matches!(destroyed.code, Some(0 | 3)), "round {round}: {}", destroyed.err);
        place.run(&["destroy", "c"]);
        assert_eq!((place.mounts(), place.names("containers")), (1, vec![]), "round {round}");
    }
}

/// By the digest of what is described, whatever its tag is by now.
#[test]
fn an_image_is_brought_in_by_its_digest_and_no_other_is_taken_for_it() {
    let Some(place) = Place::new() else { return };
    let layer = images::Layer::new(archive(&[Item::file("f", "pinned")]), "+gzip");
    let files = layout(&[Some("1")], &json!({}), &[layer]);
    for (name, bytes) in &files {
        place.write(&format!("local/app/{name}"), bytes);
    }
    let listed: Value =
        serde_json::from_slice(&files.iter().find(|(name, _)| name == "index.json").unwrap().1).unwrap();
    let digest = listed["manifests"][0]["digest"].as_str().unwrap();
    place.good(&["import", &format!("oci:app@{digest}")]);
    let other = format!("oci:app@sha256:{}", "0".repeat(64));
    let ran = place.run(&["import", &other]);
    assert_eq!(ran.code, Some(3), "{}", ran.err);
    assert_eq!(place.names("store/images").len(), 1);
}

/// A newer image of the same name is taken when that is asked for, and only then.
#[test]
fn an_image_that_is_there_is_brought_in_again_only_if_that_is_asked_for() {
    let Some(place) = Place::new() else { return };
    let save = |text: &str| {
        let layer = archive(&[Item::file("f", text)]);
        place.write("local/abc.tar", &archive(&docker(&["abc:latest"], &json!({}), &[layer])));
    };
    save("old");
    place.good(&["import", "abc"]);
    save("new");
    for (container, again, expected) in [("a", "", "old"), ("b", "--again", "new"), ("c", "", "new")] {
        let mut words = vec!["provision", "abc", "--container", container];
        words.extend(Some(again).filter(|word| !word.is_empty()));
        let root = place.good(&words);
        assert_eq!(place.read_at(root.trim(), "f"), expected, "{container}");
    }
}
