//! Init as the main process of a container: a command or a service is what it lives for.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests"
)]

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;

use std::process::{Child, Command, Stdio};
use tests::programs::program;
use tests::{Fixture, Observer, Pid, Signal, State, eventually, process};

/// Where init runs.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// As the first process of a PID namespace.
    Namespace,
    /// As any other process.
    Ordinary,
}

const PLACES: [Place; 2] = [Place::Namespace, Place::Ordinary];

/// Init with a command or a main service.
struct Container {
    child: Child,
    fixture: Fixture,
}

impl Container {
    fn command(place: Place, fixture: &Fixture) -> Command {
        let mut command = match place {
            Place::Ordinary => Command::new(program("init")),
            Place::Namespace => {
                let mut command = Command::new("unshare");
                if process::own_user() != 0 {
                    command.args(["--user", "--map-root-user"]);
                }
                command.args(["--pid", "--fork", "--kill-child", "--mount-proc", "--"]);
                command.arg(program("init"));
                command
            }
        };
        command.arg("--run").arg(fixture.path("run"));
        command.stdin(Stdio::null());
        command.stdout(File::create(fixture.path("output")).unwrap());
        command.stderr(File::create(fixture.path("console")).unwrap());
        command
    }

    fn start(place: Place, fixture: Fixture, words: &[&str]) -> Container {
        let mut command = Container::command(place, &fixture);
        let place = fixture.place().display().to_string();
        command.args(words.iter().map(|word| word.replace("@T", &place)));
        let child = sys::child::die_with_parent(&mut command).spawn().unwrap();
        Container { child, fixture }
    }

    /// Init, by its number outside.
    fn init(&self) -> Pid {
        let outer = Pid::new(self.child.id().cast_signed()).unwrap();
        let named = |pid: Pid| process::field(pid, "Name").is_some_and(|name| name == "init");
        tests::wait::eventually_some("init runs", || {
            if named(outer) {
                Some(outer)
            } else {
                process::children(outer).into_iter().find(|pid| named(*pid))
            }
        })
    }

    /// The supervisor of the main service.
    fn supervisor(&self) -> Pid {
        let init = self.init();
        let of_main = |pid: &Pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.ends_with(b"\0main\0") && process::lives(*pid)
        };
        tests::wait::eventually_some("its supervisor runs", || {
            process::children(init).into_iter().find(of_main)
        })
    }

    fn wait_for_trace(&self, lines: usize) -> Vec<String> {
        eventually("the trace is long enough", || self.fixture.trace().len() >= lines);
        self.fixture.trace()
    }

    /// Its exit status.
    #[track_caller]
    fn end(&mut self) -> i32 {
        let status = tests::wait::eventually_some("it has ended", || self.child.try_wait().unwrap());
        status.code().unwrap_or_else(|| panic!("it was ended by signal {:?}", status.signal()))
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let outer = Pid::new(self.child.id().cast_signed()).unwrap();
        let below = process::descendants(outer);
        let _ = self.child.kill();
        let _ = self.child.wait();
        for pid in below {
            let _ = sys::process::signal(pid, Signal::KILL);
        }
        if std::thread::panicking() {
            eprintln!("--- the console\n{}", self.fixture.read("console"));
        }
    }
}

/// A command that tells the trace when it begins and which of these signals it gets; TERM ends it with 5.
const TELLING: &str = "for s in HUP INT QUIT USR1 USR2 WINCH ALRM; do trap \"echo $s >> @T/trace\" $s; done\n\
    trap 'echo main stops >> @T/trace; exit 5' TERM\necho main starts >> @T/trace\n\
    while :; do sleep 0.01; done";

#[test]
fn its_exit_status_is_that_of_the_command() {
    for place in PLACES {
        for (script, code) in
            [("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -TERM $$", 143), ("kill -KILL $$", 137)]
        {
            let mut container = Container::start(place, Fixture::new(), &["--", "/bin/sh", "-c", script]);
            assert_eq!(container.end(), code, "{place:?} {script}");
        }
    }
}

#[test]
fn what_cannot_be_executed_ends_as_in_a_shell() {
    for (command, code) in [("no-such-program", 127), ("/no/such/program", 127), ("/etc/passwd", 126)] {
        let mut container = Container::start(Place::Namespace, Fixture::new(), &["--", command]);
        assert_eq!(container.end(), code, "{command}");
        let console = container.fixture.read("console");
        assert!(console.contains("unable to"), "{command}: {console}");
    }
}

#[test]
fn a_command_that_ends_well_says_nothing_but_its_own() {
    let mut container =
        Container::start(Place::Namespace, Fixture::new(), &["--", "/bin/sh", "-c", "echo hello; exit 3"]);
    assert_eq!(container.end(), 3);
    assert_eq!(container.fixture.read("output"), "hello\n");
    assert_eq!(container.fixture.read("console"), "");
}

#[test]
fn a_signal_that_stops_it_ends_the_command_and_leaves_its_status() {
    for signal in ["TERM", "RTMIN+3", "PWR"] {
        for place in PLACES {
            let mut container = Container::start(place, Fixture::new(), &["--", "/bin/sh", "-c", TELLING]);
            container.wait_for_trace(1);
            process::send(container.init(), Signal::parse(signal).unwrap());
            assert_eq!(container.end(), 5, "{signal} {place:?}");
            assert_eq!(container.fixture.trace(), ["main starts", "main stops"]);
        }
    }
}

#[test]
fn every_other_signal_is_the_commands() {
    let mut container = Container::start(Place::Namespace, Fixture::new(), &["--", "/bin/sh", "-c", TELLING]);
    container.wait_for_trace(1);
    let signals = ["HUP", "INT", "QUIT", "USR1", "USR2", "WINCH", "ALRM"];
    for (count, signal) in signals.into_iter().enumerate() {
        process::send(container.init(), Signal::parse(signal).unwrap());
        assert_eq!(container.wait_for_trace(count + 2)[count + 1], signal);
    }
    process::send(container.init(), Signal::TERM);
    assert_eq!(container.end(), 5);
}

#[test]
fn the_services_of_the_tree_come_before_the_command_and_go_after_it() {
    let fixture = Fixture::new().tracing("a", "[ready]\nfd = 3").script("bad", "exit 1");
    let words = ["--services", "@T/services", "--", "/bin/sh", "-c", TELLING];
    let mut container = Container::start(Place::Namespace, fixture, &words);
    container.wait_for_trace(2);
    process::send(container.init(), Signal::TERM);
    assert_eq!(container.end(), 5);
    assert_eq!(container.fixture.trace(), ["a starts", "main starts", "main stops", "a stops"]);
}

#[test]
fn a_stop_before_the_command_began_is_no_success() {
    let fixture =
        Fixture::new().service("slow", "[ready]\nfd = 3").run("echo slow >> @T/trace\nexec sleep 1000");
    let words = ["--services", "@T/services", "--", "/bin/sh", "-c", TELLING];
    let mut container = Container::start(Place::Namespace, fixture, &words);
    assert_eq!(container.wait_for_trace(1), ["slow"]);
    process::send(container.init(), Signal::TERM);
    assert_eq!(container.end(), 143);
    assert_eq!(container.fixture.trace(), ["slow"]);
}

#[test]
fn the_command_has_the_environment_the_directory_and_the_input_of_init() {
    let fixture = Fixture::new();
    let mut command = Container::command(Place::Namespace, &fixture);
    let script = "echo $COLOUR; pwd; cat; echo $PATH";
    command.env("COLOUR", "blue").env("PATH", "/bin:/usr/bin:/odd").current_dir("/usr").stdin(Stdio::piped());
    let mut child = command.args(["--", "sh", "-c", script]).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"typed\n").unwrap();
    let mut container = Container { child, fixture };
    assert_eq!(container.end(), 0);
    assert_eq!(container.fixture.read("output"), "blue\n/usr\ntyped\n/bin:/usr/bin:/odd\n");
}

#[test]
fn listening_sockets_are_handed_on_and_said_to_be_the_commands_own() {
    let fixture = Fixture::new();
    let socket: OwnedFd = std::net::TcpListener::bind("127.0.0.1:0").unwrap().into();
    let other: OwnedFd = File::open("/dev/zero").unwrap().into();
    let init = program("init");
    // A shell puts them at their places and becomes init, so that its number is known before.
    let script = format!(
        "exec 3<&{} 4<&{}; LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=a:b exec \"$0\" \"$@\"",
        socket.as_raw_fd(),
        other.as_raw_fd()
    );
    let mut shell = Command::new("/bin/bash");
    shell.args(["-c", &script]).arg(&init).arg("--run").arg(fixture.path("run"));
    // Nothing is piped: the shell's own end of a pipe would be one of its descriptors for a moment.
    let tell = "[ \"$LISTEN_PID\" = $$ ] && echo mine $LISTEN_FDS $LISTEN_FDNAMES; ls -C /proc/$$/fd; \
        readlink /proc/$$/fd/3 | cut -d: -f1; readlink /proc/$$/fd/4";
    shell.args(["--", "/bin/sh", "-c", tell]).stdin(Stdio::null());
    shell.stdout(File::create(fixture.path("output")).unwrap());
    shell.stderr(File::create(fixture.path("console")).unwrap());
    sys::child::inherit(&mut shell, socket);
    sys::child::inherit(&mut shell, other);
    let mut container = Container { child: shell.spawn().unwrap(), fixture };
    assert_eq!(container.end(), 0);
    assert_eq!(container.fixture.read("output"), "mine 2 a:b\n0  1  2  3  4\nsocket\n/dev/zero\n");
}

#[test]
fn a_supervisor_that_is_killed_costs_neither_the_command_nor_its_status() {
    for place in PLACES {
        let script = "trap 'exit 9' USR1\necho $$ >> @T/trace\nwhile :; do sleep 0.01; done";
        let mut container = Container::start(place, Fixture::new(), &["--", "/bin/sh", "-c", script]);
        container.wait_for_trace(1);
        // Init knows of it, and not only its supervisor.
        Observer::subscribe(&container.fixture.path("run/init/control")).until("main", State::Up);
        let before = container.supervisor();
        process::send(before, Signal::KILL);
        eventually("there is another", || container.supervisor() != before);
        process::send(container.init(), Signal::USR1);
        assert_eq!(container.end(), 9, "{place:?}");
        assert_eq!(container.fixture.trace().len(), 1, "it was not started twice");
    }
}

#[test]
fn a_main_service_that_gives_up_ends_the_container_with_its_last_status() {
    let give_up = "[restart]\ndelay = \"1ms\"\ngive-up = { deaths = 3, within = \"1m\" }";
    let fixture =
        Fixture::new().service("web", give_up).run("echo run >> @T/trace; exit 6").tracing("other", "");
    let words = ["--services", "@T/services", "--main", "web"];
    let mut container = Container::start(Place::Namespace, fixture, &words);
    assert_eq!(container.end(), 6);
    let runs = container.fixture.trace().into_iter().filter(|line| line == "run").count();
    assert_eq!(runs, 3);
}

#[test]
fn a_finish_script_can_end_the_container() {
    let fixture = Fixture::new().script("web", "kill -USR1 $$").finish("exit 125");
    let mut container =
        Container::start(Place::Namespace, fixture, &["--services", "@T/services", "--main", "web"]);
    assert_eq!(container.end(), 138);
}

#[test]
fn a_main_service_that_is_restarted_does_not_end_the_container() {
    let fixture = Fixture::new().service("web", "").run(
        "trap 'exit 4' TERM\n[ -e @T/once ] || { touch @T/once; exit 1; }\necho second >> @T/trace\nwhile :; do sleep 0.01; done",
    );
    let mut container =
        Container::start(Place::Namespace, fixture, &["--services", "@T/services", "--main", "web"]);
    assert_eq!(container.wait_for_trace(1), ["second"]);
    let restart = Command::new(program("svctl"))
        .arg("--run")
        .arg(container.fixture.path("run"))
        .args(["restart", "web"])
        .output()
        .unwrap();
    assert!(restart.status.success(), "{restart:?}");
    container.wait_for_trace(2);
    process::send(container.init(), Signal::TERM);
    assert_eq!(container.end(), 4);
    assert_eq!(container.fixture.trace(), ["second", "second"]);
}

#[test]
fn a_main_service_that_there_is_not_ends_it_at_once() {
    for (name, why) in [("nobody", "no such service"), ("all", "a bundle")] {
        let fixture = Fixture::new().tracing("a", "").service("all", "type = \"bundle\"\ncontents = [\"a\"]");
        let words = ["--services", "@T/services", "--main", name];
        let mut container = Container::start(Place::Namespace, fixture, &words);
        assert_eq!(container.end(), 125);
        assert!(container.fixture.read("console").contains(why));
        assert_eq!(container.fixture.trace(), Vec::<String>::new());
    }
}

#[test]
fn a_word_that_means_nothing_is_refused_and_says_where_a_command_stands() {
    let mut container = Container::start(Place::Namespace, Fixture::new(), &["sleep", "10"]);
    assert_eq!(container.end(), 100);
    assert!(container.fixture.read("console").contains("a command comes after --"));
}

/// Runs `script` in mount and PID namespaces of its own; init is `$INIT`.
fn in_mounts(fixture: &Fixture, script: &str) -> std::process::Output {
    let mut command = Command::new("unshare");
    if process::own_user() != 0 {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--mount", "--pid", "--fork", "--kill-child", "--", "/bin/sh", "-ec", script]);
    command.env("INIT", program("init")).env("SVCTL", program("svctl")).env("T", fixture.place());
    command.env_remove("XDG_RUNTIME_DIR").stdin(Stdio::null());
    command.output().unwrap()
}

/// What makes everything read-only but what is named.
const READ_ONLY: &str = "mount --make-rprivate /\nmount --rbind / /mnt\n\
    for m in $(cut -d' ' -f2 /proc/self/mounts | grep ^/mnt); do mount -o remount,bind,ro $m 2>/dev/null || :; done\n";

#[test]
fn a_read_only_root_and_an_unwritable_run_are_enough() {
    let fixture = Fixture::new().tracing("a", "");
    let script = format!(
        "{READ_ONLY} mount -t tmpfs none /mnt/dev/shm\nexec chroot /mnt \"$INIT\" --services \"$T/services\" -- \
         /bin/sh -c '\"$SVCTL\" status a main; \"$SVCTL\" status a --json; exit 21'"
    );
    let output = in_mounts(&fixture, &script);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(21), "{output:?}");
    assert!(text.contains("main") && text.contains("up"), "{output:?}");
}

#[test]
fn with_no_place_at_all_it_says_where_it_looked() {
    let script = format!("{READ_ONLY} exec chroot /mnt \"$INIT\" -- /bin/true");
    let output = in_mounts(&Fixture::new(), &script);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(111), "{output:?}");
    for place in ["/run: Read-only", "/dev/shm/", "/tmp/", "--run"] {
        assert!(text.contains(place), "{text}");
    }
}

#[test]
fn without_proc_the_status_is_right_and_nothing_is_left() {
    let fixture = Fixture::new();
    let script = "mount --make-rprivate /\numount -l /proc\nexec \"$INIT\" --run \"$T/run\" -- \
        /bin/sh -c 'sleep 1001 & exit 11'";
    let output = in_mounts(&fixture, script);
    assert_eq!(output.status.code(), Some(11), "{output:?}");
}

#[test]
fn nothing_is_mounted() {
    let fixture = Fixture::new();
    let script = "cat /proc/self/mounts > $T/before; exec \"$INIT\" --run \"$T/run\" -- \
        /bin/sh -c 'cat /proc/self/mounts > $T/after'";
    assert_eq!(in_mounts(&fixture, script).status.code(), Some(0));
    assert_eq!(fixture.read("before"), fixture.read("after"));
}
