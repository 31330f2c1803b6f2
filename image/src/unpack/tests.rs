//! What becomes of archives, and what does not.

use super::*;
use crate::testing::archive::{Item, archive};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Layers, one above the other.
struct Layers {
    directory: TempDir,
    view: View,
    trees: Vec<Tree>,
    options: Options,
}

impl Layers {
    fn new() -> Layers {
        let options = Options::default();
        Layers { directory: TempDir::new().unwrap(), view: View::default(), trees: Vec::new(), options }
    }

    fn path(&self, layer: usize) -> PathBuf {
        self.directory.path().join(format!("in/{layer}"))
    }

    fn form(&mut self, form: Form, items: &[Item]) -> Result<Unpacked> {
        let path = self.path(self.trees.len());
        std::fs::create_dir_all(&path).unwrap();
        let tree = Tree::open(&path).unwrap();
        let bytes = archive(items);
        let done = layer(bytes.as_slice(), form, &mut self.view, &self.trees, &tree, &self.options)?;
        self.trees.push(tree);
        Ok(done)
    }

    fn add(&mut self, items: &[Item]) -> Result<Unpacked> {
        self.form(Form::Changes, items)
    }

    /// What is seen, each with the layer whose it is.
    fn seen(&self) -> Vec<(String, usize)> {
        let mut seen = Vec::new();
        self.walk(View::ROOT, "", &mut seen);
        seen
    }

    fn walk(&self, id: usize, path: &str, seen: &mut Vec<(String, usize)>) {
        for (name, id) in self.view.children(id) {
            let path = format!("{path}/{}", String::from_utf8_lossy(name));
            seen.push((path.clone(), self.view.node(id).unwrap().layer));
            self.walk(id, &path, seen);
        }
    }

    fn error(items: &[Item]) -> String {
        Layers::new().add(items).unwrap_err().to_string()
    }
}

fn seen(pairs: &[(&str, usize)]) -> Vec<(String, usize)> {
    pairs.iter().map(|(path, layer)| ((*path).to_owned(), *layer)).collect()
}

fn set(paths: &[&str]) -> BTreeSet<Vec<u8>> {
    paths.iter().map(|path| path.as_bytes().to_vec()).collect()
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// Nothing but the tree itself is there, and whatever was outside is as it was.
#[test]
fn hostile_archives_are_refused_and_touch_nothing_outside() {
    let outside = TempDir::new().unwrap();
    let victim = outside.path().join("victim");
    std::fs::write(&victim, "safe").unwrap();
    let (out, victim_name) = (outside.path().to_str().unwrap(), victim.to_str().unwrap());
    let device = |kind, device| Item { device, ..Item::new(kind, "dev") };
    let up = "../../../../../../../../../../../../..";
    for (items, reason) in [
        (vec![Item::file("../x", "")], "\"..\""),
        (vec![Item::file("a/../../x", "")], "\"..\""),
        (vec![Item::file(victim_name, "bad")], "absolute"),
        (vec![Item::link("x", victim_name)], "absolute"),
        (vec![Item::link("x", "../victim")], "\"..\""),
        (vec![Item::symlink("d", out), Item::link("x", "d/victim")], "there is no file"),
        (
            vec![Item::symlink("a", "b"), Item::symlink("b", "a"), Item::file("a/x", "")],
            "lead to one another",
        ),
        (vec![device(b'3', (0, 0))], "taken away"),
        (vec![device(b'3', (1, 3))], "device file"),
        (vec![device(b'4', (8, 0))], "device file"),
        (vec![Item::file(".wh.", "")], "names nothing"),
        (vec![Item::file(".wh..", "")], "names nothing"),
        (vec![Item::file("d/.wh...", "")], "names nothing"),
        (vec![Item::directory(".wh.x")], "not a file"),
        (vec![Item::symlink(".wh.x", "/")], "not a file"),
        (vec![Item::file("./", ""), Item::file(".", "x")], "root is not a directory"),
        (vec![Item::file("f", ""), Item::file("f/g", "")], "no directory"),
        (vec![Item::link("f", "f")], "itself"),
        (vec![Item::link("f", "g")], "there is no file"),
        (vec![Item::directory("d"), Item::link("f", "d")], "there is no file"),
        (vec![Item::symlink("s", "")], "symbolic link"),
        (vec![Item::file(&format!("{up}{victim_name}"), "bad")], "\"..\""),
    ] {
        let error = Layers::error(&items);
        assert!(error.contains(reason), "{reason}: {error}");
        assert_eq!(text(&victim), "safe");
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1);
    }
}

#[test]
fn a_link_that_leads_out_leads_below_the_root() {
    let outside = TempDir::new().unwrap();
    let out = outside.path().to_str().unwrap();
    for target in [out.to_owned(), format!("../../../../../../../..{out}")] {
        let mut layers = Layers::new();
        layers.add(&[Item::symlink("d", &target), Item::file("d/x", "in")]).unwrap();
        assert_eq!(text(&layers.path(0).join(&out[1..]).join("x")), "in");
        // The link of a lower layer as well.
        layers.add(&[Item::file("d/y", "in"), Item::file("d", "a file")]).unwrap();
        assert_eq!(text(&layers.path(1).join(&out[1..]).join("y")), "in");
        assert_eq!(text(&layers.path(1).join("d")), "a file");
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    }
}

#[test]
fn what_is_too_much_is_refused() {
    let mut layers = Layers::new();
    layers.options.limits = Limits { entries: 3, bytes: 1000, path: 20, ..Limits::default() };
    let mut error = |items: &[Item]| layers.add(items).unwrap_err().to_string();
    let items: Vec<Item> = (0..4).map(|at| Item::directory(&format!("d{at}"))).collect();
    assert!(error(&items).contains("more than 3 entries"));
    assert!(error(&[Item::file("a", &"x".repeat(1001))]).contains("more than 1000 bytes"));
    assert!(
        error(&[Item::file("b", &"x".repeat(600)), Item::file("c", &"x".repeat(600))]).contains("1000 bytes")
    );
    assert!(error(&[Item::file(&"x".repeat(21), "")]).contains("more than 20 bytes"));
    let hole = Item::file("h", "a").pax("GNU.sparse.size", b"1001").pax("GNU.sparse.map", b"0,1");
    assert!(error(&[hole]).contains("longer than 1000 bytes"));
}

#[test]
fn directories_that_are_only_implied_have_what_lower_layers_say_of_them() {
    let mut layers = Layers::new();
    let top = Item::directory(".").mode(0o750).owner(7, 8);
    layers.add(&[top, Item::directory("d").mode(0o700).owner(1, 2).xattr("user.a", b"b")]).unwrap();
    layers.add(&[Item::file("d/f", ""), Item::file("new/f", "")]).unwrap();
    let meta = |path: &str| layers.trees[1].meta(path.as_bytes()).unwrap().1;
    assert_eq!((meta("d").mode, meta("d").uid, meta("d").gid), (0o700, 1, 2));
    assert_eq!(meta("d").xattrs, [(b"user.a".to_vec(), b"b".to_vec())]);
    assert_eq!(meta("d").mtime.seconds, 1_000_000_000);
    assert_eq!((meta("new").mode, meta("new").uid), (0o755, 0));
    assert_eq!((meta("").mode, meta("").uid, meta("").gid), (0o750, 7, 8));
}

#[test]
fn what_goes_through_a_link_of_a_lower_layer_ends_where_the_link_leads() {
    let mut layers = Layers::new();
    layers
        .add(&[Item::symlink("lib", "usr/lib"), Item::directory("usr/lib"), Item::file("usr/lib/old", "")])
        .unwrap();
    let done = layers.add(&[Item::file("lib/new", ""), Item::file("lib/.wh.old", "")]).unwrap();
    assert_eq!(layers.seen(), seen(&[("/lib", 0), ("/usr", 1), ("/usr/lib", 1), ("/usr/lib/new", 1)]));
    assert_eq!(done.changes.removed, set(&["usr/lib/old"]));
    assert!(
        std::fs::symlink_metadata(layers.path(1).join("usr/lib/old")).unwrap().file_type().is_char_device()
    );
}

#[test]
fn whiteouts_take_away_what_is_below_and_spare_what_is_beside() {
    let base = [
        Item::directory("d"),
        Item::file("d/1", ""),
        Item::directory("d/e"),
        Item::file("d/e/2", ""),
        Item::file("f", ""),
    ];
    let marks = [Item::file("d/.wh..wh..opq", ""), Item::file(".wh.f", ""), Item::file(".wh.absent", "")];
    let own = [Item::file("d/new", ""), Item::file("f", "again"), Item::file("d/e/3", "")];
    let expected = [("/d", 1), ("/d/e", 1), ("/d/e/3", 1), ("/d/new", 1), ("/f", 1)];
    for items in [[&marks[..], &own[..]].concat(), [&own[..], &marks[..]].concat()] {
        let mut layers = Layers::new();
        layers.add(&base).unwrap();
        let done = layers.add(&items).unwrap();
        assert_eq!(layers.seen(), seen(&expected));
        assert_eq!((done.changes.removed, done.changes.opaque), (set(&[]), set(&["d"])));
        assert_eq!(text(&layers.path(1).join("f")), "again");
    }
}

#[test]
fn a_whiteout_in_what_is_no_directory_any_more_takes_nothing_away() {
    for mark in ["d/.wh.f", "d/.wh..wh..opq"] {
        for at in 0..2 {
            let mut layers = Layers::new();
            layers.add(&[Item::directory("d"), Item::file("d/f", "")]).unwrap();
            let mut items = vec![Item::file("d", "a file"), Item::file(mark, "")];
            items.rotate_left(at);
            layers.add(&items).unwrap();
            assert_eq!(layers.seen(), seen(&[("/d", 1)]));
        }
    }
}

#[test]
fn a_whiteout_of_what_the_layer_makes_anew_hides_what_was_there() {
    for order in [[0, 1, 2], [1, 2, 0], [1, 0, 2]] {
        let mut layers = Layers::new();
        layers.add(&[Item::directory("d").mode(0o700), Item::file("d/old", "")]).unwrap();
        let items = [Item::file(".wh.d", ""), Item::directory("d").mode(0o711), Item::file("d/new", "")];
        let done = layers.add(&order.map(|at| items[at].clone())).unwrap();
        assert_eq!(done.changes.opaque, set(&["d"]), "{order:?}");
        assert_eq!(layers.seen(), seen(&[("/d", 1), ("/d/new", 1)]));
        assert_eq!(layers.trees[1].meta(b"d").unwrap().1.mode, 0o711);
    }
    // Implied, and before or after.
    for items in [
        [Item::file(".wh.d", ""), Item::file("d/new", "")],
        [Item::file("d/new", ""), Item::file(".wh.d", "")],
    ] {
        let mut layers = Layers::new();
        layers.add(&[Item::directory("d").mode(0o700), Item::file("d/old", "")]).unwrap();
        assert_eq!(layers.add(&items).unwrap().changes.opaque, set(&["d"]));
        assert_eq!(layers.trees[1].meta(b"d").unwrap().1.mode, 0o755);
    }
}

#[test]
fn the_top_can_be_made_opaque() {
    let mut layers = Layers::new();
    layers.add(&[Item::file("a", ""), Item::file("d/b", ""), Item::file("e/c", "")]).unwrap();
    let done = layers.add(&[Item::file("d/new", ""), Item::file(".wh..wh..opq", "")]).unwrap();
    assert_eq!(layers.seen(), seen(&[("/d", 1), ("/d/new", 1)]));
    assert_eq!((done.changes.removed, done.changes.opaque), (set(&["a", "e"]), set(&["d"])));
}

#[test]
fn each_kind_takes_the_place_of_each_other() {
    let make = |kind: usize, path: &str| match kind {
        0 => vec![Item::file(path, "file")],
        1 => vec![Item::directory(path), Item::file(&format!("{path}/in"), "")],
        _ => vec![Item::symlink(path, "/nowhere")],
    };
    for before in 0..3 {
        for after in 0..3 {
            // In a layer above, and in the same.
            let mut layers = Layers::new();
            layers.add(&make(before, "x")).unwrap();
            layers.add(&make(after, "x")).unwrap();
            let expected = if after == 1 { vec![("/x", 1), ("/x/in", 1)] } else { vec![("/x", 1)] };
            assert_eq!(layers.seen(), seen(&expected), "{before} {after}");
            let mut layers = Layers::new();
            layers.add(&[make(before, "x"), make(after, "x")].concat()).unwrap();
            let found = std::fs::symlink_metadata(layers.path(0).join("x")).unwrap();
            assert_eq!((found.is_dir(), found.is_symlink()), (after == 1, after == 2));
        }
    }
}

#[test]
fn a_directory_that_was_something_else_in_between_hides_what_it_had() {
    let mut layers = Layers::new();
    layers.add(&[Item::directory("d"), Item::file("d/old", "")]).unwrap();
    let done = layers.add(&[Item::file("d/new", ""), Item::file("d", "file"), Item::directory("d")]).unwrap();
    assert_eq!((layers.seen(), done.changes.opaque), (seen(&[("/d", 1)]), set(&["d"])));
}

#[test]
fn a_link_to_a_file_below_takes_all_its_names_along() {
    let mut layers = Layers::new();
    layers
        .add(&[Item::file("d/a", "data").mode(0o4755), Item::link("e/b", "d/a"), Item::link("f", "d/a")])
        .unwrap();
    let done = layers.add(&[Item::file(".wh.f", ""), Item::link("c", "e/b")]).unwrap();
    assert_eq!(done.changes.removed, set(&["f"]));
    let found = |path: &str| std::fs::metadata(layers.path(1).join(path)).unwrap();
    assert_eq!(found("c").ino(), found("e/b").ino());
    assert_eq!(found("c").ino(), found("d/a").ino());
    assert_eq!((found("c").mode() & 0o7777, text(&layers.path(1).join("d/a"))), (0o4755, "data".to_owned()));
}

#[test]
fn a_file_that_is_there_twice_is_the_last_one_and_its_links_stay() {
    let mut layers = Layers::new();
    layers.add(&[Item::file("a", "one"), Item::link("b", "a"), Item::file("a", "two")]).unwrap();
    assert_eq!(
        (text(&layers.path(0).join("a")), text(&layers.path(0).join("b"))),
        ("two".to_owned(), "one".to_owned())
    );
}

#[test]
fn modes_owners_times_and_attributes_are_those_of_the_archive() {
    let mut layers = Layers::new();
    layers.options.devices = true;
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    layers
        .add(&[
            Item::directory("d").mode(0o2775).owner(3, 4),
            Item::file("d/su", "x").mode(0o6755).owner(5, 6).pax("mtime", b"123.456"),
            Item::file("d/cap", "")
                .xattr("security.capability", &capability)
                .xattr("trusted.overlay.opaque", b"y"),
            Item::file("d/label", "").xattr("security.selinux", b"x").xattr("user.k", b"v"),
            Item::symlink("d/s", "x").owner(9, 9),
            Item { device: (1, 3), ..Item::new(b'3', "null") },
            Item::new(b'6', "fifo"),
            Item::file("d/hole", "ab")
                .pax("GNU.sparse.size", b"5000000")
                .pax("GNU.sparse.map", b"0,1,4999999,1"),
        ])
        .unwrap();
    let meta = |path: &str| layers.trees[0].meta(path.as_bytes()).unwrap();
    let (stat, su) = meta("d/su");
    assert_eq!(
        (su.mode, su.uid, su.gid, su.mtime),
        (0o6755, 5, 6, Time { seconds: 123, nanos: 456_000_000 })
    );
    assert_eq!(stat.st_size, 1);
    let (_, directory) = meta("d");
    assert_eq!((directory.mode, directory.uid, directory.mtime.seconds), (0o2775, 3, 1_000_000_000));
    assert_eq!(meta("d/cap").1.xattrs, [(b"security.capability".to_vec(), capability.to_vec())]);
    assert_eq!(meta("d/label").1.xattrs, [(b"user.k".to_vec(), b"v".to_vec())]);
    assert_eq!((meta("d/s").1.uid, meta("null").0.st_rdev), (9, rustix::fs::makedev(1, 3)));
    let (stat, _) = meta("d/hole");
    assert!((stat.st_size, stat.st_blocks) < (5_000_001, 100), "{} {}", stat.st_size, stat.st_blocks);
    assert_eq!(std::fs::read(layers.path(0).join("d/hole")).unwrap()[4_999_998..], *b"\0b");
}

#[test]
fn a_later_entry_for_a_directory_says_all_that_is_said_of_it() {
    let mut layers = Layers::new();
    layers.add(&[Item::directory("d").xattr("user.a", b"1"), Item::directory("d").mode(0o700)]).unwrap();
    let (_, meta) = layers.trees[0].meta(b"d").unwrap();
    assert_eq!((meta.mode, meta.xattrs), (0o700, vec![]));
}

#[test]
fn an_app_container_image_has_a_manifest_and_a_root_that_takes_nothing_away() {
    let mut layers = Layers::new();
    let good = [
        Item::file("manifest", "{}"),
        Item::directory("rootfs"),
        Item::file("rootfs/.wh.x", "kept"),
        Item::link("rootfs/y", "rootfs/.wh.x"),
    ];
    let done = layers.form(Form::Aci, &good).unwrap();
    assert_eq!(done.manifest.as_deref(), Some(&b"{}"[..]));
    assert_eq!(layers.seen(), seen(&[("/.wh.x", 0), ("/y", 0)]));
    for (item, reason) in [
        (Item::file("other", ""), "nothing else"),
        (Item::link("rootfs/x", "manifest"), "outside of its rootfs"),
        (Item::file("rootfs", ""), "root is not a directory"),
    ] {
        let error = Layers::new().form(Form::Aci, &[item]).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

/// What is read back from disk is what was there when it was made.
#[test]
fn a_tree_on_disk_is_seen_as_it_was_when_it_was_unpacked() {
    let mut layers = Layers::new();
    let first = layers.add(&[
        Item::file("d/a", ""),
        Item::link("b", "d/a"),
        Item::file("e/x", ""),
        Item::file("g/y", ""),
    ]);
    let second =
        layers.add(&[Item::file("e/.wh.x", ""), Item::file("g/.wh..wh..opq", ""), Item::symlink("l", "d")]);
    let mut view = View::default();
    for (layer, done) in [first, second].into_iter().enumerate() {
        finish::show(&mut view, layer, &layers.trees[layer], &done.unwrap().changes).unwrap();
    }
    let before = layers.seen();
    layers.view = view;
    assert_eq!(layers.seen(), before);
    layers.add(&[Item::link("c", "l/a")]).unwrap();
    assert!(layers.path(2).join("b").exists());
}
