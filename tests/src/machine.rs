//! Init over a fixture: as PID 1 of a PID namespace of its own, or as an ordinary process.

use crate::fixture::Fixture;
use crate::observer::Observer;
use crate::process;
use crate::programs::program;
use crate::tasks::TaskLimit;
use crate::wait::{eventually, eventually_some};
use service::status::{State, Status};
use service::{Pid, Signal};
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// How a machine has ended, as the parent of its PID namespace sees it (`reboot(2)`, `pid_namespaces(7)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Switched off, or halted.
    Off,
    /// To be booted anew.
    Reboot,
    /// It exited with this code, as only one without a PID namespace does.
    Exit(i32),
    /// A signal ended it that means neither.
    Crash(i32),
}

/// What a command said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Its exit code, -1 if it has none.
    pub code: i32,
    /// Its standard output.
    pub output: String,
    /// Its standard error.
    pub error: String,
}

/// A machine before it is started.
#[derive(Debug)]
pub struct Boot {
    fixture: Fixture,
    arguments: Vec<String>,
    namespace: bool,
    unprivileged: bool,
    members: Option<PathBuf>,
}

/// The user and group `nobody`.
const NOBODY: u32 = 65_534;

impl Boot {
    pub(crate) fn new(fixture: Fixture) -> Boot {
        Boot { fixture, arguments: Vec::new(), namespace: true, unprivileged: false, members: None }
    }

    /// Gives init these arguments too.
    #[must_use]
    pub fn arguments(mut self, arguments: &[&str]) -> Boot {
        self.arguments.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// Without a PID namespace: init as an ordinary process that takes in the orphans of its children.
    #[must_use]
    pub fn as_ordinary_process(mut self) -> Boot {
        self.namespace = false;
        self
    }

    /// As an ordinary process of a user who may do nothing that not everybody may.
    ///
    /// # Panics
    /// If the fixture cannot be given to that user.
    #[must_use]
    pub fn as_nobody(self) -> Boot {
        let programs = ["init", "supervise", "svctl", "svlog"];
        let boot = self.as_ordinary_process().arguments(&["--programs", "@T/programs"]);
        let place = boot.fixture.path("programs");
        std::fs::create_dir_all(&place).unwrap();
        for name in programs {
            // That user might not be let into the place where they were built.
            crate::fixture::copy_program(&program(name), &place.join(name));
        }
        if process::own_user() == 0 {
            for directory in ["", "run", "logs", "services"] {
                std::os::unix::fs::chown(boot.fixture.path(directory), Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }
        Boot { unprivileged: true, ..boot }
    }

    /// Has init take its programs from the fixture's directory `programs`, which has links to those named.
    ///
    /// # Panics
    /// If they cannot be made.
    #[must_use]
    pub fn only_programs(self, names: &[&str]) -> Boot {
        let place = self.fixture.path("programs");
        std::fs::create_dir_all(&place).unwrap();
        for name in names {
            std::os::unix::fs::symlink(program(name), place.join(name)).unwrap();
        }
        let place = place.display().to_string();
        self.arguments(&["--programs", &place])
    }

    /// With no more processes than this allows, from the very first on.
    #[must_use]
    pub fn limited(self, limit: &TaskLimit) -> Boot {
        Boot { members: Some(limit.members()), ..self }
    }

    /// What it will run over.
    #[must_use]
    pub fn fixture(&self) -> &Fixture {
        &self.fixture
    }

    /// Starts it.
    ///
    /// # Panics
    /// If that is refused.
    #[must_use]
    pub fn start(self) -> Machine {
        let Boot { fixture, arguments, namespace, unprivileged, members } = self;
        let console = File::create(fixture.path("console")).unwrap();
        let mut command = match (namespace, unprivileged) {
            (true, _) => in_namespace(),
            (false, false) => Command::new(program("init")),
            (false, true) => as_nobody(&fixture.path("programs/init")),
        };
        if let Some(members) = members {
            command = entering(&members, &command);
        }
        for (option, place) in [("--services", "services"), ("--run", "run"), ("--logs", "logs")] {
            command.arg(option).arg(fixture.path(place));
        }
        command
            .args(arguments.iter().map(|argument| fixture.replace_place(argument)))
            .stdin(Stdio::null())
            .stdout(console.try_clone().unwrap())
            .stderr(console);
        let child = sys::child::die_with_parent(&mut command).spawn().unwrap();
        let outer = Pid::new(child.id().cast_signed()).unwrap();
        let mut machine = Machine { child, init: outer, ended: None, fixture };
        if namespace {
            machine.init = eventually_some("init runs", || {
                machine.ended();
                let first = process::children(outer).first().copied()?;
                process::field(first, "Name").filter(|name| name == "init").map(|_| first)
            });
        }
        machine
    }
}

/// The same command, as a member of a control group.
fn entering(members: &Path, command: &Command) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "echo $$ > \"$0\" && exec \"$@\""]).arg(members);
    shell.arg(command.get_program()).args(command.get_args());
    shell
}

fn as_nobody(init: &Path) -> Command {
    if process::own_user() != 0 {
        return Command::new(init);
    }
    let mut command = Command::new("setpriv");
    let user = [format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")];
    // A change of the user forgets whom to die with.
    command.args(user).args(["--clear-groups", "--pdeathsig=KILL", "--"]).arg(init);
    command
}

/// `unshare` passes on how the first process of the namespace ended, and the kernel kills that with it.
fn in_namespace() -> Command {
    let mut command = Command::new("unshare");
    if process::own_user() != 0 {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--pid", "--fork", "--kill-child", "--mount-proc", "--"]).arg(program("init"));
    command
}

/// A machine that runs.
#[derive(Debug)]
pub struct Machine {
    child: Child,
    init: Pid,
    ended: Option<Ending>,
    /// What it runs over. The last field: it goes after the machine.
    pub fixture: Fixture,
}

impl Machine {
    /// Init, by its number outside.
    #[must_use]
    pub fn init(&self) -> Pid {
        self.init
    }

    /// The number outside of a process that has this number inside.
    ///
    /// # Panics
    /// If there is none.
    #[track_caller]
    #[must_use]
    pub fn outside(&self, pid: Pid) -> Pid {
        self.try_outside(pid).unwrap_or_else(|| panic!("no process {pid} in the machine"))
    }

    /// The same; none if there is none.
    #[must_use]
    pub fn try_outside(&self, pid: Pid) -> Option<Pid> {
        let namespace = namespace_of(self.init)?;
        process::all().into_iter().find(|outer| process::inner(*outer) == Some((pid, namespace.clone())))
    }

    /// Every process in it, by its number outside, init included; of an ordinary process only itself and its children.
    #[must_use]
    pub fn processes(&self) -> Vec<Pid> {
        let Some(namespace) = namespace_of(self.init) else { return Vec::new() };
        process::all().into_iter().filter(|pid| namespace_of(*pid).as_ref() == Some(&namespace)).collect()
    }

    /// The logger, by its number outside.
    #[must_use]
    pub fn logger(&self) -> Option<Pid> {
        let named = |pid: &Pid| process::field(*pid, "Name").as_deref() == Some("svlog");
        process::children(self.init).into_iter().find(|pid| named(pid) && process::lives(*pid))
    }

    /// Sends a process of the machine a signal.
    #[track_caller]
    pub fn send(&self, pid: Pid, signal: Signal) {
        process::send(self.outside(pid), signal);
    }

    /// Waits until every service of the boot has settled.
    #[track_caller]
    pub fn wait_for_boot(&self) {
        self.wait_for_console("startup complete");
    }

    /// What init has said.
    #[must_use]
    pub fn console(&self) -> String {
        self.fixture.read("console")
    }

    /// Waits until init has said this.
    #[track_caller]
    pub fn wait_for_console(&self, text: &str) {
        eventually(&format!("the console has {text:?}"), || self.console().contains(text));
    }

    /// The status of a service; none if there is none yet.
    ///
    /// # Panics
    /// If it is there and cannot be read.
    #[must_use]
    pub fn try_status(&self, name: &str) -> Option<Status> {
        let text = std::fs::read_to_string(self.fixture.path(&format!("run/service/{name}/status"))).ok()?;
        Some(Status::decode(&text).unwrap_or_else(|| panic!("not a status: {text:?}")))
    }

    /// The status of a service.
    ///
    /// # Panics
    /// If there is none.
    #[track_caller]
    #[must_use]
    pub fn status(&self, name: &str) -> Status {
        self.try_status(name).unwrap_or_else(|| panic!("no status of {name}"))
    }

    /// The state of a service.
    #[track_caller]
    #[must_use]
    pub fn state(&self, name: &str) -> State {
        self.status(name).state
    }

    /// Waits until the status of a service is as wanted.
    #[track_caller]
    pub fn wait_for(&self, name: &str, what: &str, wanted: impl Fn(&Status) -> bool) -> Status {
        eventually_some(&format!("{name} {what}"), || self.try_status(name).filter(&wanted))
    }

    /// Waits until a service is in `state`.
    #[track_caller]
    pub fn until(&self, name: &str, state: State) -> Status {
        self.wait_for(name, &format!("is {}", state.word()), |status| status.state == state)
    }

    /// Subscribes to the events of all services.
    #[must_use]
    pub fn observe(&self) -> Observer {
        Observer::subscribe(&self.control())
    }

    /// Tells init something, and returns its answer.
    #[must_use]
    pub fn ask(&self, command: &str) -> String {
        Observer::connect(&self.control()).ask(command)
    }

    /// Tells init something that must be taken.
    ///
    /// # Panics
    /// If it is not.
    #[track_caller]
    pub fn tell(&self, command: &str) {
        assert_eq!(self.ask(command), "ok", "{command}");
    }

    /// Init's control socket.
    #[must_use]
    pub fn control(&self) -> PathBuf {
        self.fixture.path("run/init/control")
    }

    /// Runs `svctl`.
    ///
    /// # Panics
    /// If it cannot be run.
    #[must_use]
    pub fn svctl(&self, words: &[&str]) -> Outcome {
        let mut command = Command::new(program("svctl"));
        command.arg("--run").arg(self.fixture.path("run")).arg("--logs").arg(self.fixture.path("logs"));
        let output = command.args(words).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let code = output.status.code().unwrap_or(-1);
        Outcome { code, output: text(&output.stdout), error: text(&output.stderr) }
    }

    /// The lines of a service's log, the rotated ones first, without their stamps.
    #[must_use]
    pub fn log(&self, name: &str) -> Vec<String> {
        let place = self.fixture.path(&format!("logs/{name}"));
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(&place).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "log"));
        files.sort();
        files.push(place.join("current"));
        files.iter().flat_map(|file| lines(file)).collect()
    }

    /// Asks for the machine to go down, and waits for that.
    #[track_caller]
    pub fn go_down(&mut self, command: &str) -> Ending {
        self.tell(command);
        self.wait_for_end()
    }

    /// Waits until it has gone down.
    #[track_caller]
    pub fn wait_for_end(&mut self) -> Ending {
        eventually_some("the machine has gone down", || self.ended())
    }

    /// How it has ended; none while it runs.
    ///
    /// # Panics
    /// If it cannot be waited for.
    pub fn ended(&mut self) -> Option<Ending> {
        if self.ended.is_none() {
            let status = self.child.try_wait().unwrap()?;
            let signal = status.signal().and_then(Signal::from_number);
            self.ended = Some(match (status.code(), signal) {
                (Some(code), _) => Ending::Exit(code),
                (None, Some(Signal::INT)) => Ending::Off,
                (None, Some(Signal::HUP)) => Ending::Reboot,
                (None, other) => Ending::Crash(other.map_or(0, Signal::number)),
            });
        }
        self.ended
    }
}

fn namespace_of(pid: Pid) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok()
}

/// The lines of a log without their stamps, which end at the first blank.
fn lines(file: &Path) -> Vec<String> {
    let bytes = std::fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    text.lines().map(|line| line.split_once(' ').map_or(line, |(_, text)| text).to_owned()).collect()
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Without a namespace nothing ends with init: what is below it is ended by hand.
        let below = process::descendants(self.init);
        let _ = self.child.kill();
        let _ = self.child.wait();
        for pid in below {
            let _ = sys::process::signal(pid, Signal::KILL);
        }
        if std::thread::panicking() {
            eprintln!("--- the console of the machine\n{}", self.console());
        }
    }
}
