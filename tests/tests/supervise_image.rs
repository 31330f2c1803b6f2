//! A service in the root of an image: made by the provisioner, entered by the supervisor, and the process is the
//! supervisor's own child.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use serde_json::json;
use service::Definition;
use service::definition::{Image, Prepared, Volume};
use sha2::{Digest, Sha256};
use std::path::Path;
use std::process::Command;
use tests::programs::program;
use tests::{Fixture, Supervised, images, process};

/// What the image has of this machine's programs, with what they are linked with.
const PROGRAMS: [&str; 6] = ["/bin/sh", "/bin/cat", "/bin/ls", "/bin/sleep", "/usr/bin/id", "/usr/bin/touch"];

/// Mounts of its own, for this thread and whatever it starts.
fn apart() {
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
}

fn copy(root: &Path, path: &str) {
    let to = root.join(&path[1..]);
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    std::fs::copy(path, to).unwrap();
}

fn tar(archive: &Path, directory: &Path) {
    let status =
        Command::new("tar").arg("-C").arg(directory).arg("-cf").arg(archive).arg(".").status().unwrap();
    assert!(status.success());
}

/// Writes an archive as `docker save` does, into the directory of local images.
fn save(fixture: &Fixture, script: &str, user: &str) {
    let root = fixture.path("root");
    for path in PROGRAMS {
        copy(&root, path);
        let output = Command::new("ldd").arg(path).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.split_whitespace().filter(|word| word.starts_with('/')).for_each(|path| copy(&root, path));
    }
    fixture.write("root/who", "the image\n");
    fixture.write("root/etc/passwd", "web:x:33:34::/home/web:/bin/false\n");
    let (saved, layer) = (fixture.path("saved"), fixture.path("saved/1/layer.tar"));
    std::fs::create_dir_all(layer.parent().unwrap()).unwrap();
    tar(&layer, &root);
    let hex =
        |bytes: &[u8]| Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let diff_id = format!("sha256:{}", hex(&std::fs::read(&layer).unwrap()));
    let config = json!({
        "config": {"Entrypoint": ["sh", "-c", script], "User": user, "WorkingDir": "/work", "StopSignal": "SIGQUIT"},
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
    })
    .to_string();
    let name = format!("{}.json", hex(config.as_bytes()));
    let list = json!([{"Config": name, "RepoTags": ["try:1"], "Layers": ["1/layer.tar"]}]).to_string();
    fixture.write(&format!("saved/{name}"), &config);
    fixture.write("saved/manifest.json", &list);
    std::fs::create_dir_all(fixture.path("local")).unwrap();
    tar(&fixture.path("local/try:1.tar"), &saved);
}

fn provisioner(fixture: &Fixture) -> Command {
    let mut command = Command::new(program("svctl-image"));
    for name in ["store", "containers", "local", "run"] {
        command.arg(format!("--{name}")).arg(fixture.path(name));
    }
    command
}

/// Prepares a start, and starts what was prepared.
fn start(script: &str, user: &str, change: impl FnOnce(&Fixture, &mut Definition, &mut Image)) -> Supervised {
    apart();
    let fixture = Fixture::new().service("a", "command = [\"sh\"]\n");
    fixture.compile();
    save(&fixture, script, user);
    let path = fixture.path("run/service/a/definition");
    let mut definition = Definition::decode(&std::fs::read_to_string(&path).unwrap()).unwrap();
    definition.command.clear();
    let mut image = Image { reference: "try:1".to_owned(), ..Image::default() };
    change(&fixture, &mut definition, &mut image);
    definition.image = Some(image);
    std::fs::write(&path, definition.encode()).unwrap();
    let output = provisioner(&fixture).args(["provision", "--service", "a"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(Prepared::decode(&fixture.read("run/service/a/prepared")).is_some());
    Supervised::start_compiled(fixture, &["--up"])
}

#[test]
fn the_process_is_in_the_root_of_the_image_and_is_who_the_image_says() {
    if !images::are_we_root("a service in the root of an image") {
        return;
    }
    let script = "cat /who; echo uid $(id -u) gid $(id -g) in $PWD home $HOME; echo root: $(ls /); \
         touch /x 2>&1; echo x > /dev/null && echo null is there; ls /proc/1/ns >/dev/null 2>&1; \
         touch /dev/shm/x && echo shared memory; cat /proc/kcore; echo 1 > /proc/sys/vm/drop_caches; \
         echo devices: $(ls /dev); echo complete; exec sleep 1000";
    let service = start(script, "web", |_, _, _| {});
    service.wait_for_log("complete");
    let log = service.log();
    for line in [
        "the image",
        "uid 33 gid 34 in /work home /home/web",
        "null is there",
        "shared memory",
        "Read-only file system",
        "devices: fd full null ptmx pts random shm stderr stdin stdout tty urandom zero",
    ] {
        assert!(log.contains(line), "{line}: {log}");
    }
    let root = log.lines().find(|line| line.contains("root: ")).unwrap();
    assert!(root.contains(" who") && !root.contains("home"), "{root}");
    let pid = service.up();
    assert_eq!(process::field(pid, "PPid"), Some(service.supervisor().to_string()));
}

#[test]
fn a_writable_root_is_written_to_and_volumes_are_the_machines() {
    if !images::are_we_root("a writable root of an image") {
        return;
    }
    let script = "echo inside > /data/new; touch /x && echo written; cat /ro/file; touch /ro/x 2>&1; \
         echo complete; exec sleep 1000";
    let service = start(script, "", |fixture, _, image| {
        fixture.write("outside/keep", "");
        fixture.write("fixed/file", "from outside\n");
        image.writable = true;
        let volume = |source: &str, target: &str, writable: bool| Volume {
            source: fixture.path(source).to_str().unwrap().to_owned(),
            target: target.to_owned(),
            writable,
            image: false,
        };
        image.volumes = vec![volume("outside", "/data", true), volume("fixed", "/ro", false)];
    });
    service.wait_for_log("complete");
    let log = service.log();
    assert!(log.contains("written") && log.contains("from outside"), "{log}");
    assert!(log.contains("Read-only file system"), "{log}");
    assert_eq!(service.fixture.read("outside/new"), "inside\n");
    assert!(!service.fixture.path("fixed/x").exists());
    // Its end, while it runs: what it has, it keeps.
    let output = provisioner(&service.fixture).args(["destroy", "a", "--force"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(service.fixture.read("outside/new"), "inside\n");
    service.up();
}
