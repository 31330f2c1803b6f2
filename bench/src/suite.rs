//! The suite with a tree of sleepers.

use crate::fifo::Fifo;
use crate::processes::{self, Process};
use crate::{sleeper, unable};
use service::{Pid, Signal};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The programs that stay.
pub(crate) const PROGRAMS: [&str; 3] = ["init", "svlog", "supervise"];

/// A running init with its services.
#[derive(Debug)]
pub(crate) struct Suite {
    init: Child,
    programs: PathBuf,
    directory: PathBuf,
    /// Those that say nothing, and so are ready as soon as they run.
    pub(crate) plain: Group,
    /// Those that say when they are ready.
    pub(crate) ready: Group,
}

/// Services of one kind.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) fifo: Fifo,
    pub(crate) names: Vec<String>,
    pub(crate) pids: Vec<Pid>,
}

impl Group {
    /// Makes the service directories `PREFIX-0` and on.
    fn new(directory: &Path, prefix: &str, count: u16, notifies: bool) -> Result<Group, String> {
        let fifo = Fifo::new(&directory.join(format!("{prefix}.fifo")))?;
        let names: Vec<String> = (0..count).map(|number| format!("{prefix}-{number}")).collect();
        for name in &names {
            let place = directory.join("services").join(name);
            fs::create_dir_all(&place).map_err(unable("make a service directory"))?;
            sleeper::write(&place.join("run"), fifo.path())?;
            if notifies {
                fs::write(place.join("notification-fd"), "3\n").map_err(unable("write notification-fd"))?;
            }
        }
        Ok(Group { fifo, names, pids: Vec::new() })
    }
}

impl Suite {
    /// Starts so many services, half of which say when they are ready; returns when init says that all are up.
    pub(crate) fn start(programs: &Path, directory: &Path, services: u16) -> Result<Suite, String> {
        let plain = Group::new(directory, "plain", services - services / 2, false)?;
        let ready = Group::new(directory, "ready", services / 2, true)?;
        let mut init = Command::new(programs.join("init"))
            .args(
                ["--services", "--run", "--logs"]
                    .iter()
                    .zip(["services", "run", "logs"])
                    .flat_map(|(option, name)| [(*option).into(), directory.join(name).into_os_string()]),
            )
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(unable("run init"))?;
        wait_for_boot(&mut init, services)?;
        let (programs, directory) = (programs.to_owned(), directory.to_owned());
        let mut suite = Suite { init, programs, directory, plain, ready };
        for group in [&mut suite.plain, &mut suite.ready] {
            group.pids = group.fifo.starts(group.names.len())?;
        }
        Ok(suite)
    }

    /// Its long-running processes.
    pub(crate) fn processes(&self) -> Vec<Process> {
        self.pid().map(|pid| processes::tree(pid, &PROGRAMS)).unwrap_or_default()
    }

    /// A `svctl` that talks to it.
    pub(crate) fn svctl(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.programs.join("svctl"));
        command.arg("--run").arg(self.directory.join("run")).args(words);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    /// Ends it, as an operator would.
    pub(crate) fn stop(mut self) -> Result<(), String> {
        let pid = self.pid().ok_or("init has no process id")?;
        sys::process::signal(pid, Signal::TERM).map_err(unable("stop init"))?;
        let status = self.init.wait().map_err(unable("wait for init"))?;
        if status.success() { Ok(()) } else { Err(format!("init ended with {status}")) }
    }

    fn pid(&self) -> Option<Pid> {
        i32::try_from(self.init.id()).ok().and_then(Pid::new)
    }
}

/// Reads what init says until the boot is over. What it says later is read away by a thread that ends with it.
fn wait_for_boot(init: &mut Child, services: u16) -> Result<(), String> {
    let messages = init.stderr.take().ok_or("init has no standard error")?;
    let mut lines = BufReader::new(messages).lines();
    let expected = format!("startup complete: {services} of {services} services up");
    let mut heard = Vec::new();
    for line in &mut lines {
        let line = line.map_err(unable("read what init says"))?;
        if line.contains(&expected) {
            std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
            return Ok(());
        }
        let over = line.contains("startup complete");
        heard.push(line);
        if over {
            break;
        }
    }
    Err(format!("the services did not come up:\n{}", heard.join("\n")))
}
