//! Whatever way a root is made, it is the same one.

mod model;

use super::*;
use crate::provision::{ContainerId, Provisioned, Wish};
use crate::store::Image;
use crate::testing::Place as Sandbox;
use crate::testing::archive::Item;
use proptest::prelude::*;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

fn root(
    place: &Sandbox,
    container: &str,
    image: &Image,
    backend: Backend,
    writable: bool,
) -> Result<Provisioned> {
    let wish = Wish { backend: Some(backend), writable, places: &[] };
    place.containers.provision(&place.store, &container.parse().unwrap(), image, &wish)
}

fn two_layers() -> Vec<Vec<Item>> {
    vec![
        vec![Item::directory("dir1"), Item::file("dir1/1", "1"), Item::file("file", "test1")],
        vec![Item::directory("dir2"), Item::file("dir2/2", "2"), Item::file("file", "test2")],
    ]
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn a_root_shows_all_layers_and_what_is_written_to_it_changes_none() {
    let Some(place) = Sandbox::new() else { return };
    let image = place.import("a", &two_layers()).unwrap();
    for backend in [Backend::Copy, Backend::Overlay] {
        let made = root(&place, backend.word(), &image, backend, true).unwrap();
        assert!(made.root.join("dir1/1").exists() && made.root.join("dir2/2").exists());
        assert_eq!(read(&made.root.join("file")), "test2");
        std::fs::write(made.root.join("file"), "test3").unwrap();
        std::fs::write(made.root.join("new"), "").unwrap();
        let layer = place.store.tree_path(&image.layers[1].chain);
        assert_eq!((read(&layer.join("file")), layer.join("new").exists()), ("test2".to_owned(), false));
        let id: ContainerId = backend.word().parse().unwrap();
        assert!(place.containers.destroy(&place.store, &id).unwrap());
        assert!(!made.root.exists());
    }
    assert_eq!(place.store.verify(false, |_| false).unwrap(), []);
}

#[test]
fn a_bound_layer_cannot_be_written_to_whatever_its_modes_say() {
    let Some(place) = Sandbox::new() else { return };
    let image = place.import("a", &[vec![Item::directory("tmp").mode(0o1777)]]).unwrap();
    let made = root(&place, "c", &image, Backend::Bind, false).unwrap();
    let tmp = made.root.join("tmp");
    assert_eq!(std::fs::metadata(&tmp).unwrap().permissions().mode() & 0o7777, 0o1777);
    let error = std::fs::write(tmp.join("x"), "").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    place.containers.destroy(&place.store, &"c".parse().unwrap()).unwrap();
    assert!(!made.root.exists());
    let two = place.import("b", &two_layers()).unwrap();
    let error = |image, writable| root(&place, "d", image, Backend::Bind, writable).unwrap_err().to_string();
    assert!(error(&two, false).contains("takes one layer, and there are 2"));
    assert!(error(&image, true).contains("not be writable"));
}

#[test]
fn the_cheapest_way_that_works_is_taken_and_why_not_a_cheaper_one_is_said() {
    let Some(place) = Sandbox::new() else { return };
    let (one, two) = (two_layers()[..1].to_vec(), two_layers());
    let (one, two) = (place.import("one", &one).unwrap(), place.import("two", &two).unwrap());
    let auto = |name: &str, image: &Image, writable: bool| {
        let wish = Wish { backend: None, writable, places: &[] };
        let made = place.containers.provision(&place.store, &name.parse().unwrap(), image, &wish).unwrap();
        (made.record.backend.unwrap(), made.record.reasons.join(";"))
    };
    assert_eq!(auto("a", &one, false), ("bind".to_owned(), String::new()));
    let (backend, reasons) = auto("b", &one, true);
    assert_eq!(
        (backend.as_str(), reasons.contains("bind: the root would not be writable")),
        ("overlay", true)
    );
    assert_eq!(auto("c", &two, false).0, "overlay");
    // Where overlayfs cannot write: on top of another overlay.
    let over = root(&place, "d", &two, Backend::Overlay, true).unwrap().root;
    let inner = crate::provision::Containers::open(&over.join("c")).unwrap();
    let wish = Wish { backend: None, writable: true, places: &[] };
    let made = inner.provision(&place.store, &"e".parse().unwrap(), &two, &wish).unwrap();
    assert_eq!(made.record.backend.as_deref(), Some("copy"));
    assert!(
        made.record.reasons.iter().any(|reason| reason.starts_with("backend overlay")),
        "{:?}",
        made.record.reasons
    );
    assert_eq!(read(&made.root.join("file")), "test2");
}

/// More than a page of their paths.
#[test]
fn many_layers_of_long_names_are_laid_above_one_another_in_both_ways() {
    let Some(place) = Sandbox::new() else { return };
    let layers: Vec<Vec<Item>> = (0..130)
        .map(|at| vec![Item::directory(&format!("dir{at:0>80}")), Item::file("top", &at.to_string())])
        .collect();
    let image = place.import("a", &layers).unwrap();
    let chains: Vec<Chain> = image.layers.iter().map(|layer| layer.chain.clone()).collect();
    for (name, telling) in [("each", overlay::Telling::Each), ("links", overlay::Telling::Links)] {
        if name == "each" && !overlay::Telling::each_is_known() {
            continue;
        }
        let (root, scratch) = (place.path(&format!("{name}/root")), place.path(&format!("{name}/scratch")));
        std::fs::create_dir_all(&root).unwrap();
        std::fs::create_dir_all(&scratch).unwrap();
        let plan = Plan { layers: &chains, root: &root, scratch: &scratch, writable: true, places: &[] };
        overlay::make_by(&place.store, &plan, telling).unwrap();
        assert!((0..130).all(|at| root.join(format!("dir{at:0>80}")).is_dir()), "{name}");
        assert_eq!(read(&root.join("top")), "129");
        Backend::Overlay.destroy(&root, &scratch).unwrap();
        assert!(!root.exists() && !scratch.exists());
    }
}

/// A file that is taken away, and a directory that hides what is below and keeps what the same layer has beside.
#[test]
fn what_a_layer_takes_away_is_gone_in_every_way_and_its_own_stays() {
    let Some(place) = Sandbox::new() else { return };
    let lower = vec![Item::file("dir1/file1", ""), Item::file("dir1/dir2/file2", ""), Item::file("kept", "")];
    let upper = vec![
        Item::file("dir1/.wh.file1", ""),
        Item::file("dir1/dir2/.wh..wh..opq", ""),
        Item::file("dir1/dir2/file3", ""),
    ];
    let image = place.import("a", &[lower, upper]).unwrap();
    for backend in [Backend::Copy, Backend::Overlay] {
        for writable in [false, true] {
            let name = format!("{backend}-{writable}");
            let root = root(&place, &name, &image, backend, writable).unwrap().root;
            let there = |path: &str| root.join(path).symlink_metadata().is_ok();
            assert!(!there("dir1/file1") && !there("dir1/dir2/file2"), "{name}");
            assert!(there("dir1/dir2/file3") && there("kept"), "{name}");
            assert!(!there("dir1/.wh.file1") && !there("dir1/dir2/.wh..wh..opq"), "{name}");
        }
    }
}

/// Each kind of file by each other, and links that lead out.
#[test]
fn what_lies_above_replaces_what_lies_below_and_nothing_outside() {
    let Some(place) = Sandbox::new() else { return };
    let outside = place.path("outside");
    std::fs::write(&outside, "safe").unwrap();
    let out = format!("../../../../../../../../../../../../..{}", outside.display());
    let lower = vec![
        Item::file("replaced1/r1", ""),
        Item::file("replaced2/r2", ""),
        Item::symlink("replaced3", "replaced1"),
        Item::file("replaced4", "file"),
        Item::symlink("xyz", &out),
        Item::directory("usr/bin"),
        Item::symlink("bin", "usr/bin"),
    ];
    let upper = vec![
        Item::file("replaced1", "file"),
        Item::directory("merged"),
        Item::file("merged/m1", ""),
        Item::file("merged/m2", ""),
        Item::symlink("replaced2", "merged"),
        Item::directory("replaced3"),
        Item::symlink("replaced4", "merged"),
        Item::file("xyz", "ours"),
        Item::file("bin/sh", "through the link"),
    ];
    let image = place.import("a", &[lower, upper]).unwrap();
    for backend in [Backend::Copy, Backend::Overlay] {
        let root = root(&place, backend.word(), &image, backend, true).unwrap().root;
        assert_eq!(read(&root.join("replaced1")), "file");
        assert!(root.join("replaced2").is_symlink() && root.join("replaced2/m1").exists());
        assert!(root.join("replaced2/m2").exists() && !root.join("replaced2/r2").exists());
        assert!(root.join("replaced3").is_dir() && !root.join("replaced3").is_symlink());
        assert!(root.join("replaced4").is_symlink());
        assert_eq!((read(&root.join("xyz")), read(&outside)), ("ours".to_owned(), "safe".to_owned()));
        assert_eq!(read(&root.join("usr/bin/sh")), "through the link");
        assert!(root.join("bin").is_symlink());
    }
}

#[test]
fn a_root_in_use_is_destroyed_and_its_files_stay_for_whoever_has_them_open() {
    use std::io::Read;
    let Some(place) = Sandbox::new() else { return };
    let image = place.import("a", &[vec![Item::file("etc/hostname", "name")]]).unwrap();
    for backend in Backend::ALL {
        let id: ContainerId = backend.word().parse().unwrap();
        let made = root(&place, backend.word(), &image, backend, false).unwrap();
        let mut held = std::fs::File::open(made.root.join("etc/hostname")).unwrap();
        assert!(place.containers.destroy(&place.store, &id).unwrap());
        assert!(!place.containers.path(&id).exists());
        let mut text = String::new();
        held.read_to_string(&mut text).unwrap();
        assert_eq!(text, "name");
    }
    assert_eq!(place.store.verify(false, |_| false).unwrap(), []);
}

#[test]
fn what_others_mounted_in_a_root_survives_its_end() {
    let Some(place) = Sandbox::new() else { return };
    let image = place.import("a", &[vec![Item::directory("data")]]).unwrap();
    let outside = place.path("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("precious"), "").unwrap();
    for backend in [Backend::Copy, Backend::Overlay] {
        let made = root(&place, backend.word(), &image, backend, true).unwrap();
        rustix::mount::mount_bind(&outside, made.root.join("data")).unwrap();
        assert!(place.containers.destroy(&place.store, &backend.word().parse().unwrap()).unwrap());
        assert!(outside.join("precious").exists());
    }
}

#[test]
fn what_has_to_be_there_is_made_in_the_root_and_links_lead_nowhere_else() {
    let Some(place) = Sandbox::new() else { return };
    let items = vec![
        Item::symlink("var/run", "/run"),
        Item::directory("run"),
        Item::symlink("etc/mtab", "/nowhere/x"),
    ];
    let image = place.import("a", &[items]).unwrap();
    let wanted = |path: &str, file: bool| Place { path: path.to_owned(), file };
    for backend in [Backend::Copy, Backend::Overlay] {
        let places =
            [wanted("/proc", false), wanted("/var/run/app/socket", true), wanted("/etc/hosts", true)];
        let wish = Wish { backend: Some(backend), writable: false, places: &places };
        let made = place
            .containers
            .provision(&place.store, &backend.word().parse().unwrap(), &image, &wish)
            .unwrap();
        assert!(made.root.join("proc").is_dir() && made.root.join("run/app/socket").is_file());
        let inside = crate::provision::Root::open(&made.root).unwrap();
        assert_eq!(inside.ensure(&places[1]).unwrap(), "/run/app/socket");
        let bad = [wanted("/etc/mtab/y", false)];
        let wish = Wish { backend: Some(backend), writable: false, places: &bad };
        let error =
            place.containers.provision(&place.store, &"x".parse().unwrap(), &image, &wish).unwrap_err();
        assert!(error.to_string().contains("leads nowhere"), "{error}");
    }
    // Bound, nothing can be made.
    let wish = Wish { backend: Some(Backend::Bind), writable: false, places: &[wanted("/proc", false)] };
    let error = place.containers.provision(&place.store, &"b".parse().unwrap(), &image, &wish).unwrap_err();
    assert!(error.to_string().contains("no /proc"), "{error}");
}

/// As on the root of an initramfs.
#[test]
fn on_a_filesystem_that_keeps_no_attributes_roots_are_copied_or_bound() {
    let Some(mut place) = Sandbox::new() else { return };
    let ram = place.path("ram");
    std::fs::create_dir(&ram).unwrap();
    let none = None::<&str>;
    nix::mount::mount(none, &ram, Some("ramfs"), nix::mount::MsFlags::empty(), none).unwrap();
    place.store = Store::open(&ram.join("store")).unwrap();
    place.containers = crate::provision::Containers::open(&ram.join("containers")).unwrap();
    let lower =
        vec![Item::file("d/old", ""), Item::file("gone", ""), Item::directory("kept").xattr("user.a", b"b")];
    let upper =
        vec![Item::file("d/.wh..wh..opq", ""), Item::file(".wh.gone", ""), Item::file("d/new", "new")];
    let image = place.import("a", &[lower.clone(), upper]).unwrap();
    let provision = |name: &str, image: &Image, writable: bool| {
        let wish = Wish { backend: None, writable, places: &[] };
        place.containers.provision(&place.store, &name.parse().unwrap(), image, &wish).unwrap()
    };
    let made = provision("c", &image, true);
    assert_eq!(made.record.backend.as_deref(), Some("copy"), "{:?}", made.record.reasons);
    assert_eq!(read(&made.root.join("d/new")), "new");
    assert!(
        !made.root.join("d/old").exists()
            && !made.root.join("gone").exists()
            && made.root.join("kept").is_dir()
    );
    let one = place.import("b", &[lower]).unwrap();
    assert_eq!(provision("d", &one, false).record.backend.as_deref(), Some("bind"));
    assert_eq!(provision("e", &one, true).record.backend.as_deref(), Some("copy"));
    assert_eq!(place.store.verify(false, |_| false).unwrap(), []);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, max_shrink_iters: 200, ..ProptestConfig::default() })]

    /// Layers at random: by copying, by overlayfs and by a model that is simple enough to be right.
    #[test]
    fn all_ways_make_the_same_root(script in proptest::collection::vec(proptest::collection::vec(model::op(), 1..9), 1..5)) {
        let Some(place) = Sandbox::new() else { return Ok(()) };
        let mut model = model::Model::default();
        let layers: Vec<Vec<Item>> = script.iter().map(|ops| model.layer(ops)).collect();
        let image = place.import("a", &layers).unwrap();
        let copied = model::snapshot(&root(&place, "copy", &image, Backend::Copy, true).unwrap().root);
        let laid = model::snapshot(&root(&place, "overlay", &image, Backend::Overlay, false).unwrap().root);
        prop_assert_eq!(&copied, &model.snapshot());
        prop_assert_eq!(&laid, &copied);
        prop_assert_eq!(place.store.verify(false, |_| false).unwrap(), vec![]);
    }
}

#[test]
fn a_file_with_many_attributes_keeps_them_all() {
    let Some(place) = Sandbox::new() else { return };
    let names: Vec<String> = (0..40).map(|at| format!("user.an_attribute_of_a_long_name_{at}")).collect();
    let many = names.iter().fold(Item::file("f", ""), |item, name| item.xattr(name, name.as_bytes()));
    let image = place.import("a", &[vec![many], vec![Item::link("g", "f")]]).unwrap();
    for backend in [Backend::Copy, Backend::Overlay] {
        let root = root(&place, backend.word(), &image, backend, true).unwrap().root;
        for name in &names {
            let mut value = [0_u8; 100];
            let length = rustix::fs::lgetxattr(root.join("g"), name.as_str(), &mut value[..]).unwrap();
            assert_eq!(&value[..length], name.as_bytes(), "{backend}");
        }
    }
}

#[test]
fn a_hole_is_copied_as_a_hole() {
    let Some(place) = Sandbox::new() else { return };
    let hole =
        Item::file("hole", "ab").pax("GNU.sparse.size", b"50000000").pax("GNU.sparse.map", b"0,1,49999999,1");
    let image = place.import("a", &[vec![hole]]).unwrap();
    let root = root(&place, "c", &image, Backend::Copy, true).unwrap().root;
    let found = std::fs::metadata(root.join("hole")).unwrap();
    assert!((found.len(), found.blocks() < 100) == (50_000_000, true));
}
