//! Taking the machine down.

use crate::Role;
use crate::message::reason;
use crate::runtime::Init;
use crate::services::Service;
use crate::strangers;
use service::graph::Index;
use service::shutdown::{Facts, Limits, Order, Shutdown};
use service::status::State;
use service::wire::{Command, Power};
use service::{Pid, Signal, Tick};
use std::ffi::OsStr;
use std::process::ExitCode;

/// Init on its way down.
pub(crate) struct Going {
    power: Power,
    shutdown: Shutdown,
    unmounter: Option<Pid>,
    unmounted: bool,
    finishing_logger: bool,
}

impl Going {
    pub(crate) fn deadline(&self) -> Option<Tick> {
        self.shutdown.deadline()
    }

    /// Whether the logger's end is expected.
    pub(crate) fn logger_may_end(&self) -> bool {
        self.finishing_logger
    }

    /// Notes the end of the process that unmounts, if it is this one.
    pub(crate) fn unmounter_ended(&mut self, pid: Pid) -> bool {
        let it = self.unmounter == Some(pid);
        self.unmounted |= it;
        it
    }
}

impl Init {
    /// Begins to go down, unless that has begun already.
    pub(crate) fn go_down(&mut self, power: Power, by: &str) {
        if let Some(going) = &self.going {
            let doing = going.power.word();
            self.messages.notice(&format!("{}: asked for by {by} (already doing {doing})", power.word()));
            return;
        }
        self.messages.notice(&format!("{}: asked for by {by}", power.word()));
        self.graph.shut_down();
        self.going = Some(Going {
            power,
            shutdown: Shutdown::new(sys::clock::now(), Limits::default()),
            unmounter: None,
            unmounted: false,
            finishing_logger: false,
        });
        for index in 0..self.services.len() {
            self.dismiss(index);
        }
    }

    /// While the machine goes down, the supervisor of a service that does not run has nothing left to do.
    pub(crate) fn dismiss(&mut self, index: Index) {
        let rests =
            self.graph.nodes().get(index).is_some_and(|node| node.state.settled() && node.state != State::Up);
        let supervised = self.services.get(index).is_some_and(Service::has_supervisor);
        if self.graph.going_down() && rests && supervised {
            self.tell(index, Command::Exit);
        }
    }

    /// Does whatever the stage of going down is over for.
    pub(crate) fn advance_shutdown(&mut self) {
        loop {
            let now = sys::clock::now();
            let services_down =
                self.graph.all_down() && self.services.iter().all(|service| !service.has_supervisor());
            let Some(going) = &mut self.going else { return };
            let facts = Facts {
                services_down,
                alone: services_down && strangers::alone(self.role, self.logger.pid),
                logger_gone: self.logger.pid.is_none(),
                unmounted: going.unmounted,
            };
            let waited_for = going.shutdown.waits_for();
            let late = going.shutdown.deadline().is_some_and(|deadline| deadline <= now);
            let Some(order) = going.shutdown.advance(now, facts) else { return };
            if late {
                self.tell_late(waited_for);
            }
            self.perform(order);
            if self.end.is_some() {
                return;
            }
        }
    }

    /// Says what was waited for in vain, by name where there is one.
    fn tell_late(&mut self, waited_for: &str) {
        let nodes = self.graph.nodes().iter().zip(&self.services);
        let names: Vec<&str> = nodes
            .filter(|(_, service)| service.has_supervisor())
            .map(|(node, _)| node.entry.name.as_str())
            .collect();
        let names = if names.is_empty() { String::new() } else { format!(": {}", names.join(" ")) };
        self.messages.warning(&format!("waited too long for {waited_for}{names} (going on)"));
    }

    fn perform(&mut self, order: Order) {
        match order {
            Order::Terminate => {
                self.messages.info("stopping what is left");
                strangers::signal(self.role, self.logger.pid, &[Signal::TERM, Signal::CONT]);
            }
            Order::Kill => {
                self.messages.warning("killing what is left");
                strangers::signal(self.role, self.logger.pid, &[Signal::KILL]);
            }
            Order::FinishLogger => {
                if let Some(going) = &mut self.going {
                    going.finishing_logger = true;
                }
                self.finish_logger();
            }
            Order::Unmount => self.unmount(),
            Order::End => self.end_all(),
        }
    }

    /// Done by a child: a filesystem that hangs must not hang PID 1.
    fn unmount(&mut self) {
        if self.role == Role::Machine {
            let _ = sys::process::signal_everyone(Signal::KILL);
        } else if let Some(pid) = self.logger.pid {
            let _ = sys::process::signal(pid, Signal::KILL);
        }
        let started = match self.role {
            Role::Machine => {
                self.messages.info("unmounting");
                self.spawn_program("init", &[OsStr::new(crate::unmount::ARGUMENT)], &[])
            }
            Role::Container | Role::Subreaper => Err(String::new()),
        };
        let Some(going) = &mut self.going else { return };
        match started {
            Ok(pid) => going.unmounter = Some(pid),
            Err(problem) => {
                going.unmounted = true;
                if !problem.is_empty() {
                    self.messages.error(&format!("unable to unmount: {problem} (going on without)"));
                }
            }
        }
    }

    fn end_all(&mut self) {
        let power = self.going.as_ref().map_or(Power::PowerOff, |going| going.power);
        if let Some(code) = self.exit_code() {
            self.end = Some(code);
            return;
        }
        if self.role == Role::Subreaper {
            self.end = Some(ExitCode::SUCCESS);
            return;
        }
        self.messages.notice(match power {
            Power::PowerOff => "powering off",
            Power::Reboot => "rebooting",
            Power::Halt => "halting",
            Power::Kexec => "starting the loaded kernel",
        });
        // In a container this ends PID 1 and so tells the parent how (reboot(2), pid_namespaces(7)).
        let Err(error) = sys::power::end(power);
        self.messages.error(&format!("unable to {}: {}", power.word(), reason(&error)));
        if self.role == Role::Container {
            self.end = Some(ExitCode::SUCCESS);
        }
    }
}
