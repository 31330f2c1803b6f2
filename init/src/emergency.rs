//! A shell on the console, for when there is nothing else, or when somebody wants one before anything else.
//!
//! It is a child like any other: nothing waits for it but the boot. When it ends, the definitions are compiled
//! anew, since they may have been mended meanwhile.

use crate::Role;
use crate::message::reason;
use crate::runtime::Init;
use service::{Pid, Signal, WaitStatus};
use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use sys::spawn::Session;

const SHELL: &str = "/bin/sh";

impl Init {
    /// Starts the shell; whether there is one.
    pub(crate) fn start_shell(&mut self, why: &str) -> bool {
        let wanted = self.role == Role::Machine && self.options.emergency != Some(false);
        if !wanted || self.shell.is_some() || self.going.is_some() {
            return self.shell.is_some();
        }
        match self.spawn_shell() {
            Ok(pid) => {
                self.messages.notice(&format!(
                    "emergency shell on the console: {why} (the boot goes on when it ends)"
                ));
                self.shell = Some(pid);
            }
            Err(problem) => {
                self.messages
                    .error(&format!("unable to start an emergency shell: {problem} (going on without)"));
            }
        }
        self.shell.is_some()
    }

    fn spawn_shell(&self) -> Result<Pid, String> {
        let console =
            open_console().map_err(|error| format!("unable to open the console: {}", reason(&error)))?;
        let descriptors = [0, 1, 2].map(|number| (console.as_fd(), number));
        let environment =
            [format!("PATH={}", crate::programs::PATH), "HOME=/root".to_owned(), "TERM=linux".to_owned()];
        let environment: Vec<CString> =
            environment.into_iter().filter_map(|text| CString::new(text).ok()).collect();
        let words = [OsStr::new("-i")];
        self.spawn_file(Path::new(SHELL), "sh", &words, &descriptors, &environment, Session::Terminal)
    }

    /// Whether the process that has ended was the shell.
    pub(crate) fn shell_ended(&mut self, pid: Pid, status: WaitStatus) -> bool {
        if self.shell != Some(pid) {
            return false;
        }
        self.shell = None;
        if self.going.is_none() {
            self.messages
                .notice(&format!("the emergency shell ended with {status} (going on with the boot)"));
            self.compile_anew();
        }
        true
    }

    /// Tells the shell that its terminal is gone, which is what ends an interactive one.
    pub(crate) fn dismiss_shell(&self) {
        if let Some(pid) = self.shell {
            let _ = sys::process::signal_group(pid, Signal::HUP);
            let _ = sys::process::signal_group(pid, Signal::CONT);
        }
    }
}

/// The device behind `/dev/console`, which as such can be nobody's terminal. Without waiting for a carrier.
fn open_console() -> io::Result<File> {
    let active = std::fs::read_to_string("/sys/class/tty/console/active").unwrap_or_default();
    let device = active.split_whitespace().last().map(|name| PathBuf::from("/dev").join(name));
    let open = |place: &Path| {
        let flags = nix::libc::O_NOCTTY | nix::libc::O_NONBLOCK;
        File::options().read(true).write(true).custom_flags(flags).open(place)
    };
    let console = match device.map(|device| open(&device)) {
        Some(Ok(console)) => console,
        Some(Err(_)) | None => open(Path::new("/dev/console"))?,
    };
    debug_assert!(console.as_raw_fd() > 2, "the standard descriptors are open");
    sys::fd::set_blocking(&console)?;
    Ok(console)
}
