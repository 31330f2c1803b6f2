//! Turning a machine off: by asking, and then less and less politely.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::builder::OnReboot;
use crate::error::Error;
use crate::machine::Machine;
use crate::process::interrupted;

/// The kernel's last words.
const POWER_DOWN: &str = "reboot: Power down";
const RESTARTING: &str = "reboot: Restarting system";

const ASK_WITHIN: Duration = Duration::from_secs(20);
/// A shutdown that was accepted: every service has its own deadline within this.
const ACCEPTED_WITHIN: Duration = Duration::from_secs(90);
/// One that was not: it may still be under way for another reason.
const UNACCEPTED_WITHIN: Duration = Duration::from_secs(10);
const BUTTON_WITHIN: Duration = Duration::from_secs(30);
const EXIT_WITHIN: Duration = Duration::from_secs(10);

/// How a machine ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It powered off.
    PoweredOff,
    /// It rebooted, where a reboot ends the machine.
    Rebooted,
}

impl Machine {
    /// Asks the guest to power itself off, and waits until the kernel has said so and qemu has exited.
    ///
    /// The machine is off when this returns, whatever it returns: a guest that does not power off is ended by
    /// the power button or by signals, and that is an error. A guest that already was off is a success.
    pub fn power_off(&self) -> Result<Ended, Error> {
        self.power_off_within(ACCEPTED_WITHIN)
    }

    /// The same, with less (or more) patience for each of its steps.
    pub fn power_off_within(&self, patience: Duration) -> Result<Ended, Error> {
        let (asked, within) = match self.ask_to_power_off() {
            Ok(()) if self.process.status().is_some() => ("qemu had already ended".to_owned(), patience),
            Ok(()) => ("it accepted".to_owned(), patience),
            Err(why) => (why.to_string(), UNACCEPTED_WITHIN.min(patience)),
        };
        if let Some(ended) = self.last_words(within) {
            return Ok(ended);
        }
        if interrupted() {
            return Err(Error::Interrupted);
        }
        let ended_by = self.force_off(patience);
        Err(Error::NotPoweredOff { asked, ended_by, console: self.console().last_lines(30) })
    }

    fn ask_to_power_off(&self) -> Result<(), Error> {
        const READY_WITHIN: Duration = Duration::from_secs(5);
        const COMMAND: &str = "svctl poweroff";
        if self.process.status().is_some() {
            return Ok(());
        }
        self.wait_for_ssh(READY_WITHIN)?;
        let output = self.ssh_within(COMMAND, ASK_WITHIN)?;
        // 255 is ssh's own: the guest may have taken the connection down with it.
        if output.success() || (output.status == 255 && !output.never_connected()) {
            return Ok(());
        }
        let (status, output) = (output.status, output.stderr + &output.stdout);
        Err(Error::Command { command: COMMAND.to_owned(), status, output })
    }

    /// Waits for the kernel's farewell and the exit that follows it.
    fn last_words(&self, within: Duration) -> Option<Ended> {
        let farewells: &[&str] = match self.on_reboot {
            OnReboot::Ends => &[POWER_DOWN, RESTARTING],
            OnReboot::Restarts => &[POWER_DOWN],
        };
        let found = self.console().find_from(0, farewells, within).ok()?;
        let ended = if found.which == 0 { Ended::PoweredOff } else { Ended::Rebooted };
        self.wait_for_exit(EXIT_WITHIN).then_some(ended)
    }

    /// Ends the machine for certain, and says what did it.
    fn force_off(&self, patience: Duration) -> &'static str {
        if self.process.status().is_some() {
            return "something else";
        }
        let exits = |within| self.process.wait_until(Instant::now() + within).is_some();
        if self.power_button().is_ok() && exits(BUTTON_WITHIN.min(patience)) {
            return "its power button";
        }
        self.process.signal(Signal::SIGTERM);
        if exits(EXIT_WITHIN) {
            return "SIGTERM to qemu";
        }
        self.process.signal(Signal::SIGKILL);
        self.process.wait();
        "SIGKILL of qemu"
    }
}
