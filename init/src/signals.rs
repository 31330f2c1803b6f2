//! The signals that init answers to, and the children whose ends they tell of.

use crate::Role;
use crate::arguments::Words;
use crate::container::Main;
use crate::runtime::Init;
use service::wire::Power;
use service::{Pid, Signal, WaitStatus};
use std::io;
use sys::signals::Signals;

/// Takes the signals that init answers to, and blocks them from now on. Others it lets be what they are.
pub(crate) fn block(words: &Words) -> io::Result<Signals> {
    let mut signals = vec![
        Signal::CHLD,
        Signal::HUP,
        Signal::INT,
        Signal::QUIT,
        Signal::TERM,
        Signal::USR1,
        Signal::USR2,
        Signal::PWR,
        Signal::RTMIN_3,
    ];
    if !words.command.is_empty() {
        signals.extend([Signal::ALRM, Signal::WINCH]);
    }
    Signals::block(&signals)
}

impl Init {
    pub(crate) fn read_signals(&mut self) {
        while let Ok(Some((signal, sender))) = self.signals.next() {
            if signal == Signal::CHLD {
                self.reap();
                continue;
            }
            // What nobody sends to have a container stopped is the command's, as if there were no init between.
            let stops = matches!(signal, Signal::TERM | Signal::PWR | Signal::RTMIN_3);
            if !stops && self.forward(signal) {
                continue;
            }
            if let Some(power) = self.meaning(signal) {
                let by = sender.map_or_else(|| "the kernel".to_owned(), |pid| format!("process {pid}"));
                self.go_down(power, &format!("signal {signal} from {by}"));
            }
        }
    }

    /// What a signal asks for.
    fn meaning(&self, signal: Signal) -> Option<Power> {
        let machine = self.role == Role::Machine;
        let command = self.main.as_ref().is_some_and(Main::is_command);
        match signal {
            // It is the command's, which does not run.
            Signal::USR1 | Signal::USR2 | Signal::HUP if command => None,
            Signal::INT | Signal::TERM if machine => Some(Power::Reboot),
            Signal::USR1 | Signal::RTMIN_3 => Some(Power::Halt),
            Signal::INT | Signal::TERM | Signal::USR2 | Signal::PWR => Some(Power::PowerOff),
            Signal::QUIT if !machine => Some(Power::PowerOff),
            // The terminal that it was started from is gone.
            Signal::HUP if self.role == Role::Subreaper => Some(Power::PowerOff),
            _ => None,
        }
    }

    pub(crate) fn reap(&mut self) {
        while let Some((pid, status)) = sys::process::peek() {
            self.child_ended(pid, status);
            // It is ours to find again until what follows from its death is on record.
            self.write_ledger();
            sys::process::reap_one(pid);
        }
    }

    fn child_ended(&mut self, pid: Pid, status: WaitStatus) {
        if self.compiler.is_some_and(|(compiler, _)| compiler == pid) {
            self.compiled(status);
        } else if self.logger.pid == Some(pid) {
            self.logger_ended(status);
        } else if self.going.as_mut().is_some_and(|going| going.unmounter_ended(pid)) {
            // Going down looks at it by itself.
        } else if self.shell_ended(pid, status) {
            // The boot goes on.
        } else if self.sweeper_ended(pid) {
            // It is begun again if there is more.
        } else if self.check_ended(pid, status) {
            // The loop goes on from there.
        } else if let Some(index) = self.services.iter().position(|service| service.is_supervisor(pid)) {
            self.supervisor_ended(index, status);
        } else if let Some(index) = self.services.iter().position(|service| service.main == Some(pid)) {
            self.main_process_ended(index, pid, status);
        } else {
            self.stranger_ended(pid, status);
        }
    }
}
