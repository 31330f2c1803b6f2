//! Images that umoci, buildah and mmdebstrap have made, in every format, beside what `umoci unpack` makes of them: the
//! same paths, types, permissions, owners, times, attributes, links and contents, whether layers are copied or laid over
//! one another.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use image::backend::{Backend, Plan};
use image::error::Error;
use image::platform::Platform;
use image::progress::Silent;
use image::reference::Reference;
use image::source;
use image::store::{Chain, Request, Store};
use image::unpack::Options;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use std::path::Path;
use tests::images;
use tests::tree::Tree;

/// Runs a test with mounts of its own, if that is possible.
fn apart(what: &str, test: impl FnOnce() + Send) {
    if !images::are_we_root(what) {
        return;
    }
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNS).unwrap();
            mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
                .unwrap();
            test();
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

/// Brings an image in, and tells its layers.
fn import(store: &Store, path: &Path, reference: &str) -> Vec<Chain> {
    let reference: Reference = reference.parse().unwrap();
    let platform = Platform::host();
    // The images have device files, and are ours.
    let options = Options { devices: true, ..Options::default() };
    let request = Request { reference: &reference, platform: &platform, options: &options, again: false };
    let scratch = store.root().join("staging");
    let open = || source::open(path, &scratch, Box::new(|_| Err(Error::missing("no other image"))));
    let image = store.import(&request, open, &mut Silent).unwrap();
    image.layers.into_iter().map(|layer| layer.chain).collect()
}

/// Both backends make what umoci has made.
fn compare(name: &str, file: &str, reference: &str) {
    let directory = images::directory();
    let expected = Tree::read(&directory.join("trees").join(name));
    let place = tempfile::tempdir().unwrap();
    let store = Store::open(&place.path().join("store")).unwrap();
    let layers = import(&store, &directory.join(file), reference);
    for backend in [Backend::Copy, Backend::Overlay] {
        let (root, scratch) = (place.path().join("root"), place.path().join("scratch"));
        let plan = Plan { layers: &layers, root: &root, scratch: &scratch, writable: true, places: &[] };
        backend.make(&store, &plan).unwrap();
        let found = Tree::read(&root);
        let differences = expected.differences(&found);
        backend.destroy(&root, &scratch).unwrap();
        assert!(differences.is_empty(), "{file} by {backend} (umoci and ours):\n{}", differences.join("\n"));
        assert!(found.0.len() > 50, "{} files", found.0.len());
    }
}

fn layout(name: &str) -> String {
    format!("oci:{}:{name}", images::directory().join("layout").display())
}

#[test]
fn layouts_give_the_trees_that_umoci_unpacks() {
    apart("trees of images in a layout", || {
        for name in ["odd", "inserted", "buildah", "debian"] {
            compare(name, "layout", &layout(name));
        }
    });
}

#[test]
fn layers_compressed_by_zstd_give_the_same_tree() {
    apart("the tree of layers compressed by zstd", || compare("odd", "layout", &layout("odd-zstd")));
}

#[test]
fn archives_of_all_formats_give_the_same_trees() {
    apart("trees of images in archives", || {
        for name in ["odd", "inserted", "buildah"] {
            let archive = format!("{name}.oci.tar");
            compare(name, &archive, &format!("oci:{}:{name}", images::directory().join(&archive).display()));
            for format in ["docker", "legacy"] {
                compare(
                    name,
                    &format!("{name}.{format}.tar"),
                    &format!("docker://example.org/{name}:latest"),
                );
            }
        }
    });
}
