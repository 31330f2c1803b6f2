//! Transient services: made, started, waited for and taken away, whoever is killed meanwhile.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

use serde_json::Value;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tests::machine::Outcome;
use tests::{Fixture, Machine, Signal, State, eventually, process, programs::program};

fn machine() -> Machine {
    Fixture::new().service("fixed", "command = [\"sleep\", \"1000\"]").boot()
}

/// `svctl` under way, which ends with the test.
struct Running(Child);

impl Running {
    fn start(machine: &Machine, words: &[&str]) -> Running {
        let mut command = Command::new(program("svctl"));
        command.arg("--run").arg(machine.fixture.path("run")).arg("--logs").arg(machine.fixture.path("logs"));
        Running(command.args(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    fn end(mut self) -> Outcome {
        let mut text = [String::new(), String::new()];
        std::io::Read::read_to_string(&mut self.0.stdout.take().unwrap(), &mut text[0]).unwrap();
        std::io::Read::read_to_string(&mut self.0.stderr.take().unwrap(), &mut text[1]).unwrap();
        let code = self.0.wait().unwrap().code().unwrap_or(-1);
        let [output, error] = text;
        Outcome { code, output, error }
    }

    fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

#[track_caller]
fn good(machine: &Machine, words: &[&str]) -> String {
    let outcome = machine.svctl(words);
    assert_eq!(outcome.code, 0, "{words:?} {outcome:?}");
    outcome.output
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect(text)
}

/// What is in a directory.
fn names(place: &Path) -> Vec<String> {
    let found = fs::read_dir(place).into_iter().flatten().flatten();
    let mut names: Vec<String> = found.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn transient(machine: &Machine) -> Vec<String> {
    names(&machine.fixture.path("run/services.d"))
}

/// Nothing is left of a service but its log.
#[track_caller]
fn is_gone(machine: &Machine, name: &str) {
    assert!(!transient(machine).contains(&name.to_owned()), "{:?}", transient(machine));
    assert!(!machine.fixture.path(&format!("run/service/{name}")).exists());
    assert_eq!(machine.ask(&format!("start {name}")), format!("error no such service {name}"));
}

#[test]
fn a_command_is_run_as_the_options_say_and_nothing_else_is_touched() {
    let machine = machine();
    let before = machine.status("fixed").pid;
    // Somebody is in the middle of something.
    machine.fixture.write("services/half/service.toml", "command = [\"sleep\", \"1000\"]");
    machine.fixture.write("services/fixed/service.toml", "command = [\"sleep\", \"2000\"]");
    machine.fixture.write("more", "FROM_FILE=1\nBOTH=file\n");
    let file = machine.fixture.path("more").display().to_string();
    let output = good(
        &machine,
        &[
            "run",
            "--name",
            "a",
            "--env",
            "BOTH=o p",
            "--env-file",
            &file,
            "--directory",
            "/usr",
            "--limit",
            "nofile=77",
            "--property",
            "stop.timeout=3s",
            "--label",
            "who=me=you",
            "--",
            "/bin/sh",
            "-c",
            "echo $FROM_FILE $BOTH $PWD $(ulimit -n) \"$@\"; exec sleep 1000",
            "x",
            "--name",
            "y  z",
        ],
    );
    assert_eq!(output, "a\n");
    let status = machine.until("a", State::Up);
    eventually("it has said so", || machine.log("a").contains(&"1 o p /usr 77 --name y  z".to_owned()));
    assert_eq!(machine.status("fixed").pid, before, "what was not asked for is not applied");
    assert_eq!(machine.ask("start half"), "error no such service half");
    let all = json(&good(&machine, &["containers", "--json"]));
    assert_eq!(all.as_array().unwrap().len(), 1, "{all}");
    assert_eq!(
        (&all[0]["name"], &all[0]["transient"], &all[0]["state"]),
        (&"a".into(), &true.into(), &"up".into())
    );
    assert_eq!(all[0]["labels"]["who"], "me=you");
    assert_eq!(all[0]["pid"], status.pid.unwrap().number());
    assert!(good(&machine, &["containers"]).contains("a"));
    // A reload of everything leaves it as it is.
    assert_eq!(machine.svctl(&["reload"]).code, 0);
    assert_eq!(machine.status("a").pid, status.pid);
    assert_eq!(good(&machine, &["destroy", "a"]), "a: destroyed\n");
    is_gone(&machine, "a");
    assert!(machine.fixture.path("logs/a/current").exists(), "its log stays");
    assert!(machine.try_outside(status.pid.unwrap()).is_none());
}

#[test]
fn an_end_is_told_by_exit_code_and_in_words() {
    let machine = machine();
    for (script, code, text) in [
        ("exit 0", 0, "x: exited with 0"),
        ("exit 3", 3, "x: exited with 3"),
        ("kill -TERM $$", 143, "x: killed by TERM"),
        ("kill -KILL $$", 137, "x: killed by KILL"),
    ] {
        let outcome = machine.svctl(&["run", "--name", "x", "--wait", "--rm", "/bin/sh", "-c", script]);
        assert_eq!(
            (outcome.code, outcome.output),
            (code, format!("x\n{text}\n")),
            "{script}: {}",
            outcome.error
        );
        is_gone(&machine, "x");
        assert!(!machine.fixture.path("logs/x").exists());
    }
    let outcome = machine.svctl(&["run", "--name", "x", "/bin/sh", "-c", "exit 5"]);
    assert_eq!((outcome.code, outcome.output.as_str()), (0, "x\n"), "it was started: {}", outcome.error);
    let end = json(&good(&machine, &["wait", "--ended", "--json", "x"]));
    assert_eq!(
        (&end[0]["state"], &end[0]["code"], &end[0]["signal"]),
        (&"failed".into(), &5.into(), &Value::Null)
    );
    assert_eq!(good(&machine, &["wait", "--ended", "x"]), "x: exited with 5\n");
    assert_eq!(machine.svctl(&["wait", "--ended", "nobody"]).code, 3);
    let late = machine.svctl(&["wait", "--ended", "fixed", "-t", "100ms"]);
    assert_eq!(late.code, 99, "{late:?}");
}

#[test]
fn what_cannot_be_started_says_why_and_stays_until_it_is_destroyed() {
    let machine = machine();
    machine.fixture.write("script", "#!/nonexistent/interpreter\n");
    let script = machine.fixture.path("script");
    tests::fixture::make_executable(&script);
    let outcome = machine.svctl(&["run", "--name", "x", script.to_str().unwrap()]);
    assert_eq!(outcome.code, 1, "{outcome:?}");
    assert!(outcome.error.contains("No such file") && outcome.output.is_empty(), "{outcome:?}");
    assert_eq!(machine.state("x"), State::Failed);
    let taken = machine.svctl(&["run", "--name", "x", "true"]);
    assert_eq!(taken.code, 4, "{taken:?}");
    assert_eq!(machine.svctl(&["run", "--name", "fixed", "true"]).code, 4);
    good(&machine, &["destroy", "x"]);
    let unknown = machine.svctl(&["destroy", "x"]);
    assert_eq!(unknown.code, 3, "{unknown:?}");
    let fixed = machine.svctl(&["destroy", "fixed"]);
    assert_eq!(fixed.code, 1, "{fixed:?}");
    assert!(fixed.error.contains("not transient"), "{fixed:?}");
    assert_eq!(machine.state("fixed"), State::Up);
}

#[test]
fn a_mistake_names_the_option_and_the_place_and_nothing_is_made() {
    let machine = machine();
    for (words, text) in [
        (&["--limit", "memory.max=1x", "true"][..], "--limit memory.max=1x: "),
        (&["--limit", "memory.maxx=1", "true"], "unknown limit"),
        (&["--property", "stop.colour=1", "true"], "unknown key"),
        (&["--property", "a b=1", "true"], "--property a b=1: "),
        (&["--restart", "perhaps", "true"], "perhaps"),
        (&["/no/such/program"], "/no/such/program"),
        (&["--env", "1=2", "true"], "cannot be the name of a variable"),
        (&[], "nothing to run"),
        (&["--volume", "/a:/b", "true"], "--volume is for an image"),
        (&["--name", "a b", "true"], "cannot be the name"),
        (&["--rm", "true"], "--rm"),
    ] {
        let outcome = machine.svctl(&[&["run", "--name", "x"], words].concat());
        assert_eq!(outcome.code, 100, "{words:?} {outcome:?}");
        assert!(outcome.error.contains(text), "{words:?} {outcome:?}");
        assert_eq!(transient(&machine), [""; 0]);
    }
    let place = machine.svctl(&["run", "--name", "x", "--limit", "memory.max=1x", "true"]);
    assert!(place.error.contains("services.d/x/service.toml:"), "{place:?}");
}

#[test]
fn a_destruction_is_told_to_whoever_waits_and_reaches_what_was_left_behind() {
    let machine = machine();
    let script = "trap '' TERM; setsid sleep 1234 & echo ready; while :; do sleep 1000; done";
    let waiting = Running::start(&machine, &["run", "--name", "x", "--wait", "/bin/sh", "-c", script]);
    machine.until("x", State::Up);
    let other = Running::start(&machine, &["wait", "--ended", "--json", "x"]);
    eventually("it runs", || machine.log("x").contains(&"ready".to_owned()));
    // Both are subscribed: they hold the directory.
    eventually("both wait", || {
        let place = machine.fixture.path("run/services.d/x");
        let holders = [waiting.0.id(), other.0.id()].map(|pid| {
            let found = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
            found.filter_map(|entry| fs::read_link(entry.path()).ok()).any(|to| to == place)
        });
        holders == [true, true]
    });
    good(&machine, &["destroy", "--now", "--with-log", "x"]);
    is_gone(&machine, "x");
    assert!(!machine.fixture.path("logs/x").exists());
    let ended = waiting.end();
    assert_eq!(ended.code, 137, "{ended:?}");
    assert!(ended.output.contains("x: destroyed, killed by KILL"), "{ended:?}");
    let told = json(&other.end().output);
    assert_eq!((&told[0]["destroyed"], &told[0]["signal"]), (&true.into(), &"KILL".into()), "{told}");
}

#[test]
fn what_is_destroyed_is_shown_until_it_is_gone_and_goes_as_was_said_first() {
    let machine = machine();
    let script = "trap '' TERM; echo ready; while :; do sleep 1; done";
    let words =
        ["run", "--name", "x", "--label", "k=v", "--property", "stop.timeout=1h", "/bin/sh", "-c", script];
    assert_eq!(machine.svctl(&words).code, 0);
    eventually("it is ready", || machine.log("x").contains(&"ready".to_owned()));
    let mut running = Running::start(&machine, &["destroy", "--with-log", "x"]);
    machine.until("x", State::Stopping);
    running.kill();
    let all = json(&good(&machine, &["containers", "--json"]));
    assert_eq!((&all[0]["name"], &all[0]["labels"]["k"]), (&"x".into(), &"v".into()), "{all}");
    assert_eq!(good(&machine, &["destroy", "--now", "x"]), "x: destroyed\n");
    is_gone(&machine, "x");
    assert!(!machine.fixture.path("logs/x").exists());
    assert_eq!(json(&good(&machine, &["containers", "--json"])).as_array().unwrap().len(), 0);
}

#[test]
fn a_service_that_was_never_started_is_forgotten_like_any_other() {
    let machine = Fixture::new().service("idle", "command = [\"sleep\", \"1000\"]\nautostart = false").boot();
    // As a run leaves it that is killed when init knows the service and has not been told to start it.
    machine.fixture.write("run/services.d/x/service.toml", "command = [\"sleep\", \"1000\"]");
    machine.tell("refresh x");
    assert_eq!(good(&machine, &["destroy", "--timeout", "10s", "x"]), "x: destroyed\n");
    is_gone(&machine, "x");
    fs::remove_dir_all(machine.fixture.path("services/idle")).unwrap();
    assert_eq!(machine.svctl(&["reload"]).code, 0);
    eventually("it is forgotten", || !machine.fixture.path("run/service/idle").exists());
}

#[test]
fn a_run_that_is_killed_at_any_step_leaves_nothing_that_is_half_there() {
    let machine = machine();
    for round in 0..24_u32 {
        let name = format!("k{round}");
        let mut running = Running::start(&machine, &["run", "--name", &name, "/bin/sleep", "1000"]);
        // At other places each time: what is waited for is some work done, not time.
        for _ in 0..round * 12 {
            let _ = running.0.try_wait();
            let _ = fs::read_dir(machine.fixture.path("run/services.d"));
        }
        running.kill();
    }
    // Whatever they have left, the next takes away; what had an answer stays.
    good(&machine, &["run", "--name", "last", "/bin/sleep", "1000"]);
    for name in transient(&machine) {
        assert!(!name.starts_with('.'), "{name}");
        let marks = ["starting", "leaving"]
            .map(|mark| machine.fixture.path(&format!("run/services.d/{name}/{mark}")).exists());
        assert_eq!(marks, [false, false], "{name}");
        machine.until(&name, State::Up);
    }
    assert_eq!(machine.svctl(&["reload"]).code, 0);
    let mut known = names(&machine.fixture.path("run/service"));
    known.retain(|name| name != "fixed");
    assert_eq!(known, transient(&machine));
}

#[test]
fn a_directory_that_was_given_up_is_no_service() {
    let machine = machine();
    let define = |name: &str, mark: Option<&str>| {
        machine
            .fixture
            .write(&format!("run/services.d/{name}/service.toml"), "command = [\"sleep\", \"1000\"]");
        if let Some(mark) = mark {
            machine.fixture.write(&format!("run/services.d/{name}/{mark}"), "");
        }
    };
    define("begun", Some("starting"));
    define("going", Some("leaving"));
    define(".made-1234", Some("starting"));
    define(".gone-1234", None);
    define("whole", None);
    define("fixed", None);
    let told = machine.svctl(&["reload"]);
    assert!(told.output.contains("whole: added"), "{told:?}");
    assert_eq!(machine.ask("start begun"), "error no such service begun");
    assert_eq!(machine.ask("start going"), "error no such service going");
    assert!(machine.try_status("whole").is_none(), "nobody has started it");
    let checked = machine.svctl(&["check"]);
    assert!(checked.output.contains("a service of this name is in") && checked.code == 1, "{checked:?}");
    fs::remove_dir_all(machine.fixture.path("run/services.d/fixed")).unwrap();
    good(&machine, &["run", "--name", "x", "/bin/sleep", "1000"]);
    assert_eq!(transient(&machine), ["whole", "x"]);
}

#[test]
fn it_goes_on_over_every_failure_and_replacement_of_init() {
    let machine = Fixture::new()
        .service("fixed", "command = [\"sleep\", \"1000\"]")
        .machine()
        .arguments(&["--debug"])
        .start();
    machine.wait_for_boot();
    good(&machine, &["run", "--name", "x", "/bin/sleep", "1000"]);
    let pid = machine.status("x").pid;
    let waiting = Running::start(
        &machine,
        &[
            "run",
            "--name",
            "y",
            "--wait",
            "/bin/sh",
            "-c",
            &format!("while [ ! -e {0}/go ]; do sleep 0.02; done; exit 7", machine.fixture.place().display()),
        ],
    );
    machine.until("y", State::Up);
    let supervisor = machine.status("y").supervisor.unwrap();
    machine.send(supervisor, Signal::KILL);
    machine.wait_for("y", "has another supervisor", |status| {
        status.supervisor.is_some_and(|other| other != supervisor) && status.state == State::Up
    });
    assert_eq!(machine.svctl(&["reexec"]).code, 0);
    assert_eq!(machine.status("x").pid, pid);
    machine.fixture.write("go", "");
    let ended = waiting.end();
    assert_eq!(ended.code, 7, "{ended:?}");
    good(&machine, &["destroy", "x", "y"]);
    is_gone(&machine, "x");
    is_gone(&machine, "y");
}

#[test]
fn twenty_at_once_all_run_and_have_names_of_their_own() {
    let machine = machine();
    let all: Vec<Running> =
        (0..20).map(|_| Running::start(&machine, &["run", "/bin/sleep", "1000"])).collect();
    let mut told: Vec<String> = all
        .into_iter()
        .map(|running| {
            let outcome = running.end();
            assert_eq!(outcome.code, 0, "{outcome:?}");
            outcome.output.trim().to_owned()
        })
        .collect();
    told.sort();
    told.dedup();
    assert_eq!(told.len(), 20);
    assert_eq!(transient(&machine), told);
    for name in &told {
        assert_eq!(machine.state(name), State::Up);
    }
    // One name can be had once.
    let same: Vec<Running> =
        (0..6).map(|_| Running::start(&machine, &["run", "--name", "same", "/bin/sleep", "1000"])).collect();
    let mut codes: Vec<i32> = same.into_iter().map(|running| running.end().code).collect();
    codes.sort_unstable();
    assert_eq!(codes, [0, 4, 4, 4, 4, 4]);
    let words: Vec<&str> = ["destroy", "same"].into_iter().chain(told.iter().map(String::as_str)).collect();
    good(&machine, &words);
    assert_eq!(transient(&machine), [""; 0]);
}

/// Where the groups of this machine's services are. Those of others, which were killed, may be beside them for ever.
fn groups(machine: &Machine) -> [PathBuf; 2] {
    let mut hasher = DefaultHasher::new();
    machine.fixture.path("run").hash(&mut hasher);
    let tree = format!("mainstay-{:016x}", hasher.finish());
    ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(|root| Path::new(root).join(&tree))
}

#[test]
fn services_that_come_and_go_leave_nothing_behind() {
    let machine = machine();
    let round = |count: usize| {
        for _ in 0..count {
            let outcome = machine.svctl(&["run", "--name", "x", "--wait", "--rm", "true"]);
            assert_eq!(outcome.code, 0, "{outcome:?}");
        }
    };
    round(3);
    let descriptors = |pid| fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    let logger = machine.logger().unwrap();
    let before = [descriptors(machine.init()), descriptors(logger)];
    let processes = machine.processes().len();
    round(200);
    eventually("nothing is open that was not", || {
        [descriptors(machine.init()), descriptors(logger)] == before && machine.processes().len() == processes
    });
    assert_eq!(transient(&machine), [""; 0]);
    assert_eq!(names(&machine.fixture.path("run/service")), ["fixed"]);
    assert_eq!(names(&machine.fixture.path("logs")), ["fixed"]);
    let left: Vec<PathBuf> = groups(&machine).into_iter().filter(|group| group.join("x").exists()).collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(process::lives(machine.init()));
}
