//! Images that somebody has made who means harm. Each is refused, and nothing is left of it; or it is taken in, and has
//! done no harm.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use flate2::Compression;
use flate2::write::GzEncoder;
use image::config::Config;
use image::digest::{Algorithm, Digest};
use image::error::Result;
use image::platform::Platform;
use image::progress::Silent;
use image::reference::Reference;
use image::source::{Blob, Form, Found, LayerSource, Source};
use image::store::{Image, Request, Store};
use image::tarball::Limits;
use image::unpack::Options;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use tests::archive::{Entry, Long, archive, record};
use tests::tree::Tree;

/// An image in memory.
struct Memory(Vec<Vec<u8>>);

impl Source for Memory {
    fn describe(&mut self, _: &Reference, platform: &Platform) -> Result<Found> {
        let layer = |(at, bytes): (usize, &Vec<u8>)| LayerSource {
            blob: Blob {
                place: at.to_string(),
                media_type: "application/vnd.oci.image.layer.v1.tar".to_owned(),
                digest: Some(Digest::of(Algorithm::Sha256, bytes)),
                size: Some(bytes.len() as u64),
            },
            diff_id: None,
            form: Form::Changes,
        };
        Ok(Found {
            id: Digest::of(Algorithm::Sha256, b""),
            config: Config::default(),
            platform: Some(platform.clone()),
            created: None,
            layers: self.0.iter().enumerate().map(layer).collect(),
        })
    }

    fn open(&mut self, blob: &Blob) -> Result<Box<dyn Read + '_>> {
        Ok(Box::new(self.0[blob.place.parse::<usize>().unwrap()].as_slice()))
    }
}

/// A store, and a file beside it that is somebody else's.
struct Place {
    directory: tempfile::TempDir,
    before: Tree,
}

impl Place {
    fn new() -> Place {
        // In memory if possible: a store waits for its disk.
        let shm = Path::new("/dev/shm");
        let directory = if shm.is_dir() { tempfile::tempdir_in(shm) } else { tempfile::tempdir() }.unwrap();
        let outside = directory.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("victim"), "safe").unwrap();
        let before = Tree::read(&outside);
        Place { directory, before }
    }

    /// What is somebody else's.
    fn victim(&self) -> String {
        self.directory.path().join("outside/victim").display().to_string()
    }

    fn store(&self) -> PathBuf {
        self.directory.path().join("store")
    }

    /// Brings in an image of these layers.
    fn import(&self, layers: &[Vec<u8>]) -> Result<Image> {
        let limits = Limits { entries: 1000, bytes: 8 << 20, ..Limits::default() };
        let options = Options { limits, ..Options::default() };
        let reference: Reference = "hostile".parse().unwrap();
        let platform = Platform::host();
        let request = Request { reference: &reference, platform: &platform, options: &options, again: false };
        let store = Store::open(&self.store()).unwrap();
        let outcome = store.import(&request, || Ok(Box::new(Memory(layers.to_vec()))), &mut Silent);
        let differences = Tree::read(&self.directory.path().join("outside")).differences(&self.before);
        assert!(differences.is_empty(), "{differences:?}");
        assert_eq!(entries(self.directory.path()), ["outside", "store"]);
        assert!(entries(&self.store().join("staging")).is_empty());
        assert_eq!(entries(&self.store().join("images")).len(), usize::from(outcome.is_ok()));
        outcome
    }

    /// It is refused for this reason, and what is left are at most the layers below the one that is refused.
    #[track_caller]
    fn refused(&self, layers: &[Vec<u8>], because: &str) {
        let error = self.import(layers).unwrap_err().to_string();
        assert!(error.contains(because), "{error}");
        assert!(entries(&self.store().join("layers")).len() < layers.len());
    }

    /// The tree of its topmost layer.
    fn tree(&self, image: &Image) -> PathBuf {
        let store = Store::open(&self.store()).unwrap();
        store.tree_path(&image.layers.last().unwrap().chain)
    }
}

fn entries(directory: &Path) -> Vec<String> {
    let names = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

#[track_caller]
fn refused(layers: &[&[Entry]], because: &str) {
    let layers: Vec<Vec<u8>> = layers.iter().map(|entries| archive(entries)).collect();
    Place::new().refused(&layers, because);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

// --- names that lead out ---

#[test]
fn a_name_that_goes_up_is_refused() {
    for name in ["../x", "a/../../x", "a/..", "..", "./../x", "a/./../../x"] {
        refused(&[&[Entry::file(name, "x")]], "\"..\"");
    }
}

#[test]
fn an_absolute_name_is_refused() {
    let place = Place::new();
    place.refused(&[archive(&[Entry::file(place.victim(), "x")])], "absolute");
}

#[test]
fn a_name_that_goes_up_in_an_extended_header_is_refused() {
    refused(&[&[Entry::file("a", "x").with("path", "../x")]], "\"..\"");
    refused(
        &[&[
            Entry { long: Long::Gnu, ..Entry::file(format!("{}../x", "a/".repeat(60)), "x") },
            Entry::file("../x", ""),
        ]],
        "\"..\"",
    );
}

#[test]
fn a_hard_link_that_leads_out_is_refused() {
    let place = Place::new();
    place.refused(&[archive(&[Entry::hardlink("x", place.victim())])], "absolute");
    refused(&[&[Entry::hardlink("x", "../../../../outside/victim")]], "\"..\"");
    refused(&[&[Entry::hardlink("x", "x")]], "");
    refused(&[&[Entry::hardlink("x", "")]], "");
}

// --- links on the way ---

#[test]
fn a_file_behind_a_link_that_leads_out_is_made_inside() {
    let place = Place::new();
    let out = place.directory.path().join("outside").display().to_string();
    for target in [out.as_str(), "../../../../../outside", "/"] {
        let layers = [archive(&[Entry::symlink("link", target), Entry::file("link/victim", "harm")])];
        place.import(&layers).unwrap();
    }
}

#[test]
fn a_file_behind_a_link_of_a_lower_layer_is_made_inside() {
    let place = Place::new();
    let out = place.directory.path().join("outside").display().to_string();
    let below = archive(&[Entry::symlink("link", &out)]);
    place.import(&[below, archive(&[Entry::file("link/victim", "harm")])]).unwrap();
}

#[test]
fn a_file_in_place_of_a_link_does_not_go_through_it() {
    let place = Place::new();
    let layers = [archive(&[Entry::symlink("link", place.victim()), Entry::file("link", "harm")])];
    let image = place.import(&layers).unwrap();
    assert_eq!(std::fs::read_to_string(place.tree(&image).join("link")).unwrap(), "harm");
}

#[test]
fn a_hard_link_to_a_link_is_a_link_and_not_what_it_leads_to() {
    let place = Place::new();
    let entries = [
        Entry::symlink("link", place.victim()),
        Entry::hardlink("other", "link"),
        Entry::file("other", "harm"),
    ];
    place.import(&[archive(&entries)]).unwrap();
    refused(
        &[&[Entry::symlink("link", "/"), Entry::hardlink("x", "link/outside/victim")]],
        "there is no file",
    );
}

#[test]
fn links_in_a_circle_are_refused() {
    let circle = [Entry::symlink("a", "b"), Entry::symlink("b", "a"), Entry::file("a/x", "x")];
    refused(&[&circle], "lead to one another");
}

// --- what is taken away ---

#[test]
fn a_whiteout_of_what_is_above_is_refused() {
    for name in [".wh..", ".wh...", "a/.wh..", "a/.wh...", ".wh.", "a/.wh."] {
        refused(&[&[Entry::file("a/b", "x")], &[Entry::file(name, "")]], "");
    }
}

#[test]
fn a_whiteout_behind_a_link_takes_away_nothing_outside() {
    let place = Place::new();
    let out = place.directory.path().join("outside").display().to_string();
    let below = archive(&[Entry::symlink("link", &out)]);
    place.import(&[below.clone(), archive(&[Entry::file("link/.wh.victim", "")])]).unwrap();
    let place = Place::new();
    place.import(&[below, archive(&[Entry::file("link/.wh..wh..opq", "")])]).unwrap();
}

#[test]
fn a_device_that_overlayfs_takes_for_a_whiteout_is_refused() {
    refused(&[&[Entry::of(b'3', "x", "")]], "taken away");
}

#[test]
fn attributes_that_mean_something_to_overlayfs_are_not_taken_over() {
    let place = Place::new();
    let name = |attribute: &str| format!("SCHILY.xattr.trusted.overlay.{attribute}");
    let entry = Entry::directory("d")
        .with(&name("opaque"), "y")
        .with(&name("redirect"), "/")
        .with(&name("metacopy"), "");
    // Refused or left out: either will do.
    if let Ok(image) = place.import(&[archive(&[entry])]) {
        let tree = Tree::read(&place.tree(&image));
        assert!(tree.0[Path::new("d")].xattrs.is_empty(), "{tree:?}");
    }
}

// --- devices ---

#[test]
fn device_files_are_refused_unless_they_are_allowed() {
    for kind in [b'3', b'4'] {
        refused(&[&[Entry { device: (8, 0), ..Entry::of(kind, "disk", "") }]], "device file");
    }
}

// --- too much ---

#[test]
fn a_bomb_is_refused_before_it_has_gone_off() {
    let zeros = archive(&[Entry::file("bomb", vec![0; 64 << 20])]);
    Place::new().refused(&[gzip(&zeros)], "more than");
    // It says that it is small, and is not.
    let entry = Entry { size: Some(1), data: vec![0; 16 << 20], ..Entry::file("bomb", "") };
    Place::new().refused(&[gzip(&archive(&[entry]))], "");
}

#[test]
fn a_size_that_cannot_be_is_refused() {
    for size in [1 << 33, 1 << 62, u64::MAX] {
        refused(&[&[Entry { size: Some(size), ..Entry::file("x", "") }]], "");
    }
    refused(&[&[Entry::file("x", "").with("size", "18446744073709551615")]], "");
    refused(&[&[Entry::file("x", "").with("size", "-1")]], "");
}

#[test]
fn too_many_entries_are_refused() {
    let many: Vec<Entry> = (0..1001).map(|number| Entry::file(format!("f{number}"), "")).collect();
    refused(&[&many], "entries");
}

#[test]
fn a_sparse_file_that_is_larger_than_all_that_is_allowed_is_refused() {
    let map = b"1\n0\n0\n".to_vec();
    let entry = Entry { data: map, ..Entry::file("x", "") }
        .with("GNU.sparse.major", "1")
        .with("GNU.sparse.minor", "0")
        .with("GNU.sparse.name", "x")
        .with("GNU.sparse.realsize", "1099511627776");
    refused(&[&[entry]], "");
}

#[test]
fn an_extended_header_that_is_too_long_is_refused() {
    refused(&[&[Entry::file("x", "").with("comment", vec![b'x'; 2 << 20])]], "");
}

#[test]
fn a_name_that_no_filesystem_can_keep_is_refused() {
    refused(&[&[Entry::file("n".repeat(256), "")]], "255 bytes");
    refused(&[&[Entry::file("a/".repeat(3000), "")]], "");
    refused(&[&[Entry::file("x", "").with("path", "a\0b")]], "bad path");
}

#[test]
fn directories_in_directories_without_end_are_taken_in_or_refused_without_harm() {
    let place = Place::new();
    let deep: Vec<Entry> = (1..900).map(|depth| Entry::directory("d/".repeat(depth))).collect();
    // Whatever it is, it can be thrown away again.
    let _ = place.import(&[archive(&deep)]);
}

// --- what two readers understand differently ---

#[test]
fn what_is_damaged_is_refused() {
    let good = archive(&[Entry::file("a", "x"), Entry::file("b", "y")]);
    refused(&[&[Entry { bad_checksum: true, ..Entry::file("x", "") }]], "checksum");
    Place::new().refused(&[good[..700].to_vec()], "cut off");
    Place::new().refused(&[gzip(&good)[..40].to_vec()], "");
    Place::new().refused(&[b"no archive at all".repeat(100)], "");
    Place::new().refused(&[[good.clone(), good].concat()], "follows the end");
}

#[test]
fn a_malformed_record_of_an_extended_header_is_refused() {
    for record in
        [&b"99 path=../x\n"[..], b"0 \n", b"7 a=b", b"-1 a=b\n", b"x path=y\n", b"12 path=a\nb=c\n\n\n"]
    {
        let header = Entry { data: record.to_vec(), ..Entry::of(b'x', "x", "") };
        refused(&[&[header, Entry::file("a", "")]], "extended header");
    }
    // The right one is taken.
    let header = Entry { data: record(b"path", b"b"), ..Entry::of(b'x', "x", "") };
    Place::new().import(&[archive(&[header, Entry::file("a", "")])]).unwrap();
}
