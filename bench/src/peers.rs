//! The others: a bare loop, and s6 and runit if they are installed.

use crate::fifo::Fifo;
use crate::{sleeper, unable};
use service::Pid;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Somebody who keeps sleepers running.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) label: &'static str,
    /// Nothing if the program is not installed.
    pub(crate) running: Option<Running>,
}

/// What is there of a peer that is installed.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) fifo: Fifo,
    pub(crate) pids: Vec<Pid>,
    _children: Vec<Child>,
}

/// One process for all.
pub(crate) fn bare(directory: &Path, count: usize) -> Result<Peer, String> {
    let own = std::env::current_exe().map_err(unable("find this program"))?;
    let (fifo, program) = (Fifo::new(&directory.join("bare.fifo"))?, directory.join("sleeper"));
    sleeper::write(&program, fifo.path())?;
    let mut command = Command::new(own);
    command.arg("--bare").arg(program).arg(count.to_string());
    Ok(Peer { label: "bare loop", running: Some(run(fifo, vec![command], count)?) })
}

/// One `supervisor DIRECTORY` per service.
pub(crate) fn installed(
    label: &'static str,
    supervisor: &str,
    directory: &Path,
    count: usize,
) -> Result<Peer, String> {
    if !is_installed(supervisor) {
        return Ok(Peer { label, running: None });
    }
    let fifo = Fifo::new(&directory.join(format!("{supervisor}.fifo")))?;
    let mut commands = Vec::new();
    for number in 0..count {
        let place = directory.join(format!("{supervisor}.services/{number}"));
        fs::create_dir_all(&place).map_err(unable("make a service directory"))?;
        sleeper::write(&place.join("run"), fifo.path())?;
        // Without it s6 waits for a second after every death.
        fs::write(place.join("notification-fd"), "3\n").map_err(unable("write notification-fd"))?;
        let mut command = Command::new(supervisor);
        command.arg(place);
        commands.push(command);
    }
    Ok(Peer { label, running: Some(run(fifo, commands, count)?) })
}

fn run(mut fifo: Fifo, commands: Vec<Command>, count: usize) -> Result<Running, String> {
    let start = |mut command: Command| {
        let name = command.get_program().to_string_lossy().into_owned();
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        spawned.map_err(unable(&format!("run {name}")))
    };
    let children = commands.into_iter().map(start).collect::<Result<_, _>>()?;
    let pids = fifo.starts(count)?;
    Ok(Running { fifo, pids, _children: children })
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}
