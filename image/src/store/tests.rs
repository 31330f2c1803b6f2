//! What is in the store is whole, is there once, and stays as long as somebody needs it.

use super::*;
use crate::digest::{Algorithm, Digest};
use crate::platform::Platform;
use crate::progress::Silent;
use crate::provision::Wish;
use crate::reference::Reference;
use crate::source::{Blob, Found, Source};
use crate::tarball::Limits;
use crate::testing::archive::Item;
use crate::testing::{Memory, Place};
use crate::unpack::Options;
use std::collections::HashSet;
use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};

fn layers(names: &[&str]) -> Vec<Vec<Item>> {
    names.iter().map(|name| vec![Item::file("who", name), Item::file(name, "")]).collect()
}

fn count(place: &Place, name: &str) -> usize {
    std::fs::read_dir(place.path("store").join(name)).unwrap().count()
}

/// A source that must not be asked.
struct Nothing;

impl Source for Nothing {
    fn describe(&mut self, _: &Reference, _: &Platform) -> Result<Found> {
        Err(Error::missing("nobody was to be asked"))
    }

    fn open(&mut self, _: &Blob) -> Result<Box<dyn Read + '_>> {
        Err(Error::missing("nobody was to be asked"))
    }
}

fn find(place: &Place, name: &str, again: bool, options: &Options) -> Result<Image> {
    let reference: Reference = name.parse().unwrap();
    let platform = Platform::host();
    let request = Request { reference: &reference, platform: &platform, options, again };
    place.store.import(&request, || Ok(Box::new(Nothing)), &mut Silent)
}

#[test]
fn what_came_once_is_there_for_whoever_opens_the_store_next() {
    let Some(mut place) = Place::new() else { return };
    let image = place.import("abc", &layers(&["a", "b"])).unwrap();
    place.store = Store::open(&place.path("store")).unwrap();
    assert_eq!(find(&place, "docker:///abc:latest", false, &Options::default()).unwrap(), image);
    assert!(find(&place, "abc", true, &Options::default()).is_err());
    assert!(find(&place, "abc:2", false, &Options::default()).is_err());
}

/// A program of an image may be one that becomes root for whoever can execute it.
#[test]
fn nobody_else_gets_into_the_store() {
    use std::os::unix::fs::PermissionsExt;
    let Some(place) = Place::new() else { return };
    let store = Store::open(&place.path("one/two/store")).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(store.root()), 0o700);
    assert_ne!(mode(&place.path("one/two")), 0o700, "what is around it is no concern of ours");
    std::fs::set_permissions(store.root(), std::fs::Permissions::from_mode(0o711)).unwrap();
    assert_eq!(mode(Store::open(store.root()).unwrap().root()), 0o711, "as its owner wants it");
}

#[test]
fn an_empty_or_damaged_description_is_no_image_and_no_harm() {
    let Some(place) = Place::new() else { return };
    let image = place.import("abc", &layers(&["a"])).unwrap();
    let path = place.store.image_path(&"abc".parse().unwrap());
    for text in ["", "{", "{}"] {
        std::fs::write(&path, text).unwrap();
        assert_eq!(place.store.find(&"abc".parse().unwrap()).unwrap(), None);
        let (images, broken) = place.store.images().unwrap();
        assert_eq!((images.len(), broken.len()), (0, 1));
        assert_eq!(place.import("abc", &layers(&["a"])).unwrap(), image);
    }
    // Nothing of another version is touched.
    std::fs::write(place.path("store/version"), "mainstay-images 9\n").unwrap();
    assert!(Store::open(&place.path("store")).unwrap_err().to_string().contains("another version"));
}

#[test]
fn a_layer_that_is_missing_is_brought_in_again() {
    let Some(place) = Place::new() else { return };
    let image = place.import("abc", &layers(&["a", "b"])).unwrap();
    for part in ["tree", "info", ""] {
        let path = place.store.layer_path(&image.layers[1].chain).join(part);
        if path.is_dir() {
            std::fs::remove_dir_all(&path).unwrap();
        } else {
            std::fs::remove_file(&path).unwrap();
        }
        assert_eq!(place.store.find(&"abc".parse().unwrap()).unwrap(), None);
        assert_eq!(place.import("abc", &layers(&["a", "b"])).unwrap(), image);
        assert_eq!(place.store.verify(false, |_| false).unwrap(), []);
    }
}

#[test]
fn layers_that_images_have_in_common_are_there_once_but_not_above_others() {
    let Some(place) = Place::new() else { return };
    let one = place.import("one", &layers(&["a", "b"])).unwrap();
    let two = place.import("two", &layers(&["a", "b", "c"])).unwrap();
    let other = place.import("other", &layers(&["c", "b"])).unwrap();
    assert_eq!((&one.layers[..], count(&place, "layers")), (&two.layers[..2], 5));
    assert_eq!(one.layers[1].diff_id, other.layers[1].diff_id);
    assert_ne!(one.layers[1].chain, other.layers[1].chain);
}

#[test]
fn a_newer_image_of_the_same_name_is_brought_in_only_if_that_is_asked_for() {
    let Some(place) = Place::new() else { return };
    let old = place.import("abc", &layers(&["a"])).unwrap();
    assert_eq!(place.import("abc", &layers(&["b"])).unwrap(), old);
    let new = place.import_from("abc", Memory::new(&layers(&["b"])), true).unwrap();
    assert_ne!(new, old);
    assert_eq!(place.store.find(&"abc".parse().unwrap()).unwrap(), Some(new));
}

#[test]
fn a_wrong_digest_leaves_nothing_of_the_layer() {
    let Some(place) = Place::new() else { return };
    let said = Digest::of(Algorithm::Sha256, b"something else");
    let memory = Memory { said: Some(said.clone()), ..Memory::new(&layers(&["a"])) };
    let error = place.import_from("abc", memory, false).unwrap_err().to_string();
    let found = Digest::of(Algorithm::Sha256, &Memory::new(&layers(&["a"])).archives[0]);
    assert!(error.contains(&format!("digest {said} expected, {found} found")), "{error}");
    assert_eq!((count(&place, "layers"), count(&place, "images"), count(&place, "staging")), (0, 0, 0));
}

/// Slow, and counts how often it is asked.
struct Slow(Memory, std::sync::Arc<AtomicUsize>, std::sync::Arc<std::sync::Barrier>);

impl Source for Slow {
    fn describe(&mut self, reference: &Reference, platform: &Platform) -> Result<Found> {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.2.wait();
        self.0.describe(reference, platform)
    }

    fn open(&mut self, blob: &Blob) -> Result<Box<dyn Read + '_>> {
        self.0.open(blob)
    }
}

#[test]
fn whoever_wants_an_image_that_another_is_bringing_in_waits_for_that() {
    let Some(place) = Place::new() else { return };
    let asked = std::sync::Arc::new(AtomicUsize::new(0));
    let gate = std::sync::Arc::new(std::sync::Barrier::new(2));
    std::thread::scope(|scope| {
        let one = || {
            let reference: Reference = "abc".parse().unwrap();
            let (platform, options) = (Platform::host(), Options::default());
            let request =
                Request { reference: &reference, platform: &platform, options: &options, again: false };
            let slow = Slow(Memory::new(&layers(&["a", "b"])), asked.clone(), gate.clone());
            place.store.import(&request, || Ok(Box::new(slow)), &mut Silent).unwrap()
        };
        let waiting: Vec<_> = (0..3).map(|_| scope.spawn(one)).collect();
        // Whoever is first is let go on; none of the others comes so far.
        gate.wait();
        let images: Vec<Image> = waiting.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert!(images.iter().all(|image| *image == images[0]));
    });
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[test]
fn gc_throws_away_what_nobody_has_and_nothing_that_somebody_has() {
    let Some(place) = Place::new() else { return };
    let kept = place.import("kept", &layers(&["a", "b"])).unwrap();
    place.import("gone", &layers(&["a", "c"])).unwrap();
    let used = place.import("used", &layers(&["d"])).unwrap();
    place.containers.provision(&place.store, &"x".parse().unwrap(), &used, &Wish::default()).unwrap();
    for name in ["gone", "used"] {
        assert!(place.store.forget(&name.parse().unwrap()).unwrap());
    }
    let lock = place.store.own(false).unwrap();
    let swept = place.store.sweep(&place.containers.used().unwrap(), false, &[]).unwrap();
    assert_eq!((swept.images.len(), swept.layers.len(), count(&place, "layers")), (0, 1, 3));
    assert!(place.store.has_layer(&used.layers[0].chain));
    assert_eq!(place.store.find(&"kept".parse().unwrap()).unwrap(), Some(kept));
    // Then what no container is made from, unless it is to be kept.
    let keep = ["kept:latest".parse().unwrap()];
    let swept = place.store.sweep(&place.containers.used().unwrap(), true, &keep).unwrap();
    assert_eq!((swept.images.len(), swept.layers.len()), (0, 0));
    let swept = place.store.sweep(&place.containers.used().unwrap(), true, &[]).unwrap();
    assert_eq!((swept.images, swept.layers.len()), (vec!["docker:///kept:latest".to_owned()], 2));
    drop(lock);
    place.containers.destroy(&place.store, &"x".parse().unwrap()).unwrap();
    assert_eq!(place.store.sweep(&HashSet::new(), false, &[]).unwrap().layers.len(), 1);
    assert_eq!((count(&place, "layers"), count(&place, "gc"), count(&place, "pulls")), (0, 0, 0));
}

#[test]
fn nothing_is_thrown_away_while_somebody_uses_the_store() {
    let Some(place) = Place::new() else { return };
    let shared = place.store.share().unwrap();
    assert_eq!(place.store.own(false).unwrap_err().kind, Kind::Busy);
    drop(shared);
    let _own = place.store.own(false).unwrap();
    assert_eq!(place.store.own(false).unwrap_err().kind, Kind::Busy);
}

#[test]
fn whatever_changes_in_a_layer_is_found_and_mended() {
    let Some(place) = Place::new() else { return };
    let change = |what: &dyn Fn(&Path)| {
        let image = place.import("abc", &[vec![Item::file("d/f", "data"), Item::symlink("l", "f")]]).unwrap();
        let chain = image.layers[0].chain.clone();
        what(&place.store.layer_path(&chain));
        let damages = place.store.verify(false, |_| false).unwrap();
        let kept = place.store.verify(true, |_| true).unwrap();
        assert_eq!(kept[0].what, format!("{} (kept, since a container is made of it)", damages[0].what));
        assert!(place.store.has_layer(&chain));
        assert_eq!(place.store.verify(true, |_| false).unwrap(), damages);
        assert!(!place.store.has_layer(&chain));
        assert_eq!(damages.len(), 1, "{damages:?}");
        damages[0].what.clone()
    };
    let same_time = |path: &Path, text: &str| {
        let time = std::fs::metadata(path).unwrap().modified().unwrap();
        std::fs::write(path, text).unwrap();
        File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    };
    assert!(change(&|path| same_time(&path.join("tree/d/f"), "atad")).contains("/d/f RegularFile"));
    assert!(change(&|path| std::fs::remove_file(path.join("tree/l")).unwrap()).contains("expected"));
    assert!(change(&|path| std::fs::write(path.join("tree/z"), "").unwrap()).contains("expected"));
    assert!(change(&|path| std::fs::write(path.join("listing"), "").unwrap()).contains("listing"));
    assert!(
        change(&|path| rustix::fs::chmod(path.join("tree/d"), 0o700.into()).unwrap())
            .contains("/d Directory")
    );
}

#[test]
fn without_room_nothing_is_left_but_what_was_there() {
    let Some(place) = Place::of_size("2m") else { return };
    let small = place.import("small", &layers(&["a"])).unwrap();
    let big = vec![vec![Item::file("ok", "")], vec![Item::file("big", &"x".repeat(3 << 20))]];
    let error = place.import("big", &big).unwrap_err();
    assert_eq!((error.kind, error.to_string().contains("No space left")), (Kind::System, true), "{error}");
    assert_eq!((count(&place, "staging"), count(&place, "images")), (0, 1));
    // The small layer of it was complete: it is kept until what nobody has is thrown away.
    assert_eq!(place.store.sweep(&HashSet::new(), false, &[]).unwrap().layers.len(), 1);
    assert_eq!(place.store.find(&"small".parse().unwrap()).unwrap(), Some(small));
    assert_eq!(place.store.verify(false, |_| false).unwrap(), []);
    // Nor for a root.
    let fat = place.import("fat", &[vec![Item::file("x", &"x".repeat(1 << 20))]]).unwrap();
    let wish = Wish { backend: Some(crate::backend::Backend::Copy), ..Wish::default() };
    let error = place.containers.provision(&place.store, &"c".parse().unwrap(), &fat, &wish).unwrap_err();
    assert!(error.to_string().contains("No space left"), "{error}");
    assert_eq!(place.containers.records(&"c".parse().unwrap()).unwrap(), []);
}

#[test]
fn a_bomb_is_stopped_early() {
    let Some(place) = Place::new() else { return };
    let zeros = crate::testing::images::gzip(&vec![0; 300 << 20]);
    let limits = Limits { ratio: 100, ..Limits::default() };
    let mut reader = crate::unpack::inflate::reader(zeros.as_slice(), limits.ratio).unwrap();
    let error = Error::from(std::io::copy(&mut reader, &mut std::io::sink()).unwrap_err());
    assert!(error.to_string().contains("more than 100 times"), "{error}");
    let options = Options { limits: Limits { bytes: 1000, ..limits }, ..Options::default() };
    assert!(find(&place, "abc", false, &options).is_err());
}

#[test]
fn words_for_paths_come_back() {
    let bytes: Vec<u8> = (0..=255).collect();
    assert_eq!(unescape(&escape(&bytes)), Some(bytes));
    assert_eq!(unescape("%4"), None);
}
