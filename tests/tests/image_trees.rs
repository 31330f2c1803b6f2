//! Images that umoci, buildah and mmdebstrap have made, and skopeo and GNU tar have packed in every format, beside what
//! `umoci unpack` makes of them: the same paths, types, permissions, owners, times, attributes, links, devices and
//! contents, whether layers are copied, laid over one another or bound.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use image::backend::{Backend, Plan};
use image::digest::{Algorithm, Digest};
use image::error::Error;
use image::platform::Platform;
use image::progress::Silent;
use image::reference::Reference;
use image::source;
use image::store::{Chain, Request, Store};
use image::unpack::Options;
use nix::mount::{MsFlags, mount, umount};
use nix::sched::{CloneFlags, unshare};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Stdio};
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

/// The four images: two by umoci, one of which covers a directory, one by buildah, and one of Debian by mmdebstrap.
const NAMES: [&str; 4] = ["odd", "inserted", "buildah", "debian"];

/// Every way to make a root makes what umoci has made; binding, where there is one layer.
fn compare(name: &str, path: &Path, reference: &str) {
    let expected = Tree::read(&images::directory().join("trees").join(name));
    assert!(expected.0.len() > 50, "{} files", expected.0.len());
    let place = tempfile::tempdir().unwrap();
    let store = Store::open(&place.path().join("store")).unwrap();
    let layers = import(&store, path, reference);
    let ways = [(Backend::Copy, true), (Backend::Overlay, true), (Backend::Overlay, false)];
    let bound = (layers.len() == 1).then_some((Backend::Bind, false));
    for (backend, writable) in ways.into_iter().chain(bound) {
        let (root, scratch) = (place.path().join("root"), place.path().join("scratch"));
        let plan = Plan { layers: &layers, root: &root, scratch: &scratch, writable, places: &[] };
        backend.make(&store, &plan).unwrap();
        let differences = expected.differences(&Tree::read(&root));
        backend.destroy(&root, &scratch).unwrap();
        let shown = path.display();
        assert!(differences.is_empty(), "{shown} by {backend} (umoci and ours):\n{}", differences.join("\n"));
    }
}

fn layout(name: &str) -> String {
    format!("oci:{}:{name}", images::directory().join("layout").display())
}

#[test]
fn layouts_give_the_trees_that_umoci_unpacks() {
    apart("trees of images in a layout", || {
        for name in NAMES {
            compare(name, &images::directory().join("layout"), &layout(name));
        }
    });
}

#[test]
fn layers_compressed_by_zstd_give_the_same_tree() {
    apart("the tree of layers compressed by zstd", || {
        compare("odd", &images::directory().join("layout"), &layout("odd-zstd"));
    });
}

/// As skopeo has packed them.
#[test]
fn archives_of_all_formats_give_the_same_trees() {
    apart("trees of images in archives", || {
        for name in NAMES {
            let archive = images::directory().join(format!("{name}.oci.tar"));
            compare(name, &archive, &format!("oci:{}:{name}", archive.display()));
            for format in ["docker", "legacy"] {
                let archive = images::directory().join(format!("{name}.{format}.tar"));
                compare(name, &archive, &format!("docker://example.org/{name}:latest"));
            }
        }
    });
}

/// Runs a program of this machine, which has to be there.
fn run(words: &[&str], place: &Path) {
    let status = Command::new(words[0]).args(&words[1..]).current_dir(place).status().unwrap();
    assert!(status.success(), "{words:?}");
}

const TAR: [&str; 7] =
    ["tar", "--format=posix", "--xattrs", "--xattrs-include=*", "--numeric-owner", "--sort=name", "-cf"];

/// App Container Images by GNU tar, of the trees that umoci has made, compressed in every way; they have one layer.
#[test]
fn app_container_images_give_the_same_trees_by_binding_too() {
    apart("trees of App Container Images", || {
        let place = tempfile::tempdir().unwrap();
        let place = place.path();
        std::fs::create_dir(place.join("rootfs")).unwrap();
        let arch = if cfg!(target_arch = "aarch64") { "aarch64" } else { "amd64" };
        for (name, tool, ending) in
            [("odd", "xz", "xz"), ("inserted", "bzip2", "bz2"), ("buildah", "gzip", "gz"), ("debian", "", "")]
        {
            let manifest = format!(
                "{{\"acKind\": \"ImageManifest\", \"acVersion\": \"0.8.11\", \"name\": \"{name}\", \"labels\": \
                 [{{\"name\": \"os\", \"value\": \"linux\"}}, {{\"name\": \"arch\", \"value\": \"{arch}\"}}]}}"
            );
            std::fs::write(place.join("manifest"), manifest).unwrap();
            let (tree, rootfs) = (images::directory().join("trees").join(name), place.join("rootfs"));
            mount(Some(&tree), &rootfs, None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
            run(&[&TAR[..], &["app.aci", "manifest", "rootfs"]].concat(), place);
            umount(&rootfs).unwrap();
            let mut path = place.join("app.aci");
            let there = |tool: &str| {
                Command::new(tool)
                    .arg("--version")
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .status()
                    .is_ok()
            };
            if !tool.is_empty() && there(tool) {
                run(&[tool, "-f", "app.aci"], place);
                path = place.join(format!("app.aci.{ending}"));
            } else if !tool.is_empty() {
                eprintln!("NOT CHECKED: an image compressed by {tool}, which is not here");
            }
            compare(name, &path, &format!("appc:{name}"));
        }
    });
}

/// One layer each: what Docker writes since its version 25 is a layout and a list at once.
#[test]
fn archives_with_a_layout_and_a_list_give_the_same_trees_by_binding_too() {
    apart("trees of archives that are both", || {
        let place = tempfile::tempdir().unwrap();
        let place = place.path();
        for name in ["odd", "inserted", "buildah"] {
            let (tree, packed) = (images::directory().join("trees").join(name), place.join(name));
            std::fs::create_dir_all(packed.join("blobs/sha256")).unwrap();
            run(&[&TAR[..], &[place.join("layer").to_str().unwrap(), "."]].concat(), &tree);
            let digest = |bytes: &[u8]| Digest::of(Algorithm::Sha256, bytes);
            let blob = |bytes: Vec<u8>, kind: &str| {
                let id = digest(&bytes);
                std::fs::write(packed.join("blobs/sha256").join(id.hex()), &bytes).unwrap();
                let kind = format!("application/vnd.oci.image.{kind}");
                json!({"mediaType": kind, "digest": id.to_string(), "size": bytes.len()})
            };
            let layer = blob(std::fs::read(place.join("layer")).unwrap(), "layer.v1.tar");
            let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
            let rootfs = json!({"type": "layers", "diff_ids": [layer["digest"]]});
            let config = json!({"os": "linux", "architecture": architecture, "rootfs": rootfs}).to_string();
            let config = blob(config.into_bytes(), "config.v1+json");
            let manifest = json!({"schemaVersion": 2, "config": config, "layers": [layer]}).to_string();
            let mut manifest = blob(manifest.into_bytes(), "manifest.v1+json");
            manifest["annotations"] = json!({"org.opencontainers.image.ref.name": "1"});
            let write =
                |file: &str, value: Value| std::fs::write(packed.join(file), value.to_string()).unwrap();
            write("oci-layout", json!({"imageLayoutVersion": "1.0.0"}));
            write("index.json", json!({"schemaVersion": 2, "manifests": [manifest]}));
            let at = |value: &Value| format!("blobs/sha256/{}", &value["digest"].as_str().unwrap()[7..]);
            write(
                "manifest.json",
                json!([{"Config": at(&config), "RepoTags": [format!("{name}:1")], "Layers": [at(&layer)]}]),
            );
            let archive = place.join(format!("{name}.tar"));
            run(&["tar", "-cf", archive.to_str().unwrap(), "."], &packed);
            compare(name, &archive, &format!("oci:{}:1", archive.display()));
            // Without the layout it is read by its list.
            run(
                &["tar", "--delete", "-f", archive.to_str().unwrap(), "./oci-layout", "./index.json"],
                &packed,
            );
            compare(name, &archive, &format!("docker:///{name}:1"));
        }
    });
}
