//! `mesos-logrotate-logger`: writes what its executor says to a file, until the executor ends. It is in the
//! agent's process group and holds the agent's stderr, so a log pipe has a writer after the agent is gone.

use std::io::{Read, Write};
use std::process::ExitCode;

/// Copies stdin to the file named by `--log_filename`.
pub(crate) fn main(arguments: &[String]) -> ExitCode {
    // The agent that launched this one has blocked some signals.
    let _ = nix::sys::signal::SigSet::empty().thread_set_mask();
    let Some(path) = arguments.iter().find_map(|argument| argument.strip_prefix("--log_filename=")) else {
        error!("Missing required option --log_filename");
        return ExitCode::FAILURE;
    };
    let mut file = match std::fs::File::options().create(true).append(true).open(path) {
        Ok(file) => file,
        Err(error) => {
            error!("Failed to open '{path}': {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut stdin = std::io::stdin().lock();
    let mut buffer = [0; 4096];
    loop {
        match stdin.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => {
                // A full disk costs the executor's output, not the executor.
                let _ = file.write_all(buffer.get(..read).unwrap_or_default());
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    info!("Logger of '{path}': the executor has ended");
    ExitCode::SUCCESS
}
