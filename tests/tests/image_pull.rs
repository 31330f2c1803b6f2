//! `svctl-image` pulls: what a person gets, in the store and on the terminal, from a registry that misbehaves.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use tests::archive::{Entry, archive};
use tests::eventually;
use tests::images::{self, DebianRegistry};
use tests::programs::program;
use tests::registry::{Access, Fault, Registry, Sample};
use tests::tree::Tree;

/// A store of one's own.
struct Client {
    directory: tempfile::TempDir,
    registry: String,
}

impl Client {
    fn of(registry: &str) -> Client {
        // In memory if possible: a store waits for its disk.
        let shm = Path::new("/dev/shm");
        let directory = if shm.is_dir() { tempfile::tempdir_in(shm) } else { tempfile::tempdir() }.unwrap();
        Client { directory, registry: registry.to_owned() }
    }

    fn store(&self) -> PathBuf {
        self.directory.path().join("store")
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(program("svctl-image"));
        command.args(words).arg("--registry").arg(&self.registry).arg("--store").arg(self.store());
        command.arg("--containers").arg(self.directory.path().join("containers"));
        command.arg("--local").arg(self.directory.path().join("local"));
        command.stdin(Stdio::null());
        command
    }

    fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    #[track_caller]
    fn succeeds(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// It fails with this code, for this reason, and nothing is left of it.
    #[track_caller]
    fn fails(&self, words: &[&str], code: i32, because: &str) -> String {
        let output = self.run(words);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(because), "{said}");
        self.is_empty();
        said
    }

    #[track_caller]
    fn is_empty(&self) {
        for part in ["staging", "layers", "images"] {
            assert_eq!(self.count(part), 0, "something is left in {part}");
        }
    }

    fn count(&self, part: &str) -> usize {
        std::fs::read_dir(self.store().join(part)).unwrap().count()
    }

    fn start(&self, words: &[&str]) -> Running {
        Running(self.command(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }
}

/// One that runs, and ends with the test.
struct Running(Child);

impl Running {
    fn succeeds(mut self) {
        let mut said = String::new();
        self.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(self.0.wait().unwrap().success(), "{said}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended is no concern.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A registry with the image `a/b:1` of two layers.
fn registry() -> (Registry, Sample) {
    let registry = Registry::start();
    let below =
        archive(&[Entry::directory("d"), Entry::file("d/a", "1"), Entry::file("d/b", vec![b'x'; 100_000])]);
    let above = archive(&[Entry::file("d/.wh.a", ""), Entry::file("d/c", "2")]);
    let sample = registry.contents(|contents| contents.image("a/b", "1", &[&below, &above]));
    (registry, sample)
}

// --- what comes of it ---

#[test]
fn what_is_pulled_can_be_provisioned() {
    let (registry, sample) = registry();
    let client = Client::of(&registry.url());
    client.succeeds(&["pull", "a/b:1"]);
    let text = client.succeeds(&["inspect", "a/b:1"]);
    assert!(text.contains(&sample.digest), "{text}");
    client.succeeds(&["provision", "a/b:1", "--container", "one", "--backend", "copy"]);
    let containers = client.directory.path().join("containers/one");
    let mut open = vec![containers];
    let mut found = Vec::new();
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).unwrap().flatten() {
            if entry.path().is_dir() {
                open.push(entry.path());
            }
            found.push(entry.path());
        }
    }
    let has = |end: &str| found.iter().any(|path| path.ends_with(end));
    assert!(has("d/b") && has("d/c") && !has("d/a"), "{found:?}");
}

#[test]
fn images_of_other_tools_come_from_debians_registry_into_the_same_trees() {
    if !images::are_we_root("trees of what was pulled") {
        return;
    }
    let registry = DebianRegistry::start("");
    let client = Client::of(&registry.address());
    for name in ["odd:latest", "odd:docker"] {
        client.succeeds(&["pull", name, "--devices", "true"]);
        client.succeeds(&[
            "provision",
            name,
            "--container",
            &name.replace(':', "-"),
            "--backend",
            "copy",
            "--devices",
            "true",
        ]);
    }
    let expected = Tree::read(&images::directory().join("trees/odd"));
    for container in ["odd-latest", "odd-docker"] {
        let root = client.directory.path().join(format!("containers/{container}/backends/copy/rootfses/0"));
        let differences = expected.differences(&Tree::read(&root));
        assert!(differences.is_empty(), "{}", differences.join("\n"));
    }
    // Both are of the same layers, which are there once.
    assert_eq!((client.count("images"), client.count("layers")), (2, 3));
}

#[test]
fn what_is_there_is_not_fetched_again() {
    let (registry, sample) = registry();
    let client = Client::of(&registry.url());
    client.succeeds(&["pull", "a/b:1"]);
    let before = registry.requests().len();
    client.succeeds(&["pull", "a/b:1"]);
    assert_eq!(registry.requests().len(), before, "it was asked for what is there");
    // A newer one with a layer more: only that layer comes.
    let more = archive(&[Entry::file("new", "3")]);
    let below =
        archive(&[Entry::directory("d"), Entry::file("d/a", "1"), Entry::file("d/b", vec![b'x'; 100_000])]);
    let above = archive(&[Entry::file("d/.wh.a", ""), Entry::file("d/c", "2")]);
    let newer = registry.contents(|contents| contents.image("a/b", "1", &[&below, &above, &more]));
    client.succeeds(&["pull", "--again", "a/b:1"]);
    for (digest, times) in [(&sample.layers[0], 1), (&sample.layers[1], 1), (&newer.layers[2], 1)] {
        assert_eq!(registry.requests_for(digest).len(), times, "{digest}");
    }
    assert!(client.succeeds(&["inspect", "a/b:1"]).contains(&newer.digest));
}

#[test]
fn two_who_pull_the_same_image_at_once_share_it() {
    let (registry, sample) = registry();
    let client = Client::of(&registry.url());
    // The first is held up until the second has come.
    registry.fault(&sample.layers[0], 1, Fault::Silence(1000));
    let first = client.start(&["pull", "a/b:1", "--timeout", "3"]);
    eventually("the first has begun", || !registry.requests_for(&sample.layers[0]).is_empty());
    let second = client.start(&["pull", "a/b:1", "--timeout", "3"]);
    first.succeeds();
    second.succeeds();
    assert_eq!(registry.requests_for("/manifests/").len(), 1);
    assert_eq!(registry.requests_for(&sample.layers[1]).len(), 1);
}

/// One of those who wait goes away: the others have it from the one pull all the same.
#[test]
fn of_three_who_pull_the_same_image_one_may_go_away_and_it_is_pulled_once() {
    for gone in [0, 1] {
        let (registry, sample) = registry();
        let client = Client::of(&registry.url());
        registry.fault(&sample.layers[0], 1, Fault::Silence(1000));
        let words = ["pull", "a/b:1", "--timeout", "3"];
        let first = client.start(&words);
        eventually("the first has begun", || !registry.requests_for(&sample.layers[0]).is_empty());
        let mut all = vec![first, client.start(&words), client.start(&words)];
        // The first one does the work; without it one of those who waited does.
        drop(all.remove(gone));
        all.into_iter().for_each(Running::succeeds);
        let pulls = if gone == 0 { 2 } else { 1 };
        assert_eq!(registry.requests_for("/manifests/").len(), pulls, "{gone}");
        assert_eq!((client.count("images"), client.count("layers")), (1, 2));
        client.succeeds(&["verify"]);
    }
}

#[test]
fn a_pull_that_nobody_waits_for_any_more_is_over() {
    let (registry, sample) = registry();
    let client = Client::of(&registry.url());
    registry.fault(&sample.layers[0], 1, Fault::Silence(1000));
    let first = client.start(&["pull", "a/b:1"]);
    eventually("the first has begun", || !registry.requests_for(&sample.layers[0]).is_empty());
    let others = [client.start(&["pull", "a/b:1"]), client.start(&["pull", "a/b:1"])];
    drop(others);
    drop(first);
    eventually("the registry serves nobody", || registry.serving() == 0);
    assert_eq!((client.count("images"), registry.requests_for("/manifests/").len()), (0, 1));
    client.succeeds(&["recover"]);
    assert_eq!(client.count("staging"), 0);
    client.succeeds(&["pull", "a/b:1", "--timeout", "3"]);
}

#[test]
fn a_pull_that_is_killed_leaves_nothing_that_the_next_one_minds() {
    let (registry, sample) = registry();
    let client = Client::of(&registry.url());
    registry.fault(&sample.layers[1], 1, Fault::Silence(100));
    let mut first = client.start(&["pull", "a/b:1"]);
    eventually("the first layer is there", || {
        client.store().join("layers").exists() && client.count("layers") == 1
    });
    first.0.kill().unwrap();
    first.0.wait().unwrap();
    assert_eq!(client.count("images"), 0);
    client.succeeds(&["pull", "a/b:1"]);
    assert_eq!(registry.requests_for(&sample.layers[0]).len(), 1, "the layer that was complete is used");
    client.succeeds(&["verify"]);
    client.succeeds(&["gc"]);
    assert_eq!((client.count("staging"), client.count("images"), client.count("layers")), (0, 1, 2));
}

#[test]
fn an_app_container_image_is_fetched_from_a_web_server() {
    let server = Registry::start();
    let manifest = r#"{"acKind": "ImageManifest", "acVersion": "0.8.11", "name": "example.com/app",
        "labels": [{"name": "version", "value": "1.0"}, {"name": "os", "value": "linux"}, {"name": "arch", "value": "amd64"}]}"#;
    let aci = archive(&[
        Entry::file("manifest", manifest),
        Entry::directory("rootfs"),
        Entry::file("rootfs/a", "1"),
    ]);
    server.contents(|contents| contents.file("/aci/example.com/app-1.0-linux-amd64.aci", &aci));
    let client = Client::of(&server.url());
    let prefix = format!("{}/aci/", server.url());
    client.succeeds(&["pull", "appc:example.com/app,version=1.0", "--appc-prefix", &prefix]);
    assert_eq!(client.count("images"), 1);
    let other = Client::of(&server.url());
    other.fails(
        &["pull", "appc:example.com/app,version=2.0", "--appc-prefix", &prefix],
        3,
        "example.com/app",
    );
    // What is damaged is named by where it is from.
    server.contents(|contents| contents.file("/aci/example.com/app-3.0-linux-amd64.aci", &aci[..1000]));
    let words = ["pull", "appc:example.com/app,version=3.0", "--appc-prefix", &prefix];
    let said = other.fails(&words, 1, "/aci/example.com/app-3.0-linux-amd64.aci: ");
    assert!(!said.contains("/proc/"), "{said}");
}

// --- what a person is told ---

#[test]
fn each_failure_has_its_words_and_its_code() {
    let (registry, sample) = registry();
    let client = Client::of(&registry.url());
    client.fails(&["pull", "a/b:2"], 3, "MANIFEST_UNKNOWN");
    // The second layer: the first is complete by itself, but is no part of an image.
    registry.fault(&sample.layers[0], 1, Fault::Wrong);
    client.fails(&["pull", "a/b:1"], 1, &format!("digest {} expected", sample.layers[0]));
    registry.fault("/manifests/", 1, Fault::Status(403, Vec::new()));
    let said = client.fails(&["pull", "a/b:1"], 1, "status 403");
    assert!(said.starts_with("svctl image: unable to "), "{said}");
    Client::of("http://192.0.2.1").fails(&["pull", "a/b:1"], 1, "without TLS");
    registry.access(Access::Basic("u".to_owned(), "secret".to_owned()));
    let login = client.directory.path().join("config.json");
    // `u:wrong`
    std::fs::write(
        &login,
        format!(r#"{{"auths": {{"{}": {{"auth": "dTp3cm9uZw=="}}}}}}"#, registry.address()),
    )
    .unwrap();
    let said = client.fails(&["pull", "a/b:1", "--docker-config", login.to_str().unwrap()], 1, "status 401");
    assert!(!said.contains("wrong") && !said.contains("dTp3"), "{said}");
}

#[test]
fn credentials_are_those_of_dockers_own_file_and_of_the_program_that_it_names() {
    use std::os::unix::fs::PermissionsExt;
    let (registry, _) = registry();
    registry.access(Access::Basic("u".to_owned(), "secret".to_owned()));
    let client = Client::of(&registry.url());
    let home = client.directory.path().join("home");
    std::fs::create_dir_all(home.join(".docker")).unwrap();
    let config = format!(r#"{{"credHelpers": {{"{}": "test"}}}}"#, registry.address());
    std::fs::write(home.join(".docker/config.json"), config).unwrap();
    let helper = |answer: &str| {
        let script = format!(
            "#!/bin/sh\n[ \"$1\" = get ] && read -r server; echo \"$server\" > {}/asked\n{answer}\n",
            home.display()
        );
        let path = home.join("docker-credential-test");
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    let pull = || {
        let mut command = client.command(&["pull", "a/b:1"]);
        let path = format!("{}:{}", home.display(), std::env::var("PATH").unwrap());
        let output =
            command.env("HOME", &home).env("PATH", path).env_remove("DOCKER_CONFIG").output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    helper("echo 'credentials not found in native keychain'; exit 1");
    assert!(pull().1.contains("it wants a name and a password"), "{}", pull().1);
    helper("echo 'the vault is locked'; exit 1");
    assert!(pull().1.contains("docker-credential-test has failed: the vault is locked"), "{}", pull().1);
    helper("echo '{\"Username\": \"u\", \"Secret\": \"wrong\"}'");
    let (code, said) = pull();
    assert!(code == Some(1) && said.contains("status 401") && !said.contains("wrong"), "{said}");
    helper("echo '{\"ServerURL\": \"x\", \"Username\": \"u\", \"Secret\": \"secret\"}'");
    let (code, said) = pull();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(std::fs::read_to_string(home.join("asked")).unwrap().trim(), registry.address());
    std::fs::remove_file(home.join("docker-credential-test")).unwrap();
    std::fs::remove_dir_all(client.store()).unwrap();
    assert!(pull().1.contains("unable to ask docker-credential-test: No such file"), "{}", pull().1);
}

#[test]
fn a_registry_with_tls_is_trusted_by_the_certificate_that_is_named() {
    let registry = Registry::start_tls();
    let layer = archive(&[Entry::file("a", "1")]);
    registry.contents(|contents| contents.image("a", "1", &[&layer]));
    let client = Client::of(&registry.url());
    let other = Registry::start_tls();
    client.fails(&["pull", "a:1", "--ca", other.ca().to_str().unwrap()], 1, "TLS: ");
    client.succeeds(&["pull", "a:1", "--ca", registry.ca().to_str().unwrap()]);
}

#[test]
fn a_mirror_is_asked_before_the_registry() {
    let (registry, sample) = registry();
    let (mirror, _) = self::registry();
    mirror.fault(&sample.layers[1], 1, Fault::Wrong);
    let client = Client::of(&registry.url());
    client.succeeds(&["pull", "a/b:1", "--mirrors", &mirror.url()]);
    assert_eq!(registry.requests().len(), 1);
    assert_eq!(
        registry.requests_for(&sample.layers[1]).len(),
        1,
        "what the mirror lied about comes from the registry"
    );
}

#[test]
fn a_terminal_shows_a_bar_unless_it_is_told_not_to() {
    let show = |words: &[&str]| {
        let (registry, sample) = registry();
        registry.fault(&sample.layers[0], 1, Fault::Silence(50_000));
        let client = Client::of(&registry.url());
        let pty = nix::pty::openpty(None, None).unwrap();
        let words = [&["pull", "a/b:1", "--timeout", "1"], words].concat();
        let mut pull = Running(
            client.command(&words).stdout(Stdio::null()).stderr(Stdio::from(pty.slave)).spawn().unwrap(),
        );
        let mut shown = Vec::new();
        // The end of a terminal is an error.
        let _ = std::fs::File::from(pty.master).read_to_end(&mut shown);
        assert!(pull.0.wait().unwrap().success());
        String::from_utf8(shown).unwrap()
    };
    let shown = show(&[]);
    assert!(shown.contains("\rpull a/b: [") && shown.contains("##") && shown.ends_with('\n'), "{shown:?}");
    assert_eq!(show(&["--quiet"]), "");
}
