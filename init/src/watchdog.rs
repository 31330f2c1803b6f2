//! The hardware watchdog. It is fed by the loop, in the loop's own time, and by nothing else: if the loop does
//! not come round any more, for whatever reason, the device resets the machine.

use crate::Role;
use crate::message::reason;
use crate::runtime::Init;
use service::Tick;
use service::wire::Power;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

/// The first is the same device as the second where both are there.
const PLACES: [&str; 2] = ["/dev/watchdog0", "/dev/watchdog"];

/// The watchdog as init has it.
#[derive(Debug, Default)]
pub(crate) struct Watchdog {
    /// What the kernel's command line says, over what the settings say.
    argument: Option<Duration>,
    device: Option<sys::watchdog::Watchdog>,
    interval: Duration,
    /// When it is fed next.
    due: Option<Tick>,
    /// What cannot be done has been told.
    told: bool,
}

impl Watchdog {
    pub(crate) fn new(argument: Option<Duration>) -> Watchdog {
        Watchdog { argument, ..Watchdog::default() }
    }

    pub(crate) fn deadline(&self) -> Option<Tick> {
        self.due
    }
}

impl Init {
    /// Starts it if that is wanted and it can be had by now. Its driver may be a module that a service loads, so
    /// this is tried whenever one has come up; it is told once, in the end, that there is none.
    pub(crate) fn start_watchdog(&mut self, last: bool) {
        let Some(timeout) =
            self.watchdog.argument.or(self.settings.watchdog).filter(|_| self.role == Role::Machine)
        else {
            return;
        };
        if self.watchdog.device.is_some() || self.going.is_some() {
            return;
        }
        let mut outcome = Err(ErrorKind::NotFound.into());
        for place in PLACES {
            outcome = sys::watchdog::Watchdog::start(Path::new(place), timeout);
            if !outcome.as_ref().is_err_and(|error: &std::io::Error| error.kind() == ErrorKind::NotFound) {
                break;
            }
        }
        match outcome {
            Ok((device, timeout)) => {
                self.messages.info(&format!(
                    "watchdog: the machine is reset after {} s without us",
                    timeout.as_secs()
                ));
                self.watchdog.device = Some(device);
                self.watchdog.interval = timeout / 2;
                self.feed_watchdog(sys::clock::now());
            }
            Err(error) if error.kind() == ErrorKind::NotFound && !last => {}
            Err(error) => {
                if !std::mem::replace(&mut self.watchdog.told, true) {
                    let reason = reason(&error);
                    self.messages
                        .error(&format!("unable to start the watchdog: {reason} (going on without)"));
                }
            }
        }
    }

    /// Feeds it if it is time.
    pub(crate) fn feed_watchdog(&mut self, now: Tick) {
        let Some(device) =
            self.watchdog.device.as_ref().filter(|_| self.watchdog.due.is_none_or(|due| due <= now))
        else {
            return;
        };
        let fed = device.feed();
        self.watchdog.due = Some(now.after(self.watchdog.interval));
        if let Err(error) = fed
            && !std::mem::replace(&mut self.watchdog.told, true)
        {
            self.messages.error(&format!("unable to feed the watchdog: {}", reason(&error)));
        }
    }

    /// The last thing before the end of the machine. If that hangs, the device ends it; but a machine that is halted
    /// shall stay so, and the next kernel has its own watchdog to start.
    pub(crate) fn leave_watchdog(&mut self, power: Power) {
        let Some(device) = &mut self.watchdog.device else { return };
        match power {
            Power::PowerOff | Power::Reboot => {
                let _ = device.feed();
            }
            Power::Halt | Power::Kexec => device.disarm(),
        }
    }
}
