//! The outer half: makes the namespace, waits, and ends it.

use crate::{Options, unable};
use service::Signal;
use std::path::Path;
use std::process::{Child, Command, ExitCode, ExitStatus};
use sys::poll::{Poller, Ready};
use sys::signals::Signals;

/// Runs the measurements in a namespace; ends it when interrupted.
pub(crate) fn run(options: &Options) -> ExitCode {
    match measure(options) {
        Ok(status) => ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)),
        Err(problem) => {
            eprintln!("bench: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn measure(options: &Options) -> Result<ExitStatus, String> {
    let programs = options
        .programs
        .canonicalize()
        .map_err(unable(&format!("find the programs in {} (make build)", options.programs.display())))?;
    // An empty directory: what is mounted on it is seen in the namespace only, and goes with it.
    let directory = tempfile::tempdir().map_err(unable("make a directory"))?;
    let signals =
        Signals::block(&[Signal::INT, Signal::TERM, Signal::HUP]).map_err(unable("block signals"))?;
    let mut child = start(options, &programs, directory.path())?;
    let status = wait(&mut child, &signals);
    if status.is_err() {
        let _ = child.kill();
        let _ = child.wait();
    }
    status
}

fn start(options: &Options, programs: &Path, directory: &Path) -> Result<Child, String> {
    let own = std::env::current_exe().map_err(unable("find this program"))?;
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--kill-child", "--mount-proc"]);
    if !nix::unistd::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command.arg(own).arg("--inside").arg(directory).arg("--programs").arg(programs);
    command.arg(format!("--services={}", options.services));
    command.arg(format!("--few={}", options.few)).arg(format!("--idle={}", options.idle));
    sys::child::die_with_parent(&mut command);
    command.spawn().map_err(unable("run unshare (of util-linux)"))
}

fn wait(child: &mut Child, signals: &Signals) -> Result<ExitStatus, String> {
    let pid = i32::try_from(child.id()).ok().and_then(service::Pid::new).ok_or("no such process")?;
    let ended = sys::process::open(pid).map_err(unable("watch the measurements"))?;
    let poller = Poller::new().map_err(unable("wait"))?;
    poller.add(&ended, 0).map_err(unable("wait"))?;
    poller.add(signals, 1).map_err(unable("wait"))?;
    loop {
        let mut ready = [Ready::default(); 2];
        let count = poller.wait(&mut ready, None).map_err(unable("wait"))?;
        if ready.iter().take(count).any(|event| event.token == 1) {
            return Err("interrupted".to_owned());
        }
        if let Some(status) = child.try_wait().map_err(unable("wait"))? {
            return Ok(status);
        }
    }
}
