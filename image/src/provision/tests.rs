//! Roots are known from before they are made until after they are gone.

use super::*;
use crate::testing::Place as Sandbox;
use crate::testing::archive::Item;

fn id(text: &str) -> ContainerId {
    text.parse().unwrap()
}

fn sandbox() -> Option<(Sandbox, Image)> {
    let place = Sandbox::new()?;
    let items = vec![Item::file("etc/hostname", "name"), Item::directory("tmp")];
    let image = place.import("abc", &[items, vec![Item::file("x", "")]]).unwrap();
    Some((place, image))
}

fn provision(place: &Sandbox, image: &Image, container: &str) -> Provisioned {
    place.containers.provision(&place.store, &id(container), image, &Wish::default()).unwrap()
}

fn shown(ids: &[ContainerId]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

#[test]
fn a_container_may_have_several_roots_and_one_destroy_takes_them_all() {
    let Some((place, image)) = sandbox() else { return };
    let one = provision(&place, &image, "c");
    let containers = Containers::open(&place.path("containers")).unwrap();
    let known = containers.recover(&place.store, &[id("c")]).unwrap();
    assert_eq!((shown(&known.kept), known.destroyed.len()), (vec!["c".to_owned()], 0));
    let two = containers.provision(&place.store, &id("c"), &image, &Wish::default()).unwrap();
    assert_ne!(one.root, two.root);
    assert!(one.root.join("x").exists() && two.root.join("x").exists());
    assert_eq!(containers.records(&id("c")).unwrap().len(), 2);
    assert!(containers.destroy(&place.store, &id("c")).unwrap());
    assert!(!containers.path(&id("c")).exists());
    assert!(!containers.destroy(&place.store, &id("c")).unwrap());
}

#[test]
fn containers_inside_of_others_imply_those_and_go_first() {
    let Some((place, image)) = sandbox() else { return };
    for name in ["1/2/3", "1/4", "5"] {
        provision(&place, &image, name);
    }
    std::fs::write(place.path("containers/stray"), "no container").unwrap();
    assert_eq!(shown(&place.containers.list().unwrap()), ["1/2/3", "1/2", "1/4", "1", "5"]);
    assert!(place.containers.destroy(&place.store, &id("1/2")).unwrap());
    assert_eq!(shown(&place.containers.list().unwrap()), ["1/4", "1", "5"]);
    assert!(place.containers.destroy(&place.store, &id("1")).unwrap());
    assert_eq!(shown(&place.containers.list().unwrap()), ["5"]);
}

/// As after a reboot: a child alone was made, and nobody knows of anything.
#[test]
fn what_nobody_knows_of_is_destroyed_those_inside_first() {
    let Some((place, image)) = sandbox() else { return };
    provision(&place, &image, "parent/child");
    provision(&place, &image, "known/unknown");
    provision(&place, &image, "lost/known");
    provision(&place, &image, "lost");
    let recovered = place.containers.recover(&place.store, &[id("known"), id("lost/known")]).unwrap();
    assert_eq!(shown(&recovered.destroyed), ["known/unknown", "parent/child", "parent"]);
    assert_eq!(shown(&recovered.kept), ["known", "lost/known", "lost"]);
    assert_eq!(place.containers.records(&id("lost")).unwrap(), []);
    assert_eq!(place.containers.records(&id("lost/known")).unwrap().len(), 1);
    let recovered = place.containers.recover(&place.store, &[]).unwrap();
    assert_eq!((recovered.destroyed.len(), recovered.failed.len()), (3, 0));
    assert_eq!(place.containers.list().unwrap(), []);
    assert_eq!(crate::backend::mounts_below(&place.path("containers")).unwrap(), Vec::<PathBuf>::new());
}

#[test]
fn mounts_that_are_gone_are_no_hindrance() {
    let Some((place, image)) = sandbox() else { return };
    let made = provision(&place, &image, "c");
    crate::backend::detach(&made.root).unwrap();
    let again = provision(&place, &image, "c");
    assert!(again.root.join("x").exists());
    place.containers.destroy_between(&place.store, &id("c"), 0, again.record.number).unwrap();
    assert_eq!(place.containers.records(&id("c")).unwrap(), std::slice::from_ref(&again.record));
    assert!(again.root.join("x").exists() && !made.root.exists());
    assert!(place.containers.destroy(&place.store, &id("c")).unwrap());
}

#[test]
fn a_container_that_could_not_be_made_can_be_destroyed() {
    let Some((place, image)) = sandbox() else { return };
    let bad = [Place { path: "/x/y".to_owned(), file: false }];
    let wish = Wish { places: &bad, ..Wish::default() };
    let error = place.containers.provision(&place.store, &id("c"), &image, &wish).unwrap_err().to_string();
    assert!(error.contains("backend overlay") && error.contains("backend copy"), "{error}");
    assert_eq!(place.containers.records(&id("c")).unwrap(), []);
    assert!(place.containers.destroy(&place.store, &id("c")).unwrap());
    let missing = Image { layers: vec![], ..image };
    assert!(place.containers.provision(&place.store, &id("d"), &missing, &Wish::default()).is_err());
}

#[test]
fn destroying_waits_for_what_is_being_made_and_two_at_once_are_one() {
    let Some((place, image)) = sandbox() else { return };
    for _ in 0..20 {
        std::thread::scope(|scope| {
            let making =
                scope.spawn(|| place.containers.provision(&place.store, &id("c"), &image, &Wish::default()));
            let first = scope.spawn(|| place.containers.destroy(&place.store, &id("c")).unwrap());
            let second = scope.spawn(|| place.containers.destroy(&place.store, &id("c")).unwrap());
            making.join().unwrap().unwrap();
            let _ = (first.join().unwrap(), second.join().unwrap());
        });
        place.containers.destroy(&place.store, &id("c")).unwrap();
        assert!(!place.containers.path(&id("c")).exists());
        assert_eq!(crate::backend::mounts_below(&place.path("containers")).unwrap(), Vec::<PathBuf>::new());
    }
}

#[test]
fn names_of_containers_lead_nowhere_else() {
    for bad in ["", "/", "a/", "/a", "..", "a/..", "a//b", ".a", "a b", "a\nb", &"x".repeat(201)] {
        assert!(bad.parse::<ContainerId>().is_err(), "{bad:?}");
    }
    assert_eq!(id("getty@tty1/x").parent(), Some(id("getty@tty1")));
    assert!(id("a/b").is_in(&id("a")) && !id("ab").is_in(&id("a")));
}
