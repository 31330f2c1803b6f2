//! What the verbs do, and what they say.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "tests"
)]

#[path = "common/archive.rs"]
mod archive;
#[path = "common/images.rs"]
mod images;
#[path = "common/program.rs"]
mod program;

use archive::{Item, archive};
use images::{aci, docker, gzip};
use program::Place;
use serde_json::{Value, json};
use service::definition::{Definition, Image, Prepared, Volume};
use service::setup::{Namespace, Setup};

const ETC: [(&str, &str); 2] = [("passwd", "web:x:33:34::/srv:/bin/false\n"), ("group", "log:x:4:web\n")];

fn save(place: &Place, name: &str, process: &Value, text: &str) {
    let mut items = vec![Item::file("who", text), Item::file("bin/prog", "#!").mode(0o755)];
    items.extend(ETC.map(|(name, text)| Item::file(&format!("etc/{name}"), text)));
    let bytes = archive(&docker(&[name], process, &[archive(&items)]));
    place.write(&format!("local/{name}.tar"), &bytes);
}

fn definition(place: &Place, change: impl FnOnce(&mut Definition)) {
    let mut definition = Definition::new("web", "/etc/services.d/web");
    definition.image = Some(Image { reference: "abc:1".to_owned(), ..Image::default() });
    change(&mut definition);
    place.write("run/service/web/definition", definition.encode().as_bytes());
}

fn prepare(place: &Place) -> Prepared {
    place.good(&["provision", "--service", "web"]);
    let text = place.read_at(&place.path("run/service/web"), "prepared");
    Prepared::decode(&text).unwrap()
}

#[test]
fn exit_codes_tell_what_is_wrong() {
    let Some(place) = Place::new() else { return };
    place.write("bad.tar", b"no archive");
    for (words, code, said) in [
        (vec!["inspect", "abc"], 3, "docker:///abc:latest is not in the store"),
        (vec!["import", "a@b@c"], 100, "more than one \"@\""),
        (vec!["import", &place.path("bad.tar"), "abc"], 1, "cut off"),
        (vec!["import", &place.path("nosuch.tar"), "abc"], 3, "No such file"),
        (vec!["import", "oci:nosuch"], 3, "No such file"),
        (vec!["import", "appc:nosuch"], 3, "nosuch-latest-linux-"),
        (vec!["provision", "abc", "--container", "../x"], 100, "cannot be the name of a container"),
        (vec!["destroy", "x"], 3, "there is no container x"),
        (vec!["--backend", "aufs", "list"], 100, "there is no backend"),
        (vec!["--kinds", "docker", "import", "appc:x"], 1, "not allowed"),
        (vec!["nosuch"], 100, "nosuch"),
    ] {
        let ran = place.run(&words);
        assert_eq!(ran.code, Some(code), "{words:?}: {}", ran.err);
        assert!(ran.err.contains(said), "{words:?}: {}", ran.err);
    }
    assert_eq!(place.run(&["--help"]).code, Some(0));
}

#[test]
fn the_names_of_the_first_draft_and_of_mesos_are_options() {
    let Some(place) = Place::new() else { return };
    save(&place, "abc:1", &json!({}), "one");
    let (store, local) = (place.path("other-store"), place.path("local"));
    for (at, options) in [
        [
            ("--provisioner_store_dir", store.as_str()),
            ("--provisioner_local_dir", &local),
            ("--provisioners", "docker"),
        ],
        [("--docker_store_dir", &store), ("--docker_registry", &local), ("--image_providers", "docker,appc")],
    ]
    .into_iter()
    .enumerate()
    {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_svctl-image"));
        for (name, value) in options {
            command.arg(format!("{name}={value}"));
        }
        command.arg(format!("--containers={}", place.path("containers")));
        let output = command.args(["import", "abc:1", "--again"]).output().unwrap();
        assert!(output.status.success(), "{at}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(place.names("other-store/images").len(), 1);
    }
}

#[test]
fn archives_name_their_images_themselves_or_are_told() {
    let Some(place) = Place::new() else { return };
    let layer = archive(&[Item::file("f", "")]);
    place.write("named.tar", &archive(&docker(&["a:1", "b:2"], &json!({}), std::slice::from_ref(&layer))));
    assert_eq!(place.good(&["import", &place.path("named.tar")]).lines().count(), 2);
    place.write("nameless.tar", &archive(&docker(&[], &json!({}), &[layer])));
    assert_eq!(place.run(&["import", &place.path("nameless.tar")]).code, Some(100));
    place.good(&["import", &place.path("nameless.tar"), "c:3"]);
    let listed: Value = serde_json::from_str(&place.good(&["list", "--json"])).unwrap();
    let names: Vec<&str> =
        listed.as_array().unwrap().iter().filter_map(|image| image["reference"].as_str()).collect();
    assert_eq!(names, ["docker:///a:1", "docker:///b:2", "docker:///c:3"]);
}

#[test]
fn an_app_container_image_is_found_by_simple_discovery() {
    let Some(place) = Place::new() else { return };
    let bytes = gzip(&aci("image", "latest", &json!({}), &[Item::file("tmp/test", "test")]));
    let arch = if images::architecture() == "arm64" { "aarch64" } else { images::architecture() };
    place.write(&format!("discovery/image-latest-linux-{arch}.aci"), &bytes);
    let prefix = format!("{}/", place.path("discovery"));
    place.good(&["--appc_simple_discovery_uri_prefix", &prefix, "import", "appc:image"]);
    let root = place.good(&["provision", "appc:image", "--container", "c"]);
    assert_eq!(place.read_at(root.trim(), "tmp/test"), "test");
}

#[test]
fn a_service_is_prepared_as_its_image_and_its_definition_say() {
    let Some(place) = Place::new() else { return };
    let process = json!({
        "Entrypoint": ["prog"], "Cmd": ["x"], "Env": ["PATH=/bin", "LD_LIBRARY_PATH=/l", "bad"], "User": "web",
        "WorkingDir": "/work/here", "StopSignal": "SIGQUIT",
    });
    save(&place, "abc:1", &process, "one");
    definition(&place, |_| {});
    let prepared = prepare(&place);
    assert_eq!(prepared.command, ["/bin/prog", "x"]);
    let variable = |name: &str| {
        prepared.environment.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    };
    assert_eq!(
        (variable("PATH"), variable("LD_LIBRARY_PATH"), variable("HOME")),
        (Some("/bin"), Some("/l"), Some("/srv"))
    );
    assert_eq!(prepared.working_directory.as_deref(), Some("/work/here"));
    assert_eq!(prepared.stop_signal.map(|signal| signal.to_string()), Some("QUIT".to_owned()));
    assert_eq!(prepared.namespaces, [Namespace::Mount]);
    let user = prepared.setup.iter().find_map(|step| match &step.setup {
        Setup::Credentials(found) => Some(found.clone()),
        _ => None,
    });
    let user = user.unwrap();
    let expected = ("33".to_owned(), Some("34".to_owned()), Some(vec!["4".to_owned()]));
    assert_eq!((user.user, user.group, user.groups), expected);
    assert!(prepared.setup.iter().any(|step| step.setup == Setup::Root(prepared.root.clone())));
    assert!(std::path::Path::new(&prepared.root).join("work/here").is_dir());
    assert!(prepared.origin.starts_with("docker:///abc:1 sha256:"));
}

#[test]
fn what_the_definition_says_of_the_command_wins() {
    let Some(place) = Place::new() else { return };
    save(&place, "abc:1", &json!({"Entrypoint": ["/bin/prog"], "Cmd": ["x"]}), "one");
    let option = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let command = |change: &dyn Fn(&mut Definition)| {
        definition(&place, |definition| change(definition));
        prepare(&place).command.join(" ")
    };
    assert_eq!(command(&|_| {}), "/bin/prog x");
    assert_eq!(command(&|all| all.command = vec!["prog".to_owned(), "y".to_owned()]), "/bin/prog y");
    let image = |all: &mut Definition, change: &dyn Fn(&mut Image)| change(all.image.as_mut().unwrap());
    assert_eq!(
        command(&|all| image(all, &|image| image.options = vec![option("argument", "z")])),
        "/bin/prog z"
    );
    assert_eq!(
        command(&|all| image(all, &|image| image.options = vec![option("shell", "a b")])),
        "/bin/sh -c a b"
    );
    definition(&place, |all| all.image.as_mut().unwrap().ignore_runtime = true);
    let ran = place.run(&["provision", "--service", "web"]);
    assert_eq!((ran.code, ran.err.contains("what is to be run")), (Some(1), true), "{}", ran.err);
    // What could not be prepared has left no root, and what was prepared before is as it was.
    let listed: Value = serde_json::from_str(&place.good(&["containers", "--json"])).unwrap();
    assert_eq!(listed[0]["roots"].as_array().unwrap().len(), 1);
}

/// The process is the definition's alone; of the image only the files are taken.
#[test]
fn an_image_whose_process_is_ignored_gives_its_files_alone() {
    let Some(place) = Place::new() else { return };
    let process = json!({"Entrypoint": ["/bin/prog"], "Env": ["A=image"], "User": "web", "WorkingDir": "/work", "StopSignal": "SIGQUIT"});
    save(&place, "abc:1", &process, "one");
    definition(&place, |all| {
        all.command = vec!["/bin/prog".to_owned(), "mine".to_owned()];
        all.image.as_mut().unwrap().ignore_runtime = true;
    });
    let prepared = prepare(&place);
    assert_eq!(prepared.command, ["/bin/prog", "mine"]);
    assert!(prepared.environment.iter().all(|(name, _)| name != "A"), "{:?}", prepared.environment);
    assert!(!prepared.setup.iter().any(|step| matches!(step.setup, Setup::Credentials(_))));
    assert_eq!((prepared.stop_signal, prepared.working_directory.as_deref().unwrap_or("/")), (None, "/"));
    assert_eq!(place.read_at(&prepared.root, "who"), "one");
}

/// An App Container Image without a process, and one whose `exec` is null.
#[test]
fn an_app_container_image_without_a_process_runs_what_the_definition_says() {
    let Some(place) = Place::new() else { return };
    let arch = if images::architecture() == "arm64" { "aarch64" } else { images::architecture() };
    for rest in [json!({}), json!({"app": {"exec": null, "user": "0", "group": "0"}})] {
        let bytes = aci("app", "1", &rest, &[Item::file("bin/prog", "#!").mode(0o755)]);
        place.write(&format!("local/app-1-linux-{arch}.aci"), &bytes);
        definition(&place, |all| {
            *all.image.as_mut().unwrap() =
                Image { reference: "appc:app:1".to_owned(), always_pull: true, ..Image::default() };
        });
        let ran = place.run(&["provision", "--service", "web"]);
        assert_eq!((ran.code, ran.err.contains("what is to be run")), (Some(1), true), "{}", ran.err);
        definition(&place, |all| {
            all.command = vec!["/bin/prog".to_owned()];
            *all.image.as_mut().unwrap() = Image { reference: "appc:app:1".to_owned(), ..Image::default() };
        });
        assert_eq!(prepare(&place).command, ["/bin/prog"]);
    }
}

#[test]
fn a_new_version_is_a_start_away_and_the_old_root_stays_until_then() {
    let Some(place) = Place::new() else { return };
    save(&place, "abc:1", &json!({"Cmd": ["/bin/prog"]}), "one");
    definition(&place, |_| {});
    let first = prepare(&place).root;
    assert_eq!(place.read_at(&first, "who"), "one");
    save(&place, "abc:1", &json!({"Cmd": ["/bin/prog"]}), "two");
    // It is in the store under that name: nothing is looked for.
    let second = prepare(&place).root;
    assert_eq!(
        (place.read_at(&second, "who"), std::path::Path::new(&first).exists()),
        ("one".to_owned(), false)
    );
    definition(&place, |all| all.image.as_mut().unwrap().always_pull = true);
    let third = prepare(&place).root;
    assert_eq!(place.read_at(&third, "who"), "two");
    assert_eq!(place.mounts(), 2);
    // A version that cannot be had leaves all as it was.
    definition(&place, |all| all.image.as_mut().unwrap().reference = "abc:nosuch".to_owned());
    assert_ne!(
        place.run(&["provision", "--service", "web", "--registry", "http://127.0.0.1:1"]).code,
        Some(0)
    );
    assert_eq!(place.read_at(&third, "who"), "two");
    place.good(&["recover", "--services"]);
    assert_eq!(place.read_at(&third, "who"), "two");
    std::fs::remove_dir_all(place.path("run/service")).unwrap();
    assert_eq!(place.good(&["recover", "--services"]), "destroyed: web\n");
    assert_eq!(place.mounts(), 1);
}

#[test]
fn a_root_that_cannot_be_taken_away_keeps_no_service_from_being_started() {
    let Some(place) = Place::new() else { return };
    save(&place, "abc:1", &json!({"Cmd": ["/bin/prog"]}), "one");
    definition(&place, |all| all.image.as_mut().unwrap().backend = Some("copy".to_owned()));
    prepare(&place);
    let stuck = place.path("containers/web/backends/copy/scratch/0/stuck");
    std::fs::create_dir_all(&stuck).unwrap();
    let ran = std::process::Command::new("mount").args(["-t", "tmpfs", "none", &stuck]).status();
    assert!(ran.unwrap().success());
    for _ in 0..3 {
        let root = prepare(&place).root;
        assert_eq!(place.read_at(&root, "who"), "one");
        assert!(place.names("containers/web/backends/copy/rootfses").len() <= 2, "others go all the same");
    }
    assert!(std::process::Command::new("umount").arg(&stuck).status().unwrap().success());
    prepare(&place);
    assert_eq!(place.names("containers/web/roots").len(), 1);
}

#[test]
fn what_is_made_for_a_service_that_is_being_started_is_not_destroyed() {
    use service::status::{State, Status};
    let Some(place) = Place::new() else { return };
    save(&place, "abc:1", &json!({"Cmd": ["/bin/prog"]}), "one");
    definition(&place, |_| {});
    let root = prepare(&place).root;
    // Before the supervisor has it.
    std::fs::remove_file(place.path("run/service/web/prepared")).unwrap();
    let mut status = Status::new("web", service::definition::Kind::Longrun);
    status.state = State::Starting;
    status.supervisor = service::Pid::new(std::process::id().cast_signed());
    place.write("run/service/web/status", status.encode().as_bytes());
    assert_eq!(place.good(&["recover", "--services"]), "");
    assert_eq!(place.good(&["recover"]), "");
    let ran = place.run(&["destroy", "--service", "web"]);
    assert_eq!((ran.code, ran.err.contains("is being started")), (Some(4), true), "{}", ran.err);
    assert_eq!(place.read_at(&root, "who"), "one");
    place.good(&["destroy", "--force", "--service", "web"]);
    assert!(!std::path::Path::new(&root).exists());
}

#[test]
fn volumes_are_paths_outside_or_images_and_lead_where_the_roots_links_lead() {
    let Some(place) = Place::new() else { return };
    save(&place, "abc:1", &json!({"Cmd": ["/bin/prog"]}), "one");
    save(&place, "data:1", &json!({}), "data");
    place.write("outside/file", b"");
    let volume = |source: String, target: &str, writable: bool, image: bool| Volume {
        source,
        target: target.to_owned(),
        writable,
        image,
    };
    let volumes = vec![
        volume(place.path("outside"), "/data/a", true, false),
        volume("data:1".to_owned(), "/data/image", false, true),
        volume("data:1".to_owned(), "/data/own", true, true),
        volume(place.path("outside/file"), "/data/file", false, false),
    ];
    definition(&place, |all| all.image.as_mut().unwrap().volumes = volumes);
    let prepared = prepare(&place);
    let bind = |target: &str| {
        let target = format!("{}{target}", prepared.root);
        prepared.setup.iter().find_map(|step| match &step.setup {
            Setup::Bind { source, target: found, flags, .. } if *found == target => {
                Some((source.clone(), flags.read_only))
            }
            _ => None,
        })
    };
    assert_eq!(bind("/data/a"), Some((place.path("outside"), false)));
    assert_eq!(bind("/data/file"), Some((place.path("outside/file"), true)));
    let (source, read_only) = bind("/data/image").unwrap();
    assert_eq!((place.read_at(&source, "who").as_str(), read_only), ("data", true));
    // One that may be written to is a root of its own: neither the image nor the other one changes.
    let (own, read_only) = bind("/data/own").unwrap();
    assert!(!read_only);
    std::fs::write(std::path::Path::new(&own).join("who"), "written").unwrap();
    assert_eq!(
        (place.read_at(&own, "who").as_str(), place.read_at(&source, "who").as_str()),
        ("written", "data")
    );
    place.good(&["verify"]);
    assert!(std::path::Path::new(&prepared.root).join("data/file").is_file());
    place.good(&["destroy", "web"]);
    assert_eq!(place.mounts(), 1);
}
