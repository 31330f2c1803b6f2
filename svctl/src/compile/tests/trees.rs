//! Trees of service directories on disk: names, cycles, programs, and directories without a `service.toml`.

use super::super::{Compiled, Options, Service, Severity, compile};
use service::definition::{Definition, ReadyMethod};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A tree of service directories that is removed with it.
pub(super) struct Tree(pub(super) PathBuf);

impl Tree {
    pub(super) fn new(name: &str, services: &[(&str, &str)]) -> Tree {
        let path = std::env::temp_dir().join(format!("svctl-compile-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        for (service, text) in services {
            fs::create_dir_all(path.join(service)).unwrap();
            fs::write(path.join(service).join("service.toml"), text).unwrap();
        }
        Tree(path)
    }

    /// Writes a file, with the directories that it is in.
    pub(super) fn file(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// The definition of a service, which must be without mistakes.
    pub(super) fn definition(&self, name: &str) -> Definition {
        let service = self.service(name);
        assert!(!service.invalid, "{name}: {:?}", service.diagnostics);
        service.definition
    }

    pub(super) fn service(&self, name: &str) -> Service {
        let services = self.compile(None).services;
        services.into_iter().find(|service| service.definition.name == name).unwrap()
    }

    pub(super) fn executable(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(super) fn compile(&self, root: Option<&Path>) -> Compiled {
        let (services, root) = (self.0.clone(), root.map(Path::to_owned));
        compile(&Options { services, root, prober: "/usr/sbin/svctl".to_owned(), ..Options::default() })
            .unwrap()
    }

    /// The mistakes without the tree's own path.
    pub(super) fn told(&self, root: Option<&Path>) -> Vec<String> {
        let prefix = format!("{}/", self.0.display());
        let compiled = self.compile(root);
        compiled.diagnostics().iter().map(|diagnostic| diagnostic.to_string().replace(&prefix, "")).collect()
    }

    pub(super) fn invalid(&self) -> Vec<String> {
        let compiled = self.compile(None);
        compiled.services.iter().filter(|s| s.invalid).map(|s| s.definition.name.clone()).collect()
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_cycle_is_named_edge_by_edge_and_costs_its_members_only() {
    let tree = Tree::new(
        "cycle",
        &[
            ("a", "command = [\"x\"]\nrequires = [\"b\"]"),
            ("b", "command = [\"x\"]\nafter = [\"c\"]"),
            ("c", "command = [\"x\"]"),
            ("d", "command = [\"x\"]\nrequires = [\"a\"]"),
            ("e", "command = [\"x\"]\nwants = [\"f\"]"),
            ("f", "command = [\"x\"]\nwants = [\"e\"]"),
            ("g", "type = \"bundle\"\ncontents = [\"a\", \"d\"]\n"),
            ("z", "command = [\"x\"]\nbefore = [\"c\"]\nafter = [\"a\"]"),
        ],
    );
    let cycle = "dependency cycle: a requires b (a/service.toml:2:13), b is after c (b/service.toml:2:10), \
                 z is before c (z/service.toml:2:11), z is after a (z/service.toml:3:10)";
    let expected = [
        format!("a/service.toml:2:13: {cycle}"),
        format!("b/service.toml:2:10: {cycle}"),
        format!("c/service.toml: {cycle}"),
        format!("z/service.toml:2:11: {cycle}"),
    ];
    assert_eq!(tree.told(None), expected);
    assert_eq!(tree.invalid(), ["a", "b", "c", "z"], "d requires a member, e and f only want each other");
    let plan = tree.compile(None).plan();
    assert!(plan[0].problem.as_ref().is_some_and(|problem| problem.contains("a requires b")));
    assert!(plan[0].requires.is_empty() && plan[3].requires == ["a"]);
}

#[test]
fn a_bundle_on_the_way_of_a_cycle_keeps_its_other_members() {
    let tree = Tree::new(
        "bundle-cycle",
        &[
            ("a", "command = [\"x\"]\nrequires = [\"net\"]"),
            ("b", "command = [\"x\"]\nafter = [\"a\"]"),
            ("c", "command = [\"x\"]"),
            ("net", "type = \"bundle\"\ncontents = [\"b\", \"c\"]"),
            ("x", "type = \"bundle\"\ncontents = [\"y\"]"),
            ("y", "type = \"bundle\"\ncontents = [\"x\"]"),
        ],
    );
    assert_eq!(tree.invalid(), ["a", "b", "x", "y"]);
    assert!(tree.told(None)[0].contains("a requires net (a/service.toml:2:13), net contains b"));
}

#[test]
fn unknown_names_are_fatal_only_where_nothing_works_without_them() {
    let tree = Tree::new(
        "names",
        &[
            ("network", "command = [\"x\"]\nbefore = [\"all\", \"nobody\"]"),
            ("a", "command = [\"x\"]\nrequires = [\"netwrok\"]\nwants = [\"a\"]"),
            ("b", "command = [\"x\"]\nwants = [\"networks\"]\nafter = [\"zzzzz\"]"),
            ("all", "type = \"bundle\"\ncontents = [\"b\", \"bb\", \"network\"]"),
        ],
    );
    let expected = [
        "a/service.toml:2:13: unknown service \"netwrok\" in requires (did you mean \"network\"?)",
        "a/service.toml:3:10: warning: \"a\" names itself in wants, which is ignored",
        "all/service.toml:2:18: unknown service \"bb\" in contents, left out (did you mean \"b\"?)",
        "b/service.toml:2:10: warning: unknown service \"networks\" in wants, ignored (did you mean \"network\"?)",
        "b/service.toml:3:10: warning: unknown service \"zzzzz\" in after, ignored",
        "network/service.toml:2:18: warning: unknown service \"nobody\" in before, ignored",
    ];
    assert_eq!(tree.told(None), expected);
    assert_eq!(tree.invalid(), ["a"]);
    let plan = tree.compile(None).plan();
    let names: Vec<(&str, &[String])> = plan.iter().map(|e| (e.name.as_str(), e.after.as_slice())).collect();
    let network = ["network".to_owned()];
    assert_eq!(names, [("a", &[][..]), ("all", &[][..]), ("b", &network[..]), ("network", &[][..])]);
    assert_eq!(plan[1].contents, ["b", "network"]);
}

#[test]
fn programs_are_looked_for_in_the_root_and_its_links() {
    let tree = Tree::new(
        "programs",
        &[
            ("by-name", "command = [\"prog\"]"),
            ("by-path", "command = [\"/sbin/prog\"]"),
            ("missing", "description = \"m\"\ncommand = [\"nosuch\"]"),
            ("other-path", "command = [\"prog\"]\n[environment]\nPATH = \"/opt\"\n"),
            ("plain", "command = [\"/usr/bin/plain\"]"),
            ("skipped", "command = [\"nosuch\"]\ncondition = { executable = \"nosuch\" }"),
        ],
    );
    let root = Tree::new("programs-root", &[]);
    root.executable("usr/lib/prog", "");
    fs::create_dir_all(root.0.join("usr/bin")).unwrap();
    fs::write(root.0.join("usr/bin/plain"), "").unwrap();
    std::os::unix::fs::symlink("/usr/lib/prog", root.0.join("usr/bin/prog")).unwrap();
    std::os::unix::fs::symlink("usr/bin", root.0.join("sbin")).unwrap();
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let expected = [
        format!("missing/service.toml:2:12: unable to find program \"nosuch\" in PATH ({path})"),
        "other-path/service.toml:1:12: unable to find program \"prog\" in PATH (/opt)".to_owned(),
        "plain/service.toml:1:12: \"/usr/bin/plain\" is not executable".to_owned(),
    ];
    assert_eq!(tree.told(Some(&root.0)), expected);
    assert_eq!(tree.told(None), [""; 0]);
}

#[test]
fn every_program_that_a_service_may_execute_is_looked_for_and_what_may_be_meant_is_named() {
    let checked = "command = [\"prog\"]\ndown-command = [\"prgo\"]\ntype = \"oneshot\"\n";
    let watched = "command = [\"prog\"]\n[reload]\ncommand = [\"/sbin/prob\"]\n[ready]\ncommand = [\"nosuch\"]\n\
                   [health]\ncommand = [\"proq\"]\n";
    let probed = "command = [\"prog\"]\n[ready]\ntcp = \"127.0.0.1:1\"\n[health]\ntcp = \"127.0.0.1:1\"\n";
    let tree = Tree::new(
        "all-programs",
        &[("main", "command = [\"porg\"]"), ("once", checked), ("probed", probed), ("watched", watched)],
    );
    tree.executable("probed/finish", "#!/bin/nosuch\n");
    let root = Tree::new("all-programs-root", &[]);
    root.executable("sbin/prog", "");
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let meant = "(did you mean \"prog\"?)";
    let expected = [
        format!("main/service.toml:1:12: unable to find program \"porg\" in PATH ({path}) {meant}"),
        format!("once/service.toml:2:17: unable to find program \"prgo\" in PATH ({path}) {meant}"),
        "probed/service.toml: unable to find \"/bin/nosuch\", the interpreter of finish".to_owned(),
        "watched/service.toml:3:12: unable to find program \"/sbin/prob\" (did you mean \"/sbin/prog\"?)"
            .to_owned(),
        format!("watched/service.toml:5:12: unable to find program \"nosuch\" in PATH ({path})"),
        format!("watched/service.toml:7:12: unable to find program \"proq\" in PATH ({path}) {meant}"),
    ];
    assert_eq!(tree.told(Some(&root.0)), expected);
    // Without its command a service is of no use; the rest it can run without.
    assert_eq!(tree.compile(Some(&root.0)).services.iter().filter(|service| service.invalid).count(), 1);
    assert_eq!(tree.told(None), [""; 0]);
}

#[test]
fn a_bare_directory_is_a_longrun_and_an_empty_one_is_not() {
    let tree = Tree::new("bare", &[("both", "command = [\"x\"]")]);
    tree.executable("bare/run", "#!/bin/sh\n");
    tree.executable("bare/finish", "#!/bin/sh\n");
    fs::write(tree.0.join("bare/notification-fd"), "5\n").unwrap();
    fs::write(tree.0.join("bare/down"), "").unwrap();
    tree.executable("both/run", "#!/bin/sh\n");
    fs::create_dir_all(tree.0.join("empty")).unwrap();
    fs::create_dir_all(tree.0.join("-bad name")).unwrap();
    fs::create_dir_all(tree.0.join(".git")).unwrap();
    fs::create_dir_all(tree.0.join("locked")).unwrap();
    fs::write(tree.0.join("locked/run"), "").unwrap();
    let told = tree.told(None);
    assert!(told[0].starts_with("-bad name: this cannot be the name of a service"), "{told:?}");
    let expected = [
        "both/service.toml: there are a command and an executable run: which one is meant?",
        "empty: nothing to run: no command and no executable run",
        "locked: nothing to run: run is not executable",
    ];
    assert_eq!(told[1..], expected);
    let compiled = tree.compile(None);
    let bare = &compiled.services.iter().find(|s| s.definition.name == "bare").unwrap().definition;
    assert_eq!(
        (bare.command.as_slice(), bare.finish, bare.autostart),
        (&["./run".to_owned(), "bare".to_owned()][..], true, false)
    );
    assert_eq!(bare.ready.method, ReadyMethod::Descriptor(5));
    assert_eq!(bare.working_directory, bare.directory);
}

#[test]
fn the_services_of_the_image_are_without_mistakes() {
    let services = Path::new(env!("CARGO_MANIFEST_DIR")).join("../services.d");
    let compiled = compile(&Options {
        services,
        root: None,
        prober: "/usr/sbin/svctl".to_owned(),
        ..Options::default()
    })
    .unwrap();
    let told: Vec<String> = compiled.diagnostics().iter().map(ToString::to_string).collect();
    assert_eq!(told, [""; 0]);
}

#[test]
fn a_long_chain_and_a_large_cycle_are_no_trouble() {
    let name = |n: usize| format!("s{n:05}");
    let services: Vec<(String, String)> = (0..2000)
        .map(|n| (name(n), format!("command = [\"x\"]\nafter = [\"{}\"]", name((n + 1) % 2000))))
        .collect();
    let borrowed: Vec<(&str, &str)> = services.iter().map(|(n, t)| (n.as_str(), t.as_str())).collect();
    let tree = Tree::new("chain", &borrowed);
    assert_eq!(tree.compile(None).count(Severity::Error), 2000);
    fs::write(tree.0.join("s01000/service.toml"), "command = [\"x\"]").unwrap();
    assert_eq!(tree.compile(None).count(Severity::Error), 0);
}

#[test]
fn one_bad_entry_of_the_tree_costs_nobody_else_anything() {
    let tree =
        Tree::new("bad-entries", &[("a", "command = [\"x\"]"), ("z", "command = [\"x\"]\nafter = [\"a\"]")]);
    let link = |target: &str, name: &str| std::os::unix::fs::symlink(target, tree.0.join(name)).unwrap();
    link("/nonexistent", "dangling");
    link("loop", "loop");
    link("a", "twin");
    tree.file("README", "a file");
    tree.file("directory/service.toml/x", "");
    tree.file("file-for-directory/service.d", "");
    tree.file("empty-file/service.toml", "");
    tree.file("log-is-a-file/log", "");
    tree.executable("log-is-a-file/run", "#!/bin/sh\n");
    tree.file(&format!("{}/service.toml", "n".repeat(201)), "");
    nix::unistd::mkfifo(&tree.0.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    fs::create_dir_all(tree.0.join("fifo")).unwrap();
    nix::unistd::mkfifo(&tree.0.join("fifo/service.toml"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    fs::create_dir_all(tree.0.join("run-fifo")).unwrap();
    nix::unistd::mkfifo(&tree.0.join("run-fifo/run"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let told = tree.told(None);
    let expected = [
        "dangling: warning: a link to nowhere",
        "directory/service.toml: not a regular file",
        "empty-file/service.toml: nothing to run: no command and no executable run",
        "fifo/service.toml: not a regular file",
        "file-for-directory/service.d: unable to read: Not a directory",
        "loop: warning: a link to nowhere",
        "run-fifo: nothing to run: run is not executable",
        "twin/service.toml: warning: the same directory as that of \"a\": it runs twice",
    ];
    assert_eq!(
        told.iter().filter(|line| !line.starts_with("nnn")).collect::<Vec<_>>(),
        expected.iter().collect::<Vec<_>>()
    );
    assert!(told.iter().any(|line| line.contains(": this cannot be the name of a service")));
    assert_eq!(tree.invalid(), ["directory", "empty-file", "fifo", "file-for-directory", "run-fifo"]);
    assert_eq!(tree.definition("z").after, ["a"]);
    assert_eq!(tree.definition("log-is-a-file").output_to, None);
}

#[test]
fn what_is_needed_cannot_be_shut_out() {
    let tree = Tree::new(
        "conflicts",
        &[
            ("a", "command = [\"x\"]\nrequires = [\"b\"]\nconflicts = [\"b\", \"a\"]"),
            ("b", "command = [\"x\"]\nconflicts = [\"c\", \"nobody\"]"),
            ("c", "command = [\"x\"]"),
        ],
    );
    let expected = [
        "a/service.toml:3:14: \"b\" is in requires as well as in conflicts",
        "a/service.toml:3:19: \"a\" names itself in conflicts",
        "b/service.toml:2:19: warning: unknown service \"nobody\" in conflicts, ignored",
    ];
    assert_eq!(tree.told(None), expected);
    assert_eq!(tree.definition("b").conflicts, ["c"]);
}
