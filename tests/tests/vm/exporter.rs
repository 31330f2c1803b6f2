//! Container images of Debian's node exporter, in each format: by umoci and skopeo, and as App Container Images by
//! ourselves, since nobody packages a tool for those.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tests::archive::{Entry, archive};
use tests::images::tool;

/// Whose it is in the images, by their own `/etc/passwd`.
pub(crate) const USER: u32 = 4711;

/// The versions there are: the metric `exporter_image` tells which one runs.
const VERSIONS: [&str; 2] = ["1", "2"];

/// The port of each format.
pub(crate) const PORTS: [(&str, u16); 3] = [("docker", 9201), ("oci", 9202), ("appc", 9203)];

/// What is executed, but for the port.
const ENTRYPOINT: &str = "/usr/bin/prometheus-node-exporter";
const ARGUMENTS: [&str; 4] = [
    "--collector.disable-defaults",
    "--collector.uname",
    "--collector.textfile",
    "--collector.textfile.directory=/etc/exporter",
];

fn arguments(kind: &str) -> Vec<String> {
    let (_, port) = PORTS.iter().find(|(name, _)| *name == kind).unwrap();
    let port = format!("--web.listen-address=:{port}");
    ARGUMENTS.iter().map(|text| (*text).to_owned()).chain([port]).collect()
}

/// Fills a directory of local images: `exporter:1` and `exporter:2` as archives of Docker's, `oci:exporter:1` and
/// `oci:exporter:2`, and `appc:example.org/exporter:1` and `:2` over what they depend on.
pub(crate) fn make(place: &Path) {
    let work = tempfile::tempdir().unwrap();
    let run = |command: &mut Command| {
        let output = command.current_dir(work.path()).output().unwrap();
        assert!(output.status.success(), "{command:?}: {output:?}");
    };
    run(tool("umoci").args(["init", "--layout", "exporter"]));
    run(tool("umoci").args(["new", "--image", "exporter:base"]));
    run(tool("umoci").args(["unpack", "--image", "exporter:base", "bundle"]));
    let root = work.path().join("bundle/rootfs");
    fill(&root);
    run(tool("umoci").args(["repack", "--image", "exporter:base", "bundle"]));
    for version in VERSIONS {
        fs::create_dir(work.path().join(version)).unwrap();
        fs::write(work.path().join(version).join("image.prom"), metric(version)).unwrap();
        for kind in ["oci", "docker"] {
            // The names of layouts are those of the first kind: the others go into archives.
            let tag = if kind == "oci" { version.to_owned() } else { format!("{kind}-{version}") };
            run(tool("umoci")
                .args(["insert", "--image", "exporter:base", "--tag", &tag])
                .args([version, "/etc/exporter"]));
            let configured = format!("exporter:{tag}");
            let mut config = tool("umoci");
            config.args(["config", "--image", &configured, "--config.user", "exporter"]);
            config.args(["--config.entrypoint", ENTRYPOINT]);
            config.args(arguments(kind).iter().flat_map(|text| ["--config.cmd", text.as_str()]));
            run(&mut config);
        }
        let archive = format!("docker-archive:{version}.tar:exporter:{version}");
        run(tool("skopeo")
            .args(["--insecure-policy", "copy", "--quiet"])
            .args([format!("oci:exporter:docker-{version}"), archive]));
        fs::copy(work.path().join(format!("{version}.tar")), place.join(format!("exporter:{version}.tar")))
            .unwrap();
    }
    copy(&work.path().join("exporter"), &place.join("exporter"));
    app_containers(&root, &place.join("example.org"));
}

fn metric(version: &str) -> String {
    format!("exporter_image{{version=\"{version}\"}} 1\n")
}

/// What a package of the image has unpacked.
fn package(name: &str) -> PathBuf {
    let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/packages");
    let found = fs::read_dir(&packages).unwrap().flatten().map(|entry| entry.path());
    let mut found = found.filter(|path| {
        path.is_dir() && path.file_name().unwrap().to_str().unwrap().starts_with(&format!("{name}_"))
    });
    found.next().unwrap_or_else(|| panic!("there is no {name} in {}: run make image", packages.display()))
}

/// The exporter, what it needs, and a busybox for whatever else is to be run there.
fn fill(root: &Path) {
    let (libc, busybox) = (package("libc6"), package("busybox-static"));
    for (from, to) in [
        (package("prometheus-node-exporter").join("usr/bin/prometheus-node-exporter"), &ENTRYPOINT[1..]),
        (libc.join("lib/x86_64-linux-gnu/libc.so.6"), "lib/x86_64-linux-gnu/libc.so.6"),
        (libc.join("lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"), "lib64/ld-linux-x86-64.so.2"),
        (
            busybox.join(if busybox.join("usr/bin/busybox").exists() {
                "usr/bin/busybox"
            } else {
                "bin/busybox"
            }),
            "bin/busybox",
        ),
    ] {
        let to = root.join(to);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(&from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    }
    fs::create_dir(root.join("etc")).unwrap();
    fs::write(root.join("etc/passwd"), format!("exporter:x:{USER}:{USER}::/:/bin/sh\n")).unwrap();
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").args(["-a".as_ref(), from.as_os_str(), to.as_os_str()]).status().unwrap();
    assert!(copied.success());
}

/// A base, and two versions of what depends on it.
fn app_containers(root: &Path, place: &Path) {
    fs::create_dir(place).unwrap();
    let mut entries = vec![Entry::directory("rootfs")];
    for directory in ["usr", "usr/bin", "lib", "lib/x86_64-linux-gnu", "lib64", "bin", "etc"] {
        entries.push(Entry::directory(format!("rootfs/{directory}")));
        for file in fs::read_dir(root.join(directory)).unwrap().flatten().filter(|file| file.path().is_file())
        {
            let name = format!("rootfs/{directory}/{}", file.file_name().to_str().unwrap());
            entries.push(Entry { mode: 0o755, ..Entry::file(name, fs::read(file.path()).unwrap()) });
        }
    }
    aci(place, "base", "1", "", &entries);
    let command = [vec![ENTRYPOINT.to_owned()], arguments("appc")].concat();
    let more = format!(
        ", \"dependencies\": [{{\"imageName\": \"example.org/base\", \"labels\": [{{\"name\": \"version\", \"value\": \"1\"}}]}}],
          \"app\": {{\"exec\": {}, \"user\": \"exporter\", \"group\": \"{USER}\"}}",
        serde_json::to_string(&command).unwrap()
    );
    for version in VERSIONS {
        let entries = [
            Entry::directory("rootfs"),
            Entry::directory("rootfs/etc"),
            Entry::directory("rootfs/etc/exporter"),
            Entry::file("rootfs/etc/exporter/image.prom", metric(version)),
        ];
        aci(place, "exporter", version, &more, &entries);
    }
}

fn aci(place: &Path, name: &str, version: &str, more: &str, entries: &[Entry]) {
    let manifest = format!(
        "{{\"acKind\": \"ImageManifest\", \"acVersion\": \"0.8.10\", \"name\": \"example.org/{name}\",
           \"labels\": [{{\"name\": \"version\", \"value\": \"{version}\"}}, {{\"name\": \"os\", \"value\": \"linux\"}},
                        {{\"name\": \"arch\", \"value\": \"amd64\"}}]{more}}}"
    );
    let entries = [&[Entry::file("manifest", manifest)], entries].concat();
    fs::write(place.join(format!("{name}-{version}-linux-amd64.aci")), archive(&entries)).unwrap();
}
