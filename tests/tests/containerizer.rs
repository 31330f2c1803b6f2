//! The external containerizer as an agent uses it: messages made by `protoc`, services under a real init.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use tests::archive::{Entry, archive};
use tests::protobuf::{decode, encode, framed};
use tests::wait::eventually_some;
use tests::{Fixture, Machine, Signal, State, eventually, process, programs::program};

/// A machine, and an agent of it.
struct Agent {
    machine: Machine,
    work: &'static str,
    properties: String,
}

impl Agent {
    fn new() -> Agent {
        let machine = Fixture::new().service("fixed", "command = [\"sleep\", \"1000\"]").boot();
        Agent { machine, work: "/var/lib/mesos", properties: String::new() }
    }

    fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(program("external-containerizer"));
        command
            .arg(verb)
            .env("MAINSTAY_RUN", self.machine.fixture.path("run"))
            .env("MESOS_WORK_DIRECTORY", self.work)
            .env("MESOS_LIBEXEC_DIRECTORY", self.machine.fixture.path("libexec"))
            .env("EXTERNAL_CONTAINERIZER_PROPERTIES", &self.properties)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Begins a verb; as an agent does, its input is left open.
    fn begin(&self, verb: &str, message: &[u8]) -> Running {
        let mut child = self.command(verb).spawn().unwrap();
        child.stdin.as_mut().unwrap().write_all(message).unwrap();
        Running(child)
    }

    fn call(&self, verb: &str, message: &[u8]) -> Done {
        self.begin(verb, message).end()
    }

    /// Carries out a verb, which has to succeed, and returns what was answered as text.
    #[track_caller]
    fn good(&self, verb: &str, message: &[u8], answer: &str) -> String {
        let done = self.call(verb, message);
        assert_eq!(done.code, Some(0), "{verb}: {}", done.error);
        done.answer(answer)
    }

    fn sandbox(&self, id: &str) -> String {
        let path = self.machine.fixture.path(&format!("sandbox/{id}"));
        fs::create_dir_all(&path).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// A launch of an executor that the shell runs.
    fn launch(&self, id: &str, command: &str, more: &str) -> Vec<u8> {
        let sandbox = self.sandbox(id);
        framed(&encode(
            "Launch",
            &format!(
                "container_id {{ value: {id:?} }} directory: {sandbox:?} slave_id {{ value: \"S1\" }} \
                 slave_pid: \"slave(1)@127.0.0.1:5051\" executor_info {{ executor_id {{ value: \"e\" }} \
                 framework_id {{ value: \"F1\" }} command {{ value: {command:?} }} {more} }}"
            ),
        ))
    }

    #[track_caller]
    fn launched(&self, id: &str, command: &str) {
        self.good("launch", &self.launch(id, command, ""), "");
    }

    #[track_caller]
    fn containers(&self) -> BTreeSet<String> {
        let text = self.good("containers", b"", "Containers");
        let value = |line: &str| Some(line.trim().strip_prefix("value: \"")?.strip_suffix('"')?.to_owned());
        text.lines().filter_map(value).collect()
    }

    /// Begins to wait, and returns when it does.
    fn wait(&self, id: &str) -> Running {
        let running = self.begin("wait", &of("Wait", id));
        let pid = tests::Pid::new(i32::try_from(running.0.id()).unwrap()).unwrap();
        let waits = |child: &tests::Pid| {
            let words = fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
            let words = String::from_utf8_lossy(&words).into_owned();
            let connected = process::descriptors(*child).iter().any(|(_, path)| path.starts_with("socket:"));
            words.contains("\0wait\0") && connected
        };
        eventually("it waits", || process::children(pid).iter().any(waits));
        running
    }

    /// What a container uses, once it is known to run.
    fn usage(&self, id: &str) -> String {
        eventually_some("its usage is told", || {
            let done = self.call("usage", &of("Usage", id));
            (done.code == Some(0)).then(|| done.answer("ResourceStatistics"))
        })
    }

    /// What the supervisor reads of a container whose id can be read off its service's name.
    fn definition(&self, id: &str) -> String {
        let run = fs::read_dir(self.machine.fixture.path("run/service")).unwrap().flatten();
        let of = |entry: &fs::DirEntry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            name.starts_with("mesos-") && name.ends_with(&format!("-{id}"))
        };
        let place = run.into_iter().find(of).map(|entry| entry.path().join("definition"));
        place.and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default()
    }

    fn nothing_runs(&self, id: &str) {
        let sandbox = self.sandbox(id);
        let ours =
            |pid: &tests::Pid| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|path| path == *sandbox);
        eventually("nothing of it runs", || !process::all().iter().any(ours));
    }

    /// A FIFO, which a container waits on.
    fn fifo(&self) -> String {
        let path = self.machine.fixture.path("go");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn read(&self, id: &str, name: &str) -> String {
        fs::read_to_string(format!("{}/{name}", self.sandbox(id))).unwrap_or_default()
    }
}

/// The message of a container's id.
fn of(kind: &str, id: &str) -> Vec<u8> {
    framed(&encode(kind, &format!("container_id {{ value: {id:?} }}")))
}

/// The program under way, which ends with the test.
struct Running(Child);

/// What it said.
struct Done {
    code: Option<i32>,
    output: Vec<u8>,
    error: String,
}

impl Running {
    fn end(mut self) -> Done {
        let (mut output, mut error) = (Vec::new(), String::new());
        self.0.stdout.take().unwrap().read_to_end(&mut output).unwrap();
        self.0.stderr.take().unwrap().read_to_string(&mut error).unwrap();
        Done { code: self.0.wait().unwrap().code(), output, error }
    }

    /// As an agent ends one: with all that it has started.
    fn kill(&mut self) {
        let pid = tests::Pid::new(i32::try_from(self.0.id()).unwrap()).unwrap();
        let all = process::descendants(pid);
        let _ = self.0.kill();
        let _ = self.0.wait();
        all.into_iter().for_each(|pid| process::send(pid, Signal::KILL));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.0.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.kill();
        }
    }
}

impl Done {
    /// The one message that was answered, as text; of no type there is none.
    #[track_caller]
    fn answer(&self, kind: &str) -> String {
        if kind.is_empty() {
            assert_eq!(self.output, b"", "there is an answer");
            return String::new();
        }
        let (length, message) = self.output.split_at(4);
        let length = u32::from_ne_bytes(length.try_into().unwrap());
        assert_eq!(message.len(), usize::try_from(length).unwrap(), "one message, and nothing else");
        decode(kind, message)
    }
}

#[test]
fn a_container_is_launched_measured_limited_and_waited_for() {
    let agent = Agent::new();
    let go = agent.fifo();
    // Something is left behind.
    let command = format!(
        "setsid sleep 1000 & echo out $MESOS_EXECUTOR_ID $PWD; echo err >&2; read line <{go}; exit 3"
    );
    let resources = "resources { name: \"cpus\" type: SCALAR scalar { value: 0.25 } } \
                     resources { name: \"mem\" type: SCALAR scalar { value: 48 } }";
    agent.good("launch", &agent.launch("c1", &command, resources), "");
    let definition = agent.definition("c1");
    assert!(
        definition.contains("cpu.weight 25") && definition.contains("memory.max 50331648"),
        "{definition}"
    );
    assert_eq!(agent.containers(), ["c1".to_owned()].into());
    let again = agent.call("launch", &agent.launch("c1", "true", ""));
    assert_eq!(again.code, Some(1));
    assert!(
        again.error.starts_with("external-containerizer c1: unable to launch: there is a container"),
        "{}",
        again.error
    );
    let said = format!("out e {}\n", agent.sandbox("c1"));
    eventually("it runs in its sandbox", || {
        agent.read("c1", "stdout") == said && agent.read("c1", "stderr") == "err\n"
    });
    let usage = agent.usage("c1");
    assert!(usage.contains("timestamp: ") && usage.contains("cpus_user_time_secs: "), "{usage}");
    let update = "container_id { value: \"c1\" } resources { name: \"cpus\" type: SCALAR scalar { value: 0.5 } } \
                  resources { name: \"mem\" type: SCALAR scalar { value: 64 } }";
    agent.good("update", &framed(&encode("Update", update)), "");
    eventually("it has them", || agent.definition("c1").contains("memory.max 67108864"));
    let waiting = agent.wait("c1");
    fs::write(&go, "\n").unwrap();
    let done = waiting.end();
    assert_eq!(done.code, Some(0), "{}", done.error);
    let answer = done.answer("Termination");
    assert!(answer.contains("killed: false") && answer.contains("status: 768"), "{answer}");
    assert_eq!(agent.containers(), BTreeSet::new(), "what has been told is forgotten");
    agent.nothing_runs("c1");
    agent.good("destroy", &of("Destroy", "c1"), "");
    for (verb, kind) in [("wait", "Wait"), ("usage", "Usage")] {
        let done = agent.call(verb, &of(kind, "c1"));
        assert_eq!((done.code, done.output.len()), (Some(1), 0));
        assert!(done.error.contains("there is no such container"), "{}", done.error);
    }
    assert_eq!(agent.machine.state("fixed"), State::Up);
}

#[test]
fn what_has_ended_can_be_waited_for_until_somebody_has_been_told() {
    let agent = Agent::new();
    let go = agent.fifo();
    agent.launched("c", &format!("read line <{go}; kill -9 $$"));
    let mut killed = agent.wait("c");
    killed.kill();
    // Whoever does not read what is there, and goes, has not been told.
    let mut waiting = agent.wait("c");
    fs::write(&go, "\n").unwrap();
    let output = waiting.0.stdout.take().unwrap();
    eventually("it answers", || rustix::io::ioctl_fionread(&output).unwrap() > 0);
    assert!(waiting.0.try_wait().unwrap().is_none(), "it waits for its reader");
    drop(output);
    assert_eq!(waiting.0.wait().unwrap().code(), Some(1));
    assert_eq!(agent.containers(), ["c".to_owned()].into());
    let answer = agent.good("wait", &of("Wait", "c"), "Termination");
    assert!(answer.contains("killed: false") && answer.contains("status: 9\n"), "{answer}");
    assert_eq!(agent.containers(), BTreeSet::new());
}

#[test]
fn a_container_that_is_destroyed_ends_with_all_its_processes_and_so_does_the_wait() {
    let agent = Agent::new();
    agent.launched("c", "trap '' TERM; sleep 1000 & echo $! >child; while :; do sleep 1000; done");
    eventually("it runs", || agent.read("c", "child").ends_with('\n'));
    let waiting = agent.wait("c");
    agent.good("destroy", &of("Destroy", "c"), "");
    let answer = waiting.end().answer("Termination");
    assert!(answer.contains("killed: false") && answer.contains("TASK_KILLED"), "{answer}");
    agent.good("destroy", &of("Destroy", "c"), "");
    assert_eq!(agent.containers(), BTreeSet::new());
    agent.nothing_runs("c");
    // The id may be used again.
    agent.launched("c", "exit 0");
    assert!(agent.good("wait", &of("Wait", "c"), "Termination").contains("status: 0"));
}

#[test]
fn what_cannot_be_started_is_told_by_the_wait() {
    let agent = Agent::new();
    let message = "container_id { value: \"c\" } directory: \"@S\" executor_info { executor_id { value: \"e\" } \
                   command { shell: false value: \"/nonexistent/program\" } }";
    let launch = |program: &str| {
        let text = message.replace("@S", &agent.sandbox("c")).replace("/nonexistent/program", program);
        agent.call("launch", &framed(&encode("Launch", &text)))
    };
    let done = launch("/nonexistent/program");
    assert_eq!(done.code, Some(1), "what is seen before");
    assert!(
        done.error.contains("unable to launch: ") && done.error.contains("/nonexistent/program"),
        "{}",
        done.error
    );
    assert_eq!(agent.containers(), BTreeSet::new());
    agent.machine.fixture.write("broken", "\x7fELF\n");
    let broken = agent.machine.fixture.path("broken");
    tests::fixture::make_executable(&broken);
    let done = launch(broken.to_str().unwrap());
    assert_eq!(done.code, Some(0), "{}", done.error);
    let answer = agent.good("wait", &of("Wait", "c"), "Termination");
    assert!(!answer.contains("status:") && answer.contains("REASON_CONTAINER_LAUNCH_FAILED"), "{answer}");
    assert!(answer.contains("unable to"), "{answer}");
    assert_eq!(agent.containers(), BTreeSet::new());
}

#[test]
fn ids_of_any_form_are_told_apart_and_every_agent_has_its_own() {
    let mut agent = Agent::new();
    let ids =
        ["a.b", "a:b", "a b", "a+2Eb", "A.B", "\u{fc}", &"x".repeat(400), &format!("{}y", "x".repeat(399))];
    for (number, id) in ids.iter().enumerate() {
        let message = agent.launch(&format!("s{number}"), "exec sleep 1000", "");
        // The sandbox has another name than the id, which no file could have.
        let text = decode("Launch", &message[4..])
            .replace(&format!("value: \"s{number}\""), &format!("value: {id:?}"));
        agent.good("launch", &framed(&encode("Launch", &text)), "");
    }
    let told = agent.call("containers", b"").answer("Containers");
    assert_eq!(told.matches("containers {").count(), ids.len(), "{told}");
    agent.work = "/another";
    assert_eq!(agent.containers(), BTreeSet::new());
    agent.good("destroy", &of("Destroy", "a.b"), "");
    agent.work = "/var/lib/mesos";
    for id in ids {
        agent.usage(id);
        agent.good("destroy", &of("Destroy", id), "");
    }
    assert_eq!(agent.containers(), BTreeSet::new());
}

#[test]
fn ten_containers_at_once_and_one_of_ten_that_want_the_same_id() {
    let agent = Agent::new();
    let messages: Vec<Vec<u8>> =
        (0..10).map(|number| agent.launch(&format!("c{number}"), &format!("exit {number}"), "")).collect();
    let same = agent.launch("same", "echo once; exec sleep 1000", "");
    let launches: Vec<Running> = messages.iter().map(|message| agent.begin("launch", message)).collect();
    let races: Vec<Running> = (0..10).map(|_| agent.begin("launch", &same)).collect();
    for launch in launches {
        let done = launch.end();
        assert_eq!(done.code, Some(0), "{}", done.error);
    }
    let codes: Vec<Option<i32>> = races.into_iter().map(|race| race.end().code).collect();
    assert_eq!(codes.iter().filter(|code| **code == Some(0)).count(), 1, "{codes:?}");
    assert_eq!(agent.containers().len(), 11);
    let waits: Vec<Running> =
        (0..10).map(|number| agent.begin("wait", &of("Wait", &format!("c{number}")))).collect();
    for (number, wait) in waits.into_iter().enumerate() {
        let done = wait.end();
        assert_eq!(done.code, Some(0), "{}", done.error);
        let answer = done.answer("Termination");
        assert!(answer.contains(&format!("status: {}\n", number << 8)), "{number}: {answer}");
    }
    eventually("it has run once", || agent.read("same", "stdout") == "once\n");
    assert_eq!(agent.containers(), ["same".to_owned()].into());
}

#[test]
fn whoever_is_killed_at_whatever_step_nothing_is_lost() {
    let agent = Agent::new();
    let message = agent.launch("c", "exec sleep 1000", "");
    // At other places each time: what is waited for is some work done, not time.
    for round in 0..20_u32 {
        let mut launch = agent.begin("launch", &message);
        for _ in 0..round * 30 {
            let _ = launch.0.try_wait();
        }
        launch.kill();
        // Either there is a container, and it can be ended, or there is none, and it can be launched.
        agent.good("recover", b"", "");
        agent.good("destroy", &of("Destroy", "c"), "");
        assert_eq!(agent.containers(), BTreeSet::new(), "round {round}");
    }
    agent.good("launch", &message, "");
    let name = agent.machine.svctl(&["containers", "--json"]).output;
    let name = name.split('"').find(|word| word.starts_with("mesos-")).unwrap().to_owned();
    let pid = agent.machine.until(&name, State::Up).pid.unwrap();
    let supervisors = || {
        let ours = |pid: &tests::Pid| {
            let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let words = String::from_utf8_lossy(&words).into_owned();
            words.contains("supervise") && words.contains(&name)
        };
        agent.machine.processes().into_iter().filter(ours).collect::<Vec<_>>()
    };
    let mut waiting = agent.wait("c");
    for _ in 0..3 {
        let old = supervisors();
        assert_eq!(old.len(), 1, "{old:?}");
        process::send(old[0], Signal::KILL);
        eventually("there is another supervisor", || {
            let new = supervisors();
            new.len() == 1 && new != old
        });
    }
    agent.good("recover", b"", "");
    assert_eq!(agent.containers(), ["c".to_owned()].into());
    assert_eq!(agent.machine.status(&name).pid, Some(pid), "it runs as before");
    waiting.kill();
    let waiting = agent.wait("c");
    agent.machine.send(pid, Signal::KILL);
    let answer = waiting.end().answer("Termination");
    assert!(answer.contains("status: 9\n"), "{answer}");
}

#[test]
fn what_uris_name_is_fetched_before_and_a_failure_is_the_launchs() {
    let agent = Agent::new();
    let fixture = &agent.machine.fixture;
    fixture.write(
        "libexec/mesos-fetcher",
        "#!/bin/sh\necho \"$MESOS_EXECUTOR_URIS\" >old\necho \"$MESOS_FETCHER_INFO\" >new\necho fetching\nexit $(cat ../code)\n",
    );
    tests::fixture::make_executable(&fixture.path("libexec/mesos-fetcher"));
    fixture.write("sandbox/code", "0");
    let message = |id: &str| {
        let text = decode("Launch", &agent.launch(id, "cat old", "")[4..]);
        let uris = "command { uris { value: \"/a b\" } uris { value: \"http://h/x+y\" executable: true extract: false }";
        framed(&encode("Launch", &text.replacen("command {", uris, 1)))
    };
    agent.good("launch", &message("c"), "");
    let old = "/a b+0X http://h/x+y+1N\n";
    eventually("it finds it", || agent.read("c", "stdout") == format!("fetching\n{old}"));
    let told: serde_json::Value = serde_json::from_str(&agent.read("c", "new")).unwrap();
    assert_eq!(told["sandbox_directory"], agent.sandbox("c").as_str());
    assert_eq!(told["items"][1]["uri"]["value"], "http://h/x+y");
    assert_eq!(told["command_info"]["uris"][0]["extract"], true);
    fixture.write("sandbox/code", "7");
    let done = agent.call("launch", &message("d"));
    assert_eq!(done.code, Some(1));
    assert!(done.error.contains("unable to fetch what the container is to have"), "{}", done.error);
    assert!(!agent.containers().contains("d"));
}

/// An image with its own file `version`, which has this machine's programs by a volume; and a store for it.
fn with_image() -> Option<Agent> {
    if !tests::images::are_we_root("that containers run from images") {
        return None;
    }
    let mut agent = Agent::new();
    let fixture = &agent.machine.fixture;
    let layer = archive(&[
        Entry::directory("usr"),
        Entry::symlink("bin", "usr/bin"),
        Entry::symlink("lib", "usr/lib"),
        Entry::symlink("lib64", "usr/lib64"),
        Entry::file("version", "one\n"),
    ]);
    let config = "{\"Entrypoint\": [\"/bin/sh\", \"-c\"], \"Env\": [\"FROM_IMAGE=yes\", \"PATH=/bin\"]}";
    tests::layout::write(fixture, "images/app", &layer, config);
    let place = fixture.place().display();
    agent.properties = format!(
        "image.backend=\"copy\"\nimage.options={{ store = \"{place}/store\", containers = \"{place}/containers\", local = \"{place}/images\" }}"
    );
    Some(agent)
}

impl Agent {
    /// A launch of an executor in that image; `command` stands in its message, `more` behind the executor's.
    fn launch_in_image(&self, id: &str, image: &str, command: &str, more: &str) -> Vec<u8> {
        let (sandbox, place) = (self.sandbox(id), self.machine.fixture.place().display());
        framed(&encode(
            "Launch",
            &format!(
                "container_id {{ value: {id:?} }} directory: {sandbox:?} executor_info {{ executor_id {{ value: \"e\" }} \
                 command {{ {command} container {{ image: \"oci:{place}/images/{image}\" }} }} \
                 container {{ type: MESOS volumes {{ container_path: \"/usr\" host_path: \"/usr\" mode: RO }} }} }} {more}"
            ),
        ))
    }

    fn roots(&self) -> usize {
        let found = fs::read_dir(self.machine.fixture.path("containers"));
        let named = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with("mesos-");
        found.map_or(0, |found| found.flatten().filter(named).count())
    }
}

#[test]
fn an_executor_runs_in_its_image_with_its_sandbox() {
    let Some(agent) = with_image() else { return };
    let command = "value: \"cat /version; pwd; echo $FROM_IMAGE $MESOS_DIRECTORY; echo from inside >inside; exec sleep 1000\"";
    agent.good("launch", &agent.launch_in_image("c", "app:1", command, ""), "");
    let said = "one\n/mnt/mesos/sandbox\nyes /mnt/mesos/sandbox\n";
    eventually("it runs", || {
        agent.read("c", "stdout") == said && agent.read("c", "inside") == "from inside\n"
    });
    agent.usage("c");
    assert_eq!(agent.roots(), 1);
    let waiting = agent.wait("c");
    agent.good("destroy", &of("Destroy", "c"), "");
    assert!(waiting.end().answer("Termination").contains("killed: false"));
    eventually("its root is gone", || agent.roots() == 0);
    // What the image executes gets the arguments.
    let command = "shell: false arguments: \"cat /version; exit 4\"";
    agent.good("launch", &agent.launch_in_image("d", "app:1", command, ""), "");
    assert!(agent.good("wait", &of("Wait", "d"), "Termination").contains("status: 1024\n"));
    assert_eq!(agent.read("d", "stdout"), "one\n");
}

#[test]
fn an_image_that_is_missing_is_told_by_the_wait() {
    let Some(agent) = with_image() else { return };
    agent.good("launch", &agent.launch_in_image("c", "none:1", "value: \"true\"", ""), "");
    let answer = agent.good("wait", &of("Wait", "c"), "Termination");
    assert!(answer.contains("REASON_CONTAINER_LAUNCH_FAILED") && answer.contains("images/none"), "{answer}");
    assert_eq!(agent.containers(), BTreeSet::new());
}

#[test]
fn a_task_runs_in_its_image_while_its_executor_observes_it_outside() {
    let Some(agent) = with_image() else { return };
    // As Mesos's does: it runs what it is told to, tells how that ended, and ends well.
    let executor = agent.machine.fixture.path("libexec/mesos-executor");
    agent.machine.fixture.write(
        "libexec/mesos-executor",
        "#!/bin/sh\n[ \"$1\" = --override ] || exit 9\nshift\necho $MESOS_EXECUTOR_ID >executor\n\"$@\"\necho $? >ended\n",
    );
    tests::fixture::make_executable(&executor);
    let launch = |id: &str, task: &str| {
        let more = format!(
            "task_info {{ name: \"t\" task_id {{ value: \"e\" }} slave_id {{ value: \"s\" }} command {{ value: {task:?} }} \
             container {{ type: MESOS volumes {{ container_path: \"/usr\" host_path: \"/usr\" mode: RO }} }} }}"
        );
        let command = format!("value: \"{}\"", executor.display());
        agent.good("launch", &agent.launch_in_image(id, "app:1", &command, &more), "");
    };
    launch("c", "cat /version; exit 5");
    let answer = agent.good("wait", &of("Wait", "c"), "Termination");
    assert!(answer.contains("status: 0\n"), "the executor has ended well: {answer}");
    assert_eq!((agent.read("c", "executor"), agent.read("c", "ended")), ("e\n".to_owned(), "5\n".to_owned()));
    assert_eq!(agent.read("c", "stdout"), "one\n");
    eventually("its root is gone", || agent.roots() == 0);
    // The two are one container, and end together.
    launch("d", "echo task >task; exec sleep 1000");
    eventually("both run", || agent.read("d", "task") == "task\n" && agent.read("d", "executor") == "e\n");
    assert_eq!(agent.containers(), ["d".to_owned()].into());
    assert_eq!(
        agent.machine.svctl(&["containers", "--json"]).output.matches("\"mesos.container\"").count(),
        2
    );
    agent.usage("d");
    agent.good("destroy", &of("Destroy", "d"), "");
    assert_eq!(agent.containers(), BTreeSet::new());
    eventually("its root is gone", || agent.roots() == 0);
    assert_eq!(agent.read("d", "ended"), "", "the executor did not outlive it");
}
