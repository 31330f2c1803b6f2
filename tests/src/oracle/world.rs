//! Debian's root filesystem with its own daemons, in namespaces of its own: once under its runit, once under our init.
//! What is written goes to a layer above it that is gone afterwards.

use super::root;
use crate::fixture::Fixture;
use crate::process;
use crate::programs::program;
use crate::wait::{eventually_some, some_within};
use service::status::{State, Status};
use service::{Pid, Signal};
use std::fs::File;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// How long a daemon may take to come up, or to go: a database on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(120);

/// Whether this user may make one: the daemons change their users, which takes root.
#[must_use]
pub fn possible() -> bool {
    process::own_user() == 0
}

/// Makes the namespaces ready, and executes what is to be their first process. Devices, `/run` and the network are their own.
const SETUP: &str = r#"
set -e
place=$1; shift
mount -t overlay overlay -o "lowerdir=$1,upperdir=$place/upper,workdir=$place/work" "$place/root"; shift
cd "$place/root"
mount -t proc proc proc
mount -t tmpfs -o mode=755 dev dev
for node in null zero full random urandom; do : >dev/$node; mount --bind /dev/$node dev/$node; done
ln -s /proc/self/fd dev/fd
mkdir -m 1777 dev/shm
mount -t tmpfs -o mode=755 run run
mkdir -p run/lock run/runit/supervise usr/lib/mainstay
mount --bind "$place/programs" usr/lib/mainstay
ip link set lo up
exec chroot . "$@"
"#;

/// Who supervises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Under {
    /// Our init.
    Ours,
    /// runsvdir
    Runit,
    /// s6-svscan
    S6,
}

impl Under {
    /// The first process, and what it is given for the directories in `tree`.
    fn command(self, tree: &str) -> Vec<String> {
        let clean = "/usr/bin/env - PATH=/usr/local/sbin:/usr/local/bin:/sbin:/usr/sbin:/bin:/usr/bin";
        let line = match self {
            Under::Ours => {
                format!(
                    "/usr/lib/mainstay/init --services {tree} --run /run/mainstay --logs /var/log/mainstay"
                )
            }
            Under::Runit => format!("{clean} SVDIR={tree} runsvdir -P {tree}"),
            Under::S6 => format!("{clean} s6-svscan {tree}"),
        };
        line.split(' ').map(str::to_owned).collect()
    }

    fn program(self) -> &'static str {
        match self {
            Under::Ours => "init",
            Under::Runit => "runsvdir",
            Under::S6 => "s6-svscan",
        }
    }
}

/// Programs and files that run in one.
pub struct World {
    child: Child,
    first: Pid,
    under: Under,
    tree: String,
    fixture: Fixture,
}

impl World {
    /// Starts every service directory in `tree`; `prepare` is a script that is run in the root before.
    ///
    /// # Panics
    /// If that is refused.
    #[must_use]
    pub fn start(under: Under, tree: &str, prepare: &str) -> World {
        let fixture = Fixture::new();
        for directory in ["upper", "work", "root", "programs"] {
            std::fs::create_dir_all(fixture.path(directory)).unwrap();
        }
        for name in ["init", "supervise", "svctl", "svlog"] {
            crate::fixture::copy_program(&program(name), &fixture.path("programs").join(name));
        }
        fixture.write("prepare", &format!("#!/bin/sh\nset -e\n{prepare}\nexec \"$@\"\n"));
        std::fs::rename(fixture.path("prepare"), fixture.path("programs/prepare")).unwrap();
        let console = File::create(fixture.path("console")).unwrap();
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--net", "--ipc", "--uts", "--fork", "--kill-child", "--"]);
        command.args(["sh", "-c", SETUP, "sh"]).arg(fixture.place()).arg(root());
        command.args(["/bin/sh", "/usr/lib/mainstay/prepare"]);
        command.args(under.command(tree));
        command.stdin(Stdio::null()).stdout(console.try_clone().unwrap()).stderr(console);
        let child = sys::child::die_with_parent(sys::child::default_signals(&mut command)).spawn().unwrap();
        let outer = Pid::new(child.id().cast_signed()).unwrap();
        let name = under.program();
        let first = eventually_some(&format!("{name} runs"), || {
            let first = process::children(outer).first().copied()?;
            process::field(first, "Name").filter(|found| found == name).map(|_| first)
        });
        World { child, first, under, tree: tree.to_owned(), fixture }
    }

    /// Runs a shell command in it.
    ///
    /// # Panics
    /// If that is refused.
    #[must_use]
    pub fn run(&self, script: &str) -> Output {
        self.run_within(20, script)
    }

    fn run_within(&self, seconds: u32, script: &str) -> Output {
        let mut command = Command::new("nsenter");
        command.arg("--target").arg(self.first.to_string());
        command.args(["--mount", "--pid", "--net", "--ipc", "--uts", "--root", "--wd=/"]);
        command.args(["/usr/bin/env", "-", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"]);
        command.args([
            &format!("SVDIR={}", self.tree),
            "/usr/bin/timeout",
            &seconds.to_string(),
            "/bin/bash",
            "-c",
            script,
        ]);
        command.stdin(Stdio::null()).output().unwrap()
    }

    /// What a shell command in it prints, if it succeeds.
    #[must_use]
    pub fn says(&self, script: &str) -> Option<String> {
        let output = self.run(script);
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Waits until a shell command succeeds and prints something that has this text.
    #[track_caller]
    pub fn wait_for(&self, script: &str, text: &str) {
        let who = self.under.program();
        some_within(PATIENCE, &format!("{who}: `{script}` says {text:?}"), || {
            self.says(script).filter(|output| output.contains(text))
        });
    }

    /// The main process of a service, by its number inside; none if it has none.
    #[must_use]
    pub fn pid(&self, name: &str) -> Option<Pid> {
        let tree = &self.tree;
        let text = match self.under {
            Under::Ours => {
                let status = self.says(&format!("cat /run/mainstay/service/{name}/status"))?;
                let status = Status::decode(&status)?;
                return status.pid.filter(|_| matches!(status.state, State::Up | State::Starting));
            }
            Under::Runit => {
                let place = format!("{tree}/{name}/supervise");
                self.says(&format!("grep -q ^run {place}/stat && cat {place}/pid"))?
            }
            Under::S6 => self.says(&format!("s6-svstat -o pid {tree}/{name}"))?,
        };
        text.trim().parse().ok().and_then(Pid::new)
    }

    /// Kills the main process of a service, and all others of the same program, which would keep its port; then waits
    /// for another.
    #[track_caller]
    pub fn kill(&self, name: &str) {
        let old = some_within(PATIENCE, &format!("{name} runs"), || self.pid(name));
        let script = format!(
            "read -r program < /proc/{old}/comm; grep -lx \"$program\" /proc/[0-9]*/comm | cut -d/ -f3 | xargs kill -KILL"
        );
        let _ = self.run(&script);
        some_within(PATIENCE, &format!("{name} runs again"), || self.pid(name).filter(|pid| *pid != old));
    }

    /// Takes everything down in order, and waits until nothing runs any more.
    pub fn shut_down(&mut self) {
        let tree = &self.tree;
        match self.under {
            Under::Ours => {
                // It may be killed with all else before it can say that it was heard; the end is waited for below.
                let _ = self.run("/usr/lib/mainstay/svctl --run /run/mainstay poweroff");
            }
            Under::Runit => {
                // On HUP runsvdir tells every runsv to end, and ends itself without waiting for them (runsvdir(8)); then
                // whatever is left would be killed. So they are told first, as runit's stage 3 does.
                let _ = self.run_within(100, &format!("sv -w 60 force-stop {tree}/*; sv exit {tree}/*"));
                process::send(self.first, Signal::HUP);
            }
            Under::S6 => assert!(self.run(&format!("s6-svscanctl -t {tree}")).status.success()),
        }
        some_within(PATIENCE, "the machine has gone down", || self.child.try_wait().unwrap());
    }

    /// Has a service started or stopped by whoever supervises; `a/log` is the logger of `a`.
    ///
    /// # Panics
    /// If that is refused.
    pub fn ask(&self, start: bool, name: &str) {
        let tree = &self.tree;
        let script = match (self.under, start) {
            (Under::Ours, _) => {
                let verb = if start { "start" } else { "stop" };
                format!("/usr/lib/mainstay/svctl --run /run/mainstay {verb} {}", self.name(name))
            }
            (Under::Runit, true) => format!("sv up {tree}/{name}"),
            (Under::Runit, false) => format!("sv down {tree}/{name}"),
            (Under::S6, true) => format!("s6-svc -u {tree}/{name}"),
            (Under::S6, false) => format!("s6-svc -d {tree}/{name}"),
        };
        let output = self.run(&script);
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// What a service is called here: `a/log` is `a-log` with us.
    #[must_use]
    pub fn name(&self, name: &str) -> String {
        if self.under == Under::Ours { name.replace('/', "-") } else { name.to_owned() }
    }

    /// The supervisor of a service, by its number inside.
    #[must_use]
    pub fn supervisor(&self, name: &str) -> Option<Pid> {
        let pid = self.pid(&self.name(name))?;
        let text = self.says(&format!("cut -d' ' -f4 /proc/{pid}/stat"))?;
        text.trim().parse().ok().and_then(Pid::new)
    }

    /// A file that was written in it.
    #[must_use]
    pub fn written(&self, path: &str) -> String {
        let bytes = std::fs::read(self.fixture.path("upper").join(path)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let who = self.under.program();
            eprintln!("--- the console, {who}\n{}", self.fixture.read("console"));
            for entry in
                std::fs::read_dir(self.fixture.path("upper/var/log/mainstay")).into_iter().flatten().flatten()
            {
                let log = std::fs::read_to_string(entry.path().join("current")).unwrap_or_default();
                eprintln!("--- {}\n{log}", entry.path().display());
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
