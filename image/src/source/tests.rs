//! Images of every kind come in, and bad ones do not.

use super::*;
use crate::error::Kind;
use crate::progress::Silent;
use crate::store::{Image, Request};
use crate::testing::Place;
use crate::testing::archive::{Item, archive};
use crate::testing::images::{self, Layer, aci, docker, gzip, layout, legacy, packed, sha512};
use crate::unpack::Options;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Brings in what is at a path, dependencies being beside it.
fn import(place: &Place, path: &Path, name: &str) -> Result<Image> {
    let reference: Reference = name.parse()?;
    let (platform, options) = (Platform::host(), Options::default());
    let request = Request { reference: &reference, platform: &platform, options: &options, again: true };
    let beside = path.parent().unwrap().to_owned();
    let find: Finder = Box::new(move |wanted| {
        let path = beside.join(format!("{}.aci", wanted.name));
        if path.exists() {
            Ok(path.into())
        } else {
            Err(Error::missing(format!("{} is not here", wanted.name)))
        }
    });
    place.store.import(&request, || open(path, &place.path("store/staging"), find), &mut Silent)
}

fn written(place: &Place, name: &str, bytes: &[u8]) -> PathBuf {
    let path = place.path(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn lay(place: &Place, name: &str, files: &[(String, Vec<u8>)]) -> PathBuf {
    let path = place.path(name);
    for (name, bytes) in files {
        std::fs::create_dir_all(path.join(name).parent().unwrap()).unwrap();
        std::fs::write(path.join(name), bytes).unwrap();
    }
    path
}

/// What the files of an image say, by its layers.
fn texts(place: &Place, image: &Image, name: &str) -> Vec<Option<String>> {
    let read = |layer: &crate::store::Layer| {
        std::fs::read_to_string(place.store.tree_path(&layer.chain).join(name)).ok()
    };
    image.layers.iter().map(read).collect()
}

fn two() -> Vec<Vec<u8>> {
    vec![archive(&[Item::file("temp", "foo 123")]), archive(&[Item::file("temp", "bar 456")])]
}

fn expect_two(place: &Place, image: &Image) {
    assert_eq!(texts(place, image, "temp"), [Some("foo 123".to_owned()), Some("bar 456".to_owned())]);
}

#[test]
fn a_legacy_archive_is_followed_from_its_topmost_layer_down() {
    let Some(place) = Place::new() else { return };
    let layers = [("123", two()[0].clone()), ("456", two()[1].clone())];
    let process = json!({"Cmd": ["sh"]});
    let path = written(&place, "a.tar", &archive(&legacy("abc", "latest", &layers, &process)));
    let image = import(&place, &path, "abc").unwrap();
    expect_two(&place, &image);
    assert_eq!(image.config.cmd, ["sh"]);
    let error = import(&place, &path, "abc:other").unwrap_err();
    assert_eq!(error.kind, Kind::Missing);
    assert!(error.to_string().contains("there are: docker:///abc:latest"), "{error}");
    // The whole of it compressed.
    let path = written(&place, "a.tar.gz", &gzip(&archive(&legacy("abc", "1", &layers, &process))));
    expect_two(&place, &import(&place, &path, "abc:1").unwrap());
}

#[test]
fn a_legacy_archive_that_leads_in_circles_or_out_is_refused() {
    let Some(place) = Place::new() else { return };
    let error = |change: &dyn Fn(&mut Vec<Item>)| {
        let layers = [("123", two()[0].clone()), ("456", two()[1].clone())];
        let mut items = legacy("abc", "latest", &layers, &json!({}));
        change(&mut items);
        import(&place, &written(&place, "a.tar", &archive(&items)), "abc").unwrap_err().to_string()
    };
    let set = |items: &mut Vec<Item>, name: &str, text: &str| {
        let item = items.iter_mut().find(|item| item.path == name.as_bytes()).unwrap();
        item.data = text.into();
    };
    assert!(error(&|items| set(items, "123/json", r#"{"parent":"456"}"#)).contains("lies below itself"));
    assert!(error(&|items| set(items, "123/json", r#"{"parent":"../456"}"#)).contains("cannot be the id"));
    assert!(error(&|items| set(items, "123/json", r#"{"parent":1}"#)).contains("123/json"));
    assert!(error(&|items| set(items, "123/json", r#"{"parent":"789"}"#)).contains("789/json is not there"));
    assert!(error(&|items| items.retain(|item| item.path != b"456/layer.tar")).contains("456/layer.tar"));
    assert!(error(&|items| set(items, "repositories", "[]")).contains("repositories"));
}

#[test]
fn an_archive_of_docker_is_read_by_its_list() {
    let Some(place) = Place::new() else { return };
    let process = json!({"Entrypoint": ["/bin/a"], "Env": ["A=1"], "User": "1:2", "StopSignal": "SIGQUIT"});
    let bytes = archive(&docker(&["abc:latest", "r.io/abc:2"], &process, &two()));
    let path = written(&place, "a.tar", &bytes);
    for name in ["abc", "r.io/abc:2"] {
        let image = import(&place, &path, name).unwrap();
        expect_two(&place, &image);
        assert_eq!((image.config.user.as_str(), image.config.stop_signal.as_str()), ("1:2", "SIGQUIT"));
    }
    assert!(
        import(&place, &path, "abc:3")
            .unwrap_err()
            .to_string()
            .contains("there are: docker:///abc:latest, docker://r.io/abc:2")
    );
    let nameless = written(&place, "b.tar", &archive(&docker(&[], &process, &two())));
    expect_two(&place, &import(&place, &nameless, "anything").unwrap());
}

/// Layers that are there twice are links to one another.
#[test]
fn a_layer_of_an_archive_may_be_a_link() {
    let Some(place) = Place::new() else { return };
    let same = vec![two()[0].clone(), two()[0].clone()];
    let mut items = docker(&["abc:latest"], &json!({}), &same);
    let last = items.last_mut().unwrap();
    *last = Item::symlink("1/layer.tar", "../0/layer.tar");
    let mut out = items.clone();
    *out.last_mut().unwrap() = Item::symlink("1/layer.tar", "../../../etc/passwd");
    assert!(import(&place, &written(&place, "b.tar", &archive(&out)), "abc").is_err());
    let image = import(&place, &written(&place, "a.tar", &archive(&items)), "abc").unwrap();
    assert_eq!(texts(&place, &image, "temp"), [Some("foo 123".to_owned()), Some("foo 123".to_owned())]);
}

#[test]
fn digests_of_an_archive_are_compared() {
    let Some(place) = Place::new() else { return };
    let items = docker(&["abc:latest"], &json!({}), &two());
    let mut wrong = items.clone();
    wrong[3].data = archive(&[Item::file("temp", "evil")]);
    let error = import(&place, &written(&place, "a.tar", &archive(&wrong)), "abc").unwrap_err().to_string();
    assert!(
        error.contains("1/layer.tar, uncompressed: digest sha256:") && error.contains("expected"),
        "{error}"
    );
    let mut wrong = items;
    wrong[1].data.push(b' ');
    let error = import(&place, &written(&place, "a.tar", &archive(&wrong)), "abc").unwrap_err().to_string();
    assert!(error.contains("configuration") && error.contains("expected"), "{error}");
    assert!(std::fs::read_dir(place.path("store/images")).unwrap().next().is_none());
    assert!(std::fs::read_dir(place.path("store/staging")).unwrap().next().is_none());
}

#[test]
fn layouts_are_read_from_directories_and_archives_however_their_layers_are_compressed() {
    let Some(place) = Place::new() else { return };
    for how in ["", "+gzip", "+zstd"] {
        let layers: Vec<Layer> = two().into_iter().map(|layer| Layer::new(layer, how)).collect();
        let files = layout(&[Some("v1"), Some("v2")], &json!({"Cmd": ["x"]}), &layers);
        let directory = lay(&place, &format!("layout{how}"), &files);
        let name = format!("oci:{}:v2", directory.display());
        let image = import(&place, &directory, &name).unwrap();
        expect_two(&place, &image);
        let packed = written(&place, "layout.tar", &packed(&files));
        assert_eq!(import(&place, &packed, "oci:x:v1").unwrap().id, image.id);
        let error = import(&place, &packed, "oci:x:v3").unwrap_err().to_string();
        assert!(error.contains("there are: v1, v2"), "{error}");
        assert!(import(&place, &packed, "oci:x").unwrap_err().to_string().contains("may be one of several"));
    }
    let files = layout(&[None], &json!({}), &[Layer::new(two()[0].clone(), "")]);
    import(&place, &lay(&place, "alone", &files), "oci:alone").unwrap();
    import(&place, &lay(&place, "alone", &files), "abc:1").unwrap();
}

#[test]
fn a_blob_of_a_layout_that_is_not_what_it_should_be_is_named() {
    let Some(place) = Place::new() else { return };
    let layer = || Layer::new(two()[0].clone(), "+gzip");
    let files = layout(&[Some("v1")], &json!({}), &[layer()]);
    let blob = format!("sha256:{}", images::sha256(&layer().bytes));
    let error = |name: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let mut files = files.clone();
        change(&mut files.iter_mut().find(|(found, _)| found.contains(name)).unwrap().1);
        import(&place, &written(&place, "a.tar", &packed(&files)), "oci:a:v1").unwrap_err().to_string()
    };
    let hex = blob.strip_prefix("sha256:").unwrap();
    let flipped = error(hex, &|bytes| *bytes.last_mut().unwrap() ^= 1);
    assert!(flipped.contains(&format!("layer {blob}: digest {blob} expected, sha256:")), "{flipped}");
    let cut = error(hex, &|bytes| bytes.truncate(40));
    assert!(cut.contains(&format!("layer {blob}")) && cut.contains("bytes expected, 40 found"), "{cut}");
    let long = error(hex, &|bytes| bytes.push(0));
    assert!(long.contains("more than"), "{long}");
    let index = error("index.json", &|bytes| bytes.truncate(10));
    assert!(index.contains("index.json"), "{index}");
    let marker = error("oci-layout", &|bytes| *bytes = br#"{"imageLayoutVersion":"2.0.0"}"#.to_vec());
    assert!(marker.contains("version"), "{marker}");
    // Each of the documents.
    for (name, _) in files.iter().filter(|(name, _)| name.starts_with("blobs") && !name.contains(hex)) {
        assert!(error(name, &|bytes| bytes[0] = b'[').contains("digest"), "{name}");
    }
}

#[test]
fn what_was_damaged_on_its_way_is_the_reason_that_is_given() {
    let Some(place) = Place::new() else { return };
    // The archive is broken, and the digest tells why.
    let files = layout(&[None], &json!({}), &[Layer::new(two()[0].clone(), "")]);
    let hex = images::sha256(&two()[0]);
    let mut files = files;
    files.iter_mut().find(|(name, _)| name.contains(&hex)).unwrap().1[0] = b'x';
    let error = import(&place, &written(&place, "a.tar", &packed(&files)), "oci:a").unwrap_err().to_string();
    assert!(error.contains("digest") && !error.contains("checksum"), "{error}");
}

fn store_aci(place: &Place, name: &str, rest: &Value, items: &[Item]) -> String {
    let bytes = aci(name, "1.0", rest, items);
    written(place, &format!("{name}.aci"), &gzip(&bytes));
    format!("sha512-{}", sha512(&bytes))
}

#[test]
fn an_app_container_image_comes_in_with_its_process_and_its_id() {
    let Some(place) = Place::new() else { return };
    let app = json!({"app": {"exec": ["/bin/a", "b"], "user": "1", "group": "2", "workingDirectory": "/w",
        "environment": [{"name": "A", "value": "1"}]}});
    let id = store_aci(&place, "app", &app, &[Item::file("tmp/test", "test")]);
    let path = place.path("app.aci");
    let image = import(&place, &path, "appc:app,version=1.0,os=linux").unwrap();
    assert_eq!(texts(&place, &image, "tmp/test"), [Some("test".to_owned())]);
    assert_eq!((image.config.cmd.join(" "), image.config.user.as_str()), ("/bin/a b".to_owned(), "1:2"));
    assert_eq!((image.config.working_dir.as_str(), image.config.env.join(" ")), ("/w", "A=1".to_owned()));
    assert!(import(&place, &path, &format!("appc:app,id={id}")).is_ok());
    let other = format!("appc:app,id=sha512-{}", "0".repeat(128));
    assert!(import(&place, &path, &other).unwrap_err().to_string().contains("expected"));
    assert!(import(&place, &path, "appc:other").unwrap_err().to_string().contains("is called"));
    assert!(import(&place, &path, "appc:app:2.0").unwrap_err().to_string().contains("version"));
    assert!(import(&place, &path, "appc:app,os=plan9").unwrap_err().to_string().contains("os"));
    let bare = written(&place, "bare.aci", &archive(&[Item::file("manifest", "{}")]));
    assert!(import(&place, &bare, "appc:app").is_err());
}

/// A on B on C, and A on D on C: each once, what is depended on first.
#[test]
fn dependencies_lie_below_each_once_and_never_in_circles() {
    let Some(place) = Place::new() else { return };
    let on = |names: &[&str]| {
        let list: Vec<Value> = names.iter().map(|name| json!({"imageName": name})).collect();
        json!({"dependencies": list})
    };
    let file = |name: &str| [Item::file("who", name), Item::file(&format!("of-{name}"), "")];
    store_aci(&place, "c", &on(&[]), &file("c"));
    store_aci(&place, "b", &on(&["c"]), &file("b"));
    store_aci(&place, "d", &on(&["c"]), &file("d"));
    let rest = json!({"dependencies": [{"imageName": "b"}, {"imageName": "d"}], "app": {"exec": ["/a"], "user": "0", "group": "0"}});
    store_aci(&place, "a", &rest, &file("a"));
    let image = import(&place, &place.path("a.aci"), "appc:a").unwrap();
    let order: Vec<String> = texts(&place, &image, "who").into_iter().flatten().collect();
    assert_eq!(order, ["c", "b", "d", "a"]);
    // What is run is said by the image itself, not by the deepest that it depends on.
    assert_eq!(image.config.cmd, ["/a"]);
    store_aci(&place, "x", &on(&["y"]), &file("x"));
    store_aci(&place, "y", &on(&["x"]), &file("y"));
    assert!(
        import(&place, &place.path("x.aci"), "appc:x").unwrap_err().to_string().contains("depends on itself")
    );
    store_aci(&place, "z", &on(&["nowhere"]), &file("z"));
    assert!(
        import(&place, &place.path("z.aci"), "appc:z")
            .unwrap_err()
            .to_string()
            .contains("nowhere is not here")
    );
    let wrong =
        json!({"dependencies": [{"imageName": "c", "imageID": format!("sha512-{}", "0".repeat(128))}]});
    store_aci(&place, "w", &wrong, &file("w"));
    assert!(import(&place, &place.path("w.aci"), "appc:w").unwrap_err().to_string().contains("expected"));
}

/// By the tools themselves, where they are.
#[test]
fn an_app_container_image_may_be_compressed_by_gzip_bzip2_or_xz() {
    let Some(place) = Place::new() else { return };
    let bytes = aci("app", "1.0", &json!({}), &[Item::file("f", "same")]);
    let plain = written(&place, "plain", &bytes);
    for tool in ["gzip", "bzip2", "xz"] {
        let Ok(output) = std::process::Command::new(tool).arg("-c").arg(&plain).output() else {
            eprintln!("NOT CHECKED: an image compressed by {tool}, which is not here");
            continue;
        };
        let path = written(&place, "app.aci", &output.stdout);
        let image = import(&place, &path, &format!("appc:app,id=sha512-{}", sha512(&bytes))).unwrap();
        assert_eq!(texts(&place, &image, "f"), [Some("same".to_owned())], "{tool}");
        let cut = written(&place, "app.aci", &output.stdout[..output.stdout.len() / 2]);
        let error = import(&place, &cut, "appc:app").unwrap_err().to_string();
        assert!(error.contains("app.aci: ") && error.contains(tool), "{error}");
    }
}

/// What is not named is gone, be it of the image or of what it depends on.
#[test]
fn of_an_image_with_a_whitelist_only_that_is_left() {
    let Some(place) = Place::new() else { return };
    let below = [
        Item::file("etc/kept", "below"),
        Item::file("etc/gone", ""),
        Item::file("gone/a", ""),
        Item::directory("empty"),
        Item::file("empty/gone", ""),
        Item::file("over", "below"),
    ];
    let above = [
        Item::file("own/kept", "above"),
        Item::file("own/gone", ""),
        Item::file("over", "above"),
        Item::file("own/deep/gone", ""),
        Item::link("etc/link", "rootfs/own/gone"),
    ];
    store_aci(&place, "below", &json!({}), &below);
    let list = json!(["/etc/kept", "/empty/", "/own/kept", "/over", "/etc/link", "/nowhere/at/all"]);
    let rest = json!({"dependencies": [{"imageName": "below"}], "pathWhitelist": list});
    store_aci(&place, "above", &rest, &above);
    let image = import(&place, &place.path("above.aci"), "appc:above").unwrap();
    for backend in [crate::backend::Backend::Copy, crate::backend::Backend::Overlay] {
        let wish = crate::provision::Wish { backend: Some(backend), writable: true, places: &[] };
        let id = backend.word().parse().unwrap();
        let root = place.containers.provision(&place.store, &id, &image, &wish).unwrap().root;
        let mut found = Vec::new();
        let mut open = vec![root.clone()];
        while let Some(directory) = open.pop() {
            for entry in std::fs::read_dir(directory).unwrap().flatten() {
                found.push(entry.path().strip_prefix(&root).unwrap().display().to_string());
                if entry.path().is_dir() {
                    open.push(entry.path());
                }
            }
        }
        found.sort();
        assert_eq!(found, ["empty", "etc", "etc/kept", "etc/link", "over", "own", "own/kept"], "{backend}");
        assert_eq!(std::fs::read_to_string(root.join("over")).unwrap(), "above");
    }
    assert_eq!(place.store.verify(false, |_| false).unwrap(), []);
    // One that others depend on would have to leave alone what those have besides.
    store_aci(&place, "top", &json!({"dependencies": [{"imageName": "above"}]}), &[]);
    let error = import(&place, &place.path("top.aci"), "appc:top").unwrap_err().to_string();
    assert!(error.contains("top depends on appc:above") && error.contains("pathWhitelist"), "{error}");
    let bad = json!({"pathWhitelist": ["/a/../../b"]});
    store_aci(&place, "bad", &bad, &[]);
    assert!(
        import(&place, &place.path("bad.aci"), "appc:bad").unwrap_err().to_string().contains("pathWhitelist")
    );
}

#[test]
fn a_layer_that_is_not_distributed_with_its_image_is_refused_in_words() {
    let Some(place) = Place::new() else { return };
    for kind in [
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
    ] {
        let mut layer = Layer::new(two()[0].clone(), "");
        layer.media_type = kind.to_owned();
        let path = lay(&place, kind.rsplit('.').next().unwrap(), &layout(&[Some("1")], &json!({}), &[layer]));
        let error = import(&place, &path, &format!("oci:{}:1", path.display())).unwrap_err().to_string();
        assert!(error.contains("is not distributed with its image"), "{error}");
    }
}

#[test]
fn what_is_no_image_is_refused() {
    let Some(place) = Place::new() else { return };
    let error =
        |bytes: &[u8]| import(&place, &written(&place, "a.tar", bytes), "abc").unwrap_err().to_string();
    assert!(error(&archive(&[Item::file("x", "")])).contains("is no image"));
    assert!(error(b"hello").contains("cut off"));
    assert!(error(&[0xfd, b'7', b'z', b'X', b'Z', 0, 0, 0]).contains("xz compression is damaged or cut off"));
    assert!(error(b"BZh91AY&SY12345").contains("bzip2 compression is damaged"));
    assert!(error(&gzip(&archive(&[Item::file("x", "")]))[..30]).contains("gzip compression is damaged"));
}
