//! Taking the machine down.

use crate::Role;
use crate::ledger::{Lines, Record};
use crate::message::reason;
use crate::runtime::Init;
use crate::services::Service;
use crate::strangers;
use service::codec::pairs;
use service::graph::Index;
use service::shutdown::{Facts, Order, Shutdown};
use service::status::{State, Status};
use service::wire::{Command, Power};
use service::{Pid, Signal, Tick};
use std::ffi::OsStr;
use std::process::ExitCode;
use std::time::Duration;

/// Init on its way down.
pub(crate) struct Going {
    power: Power,
    shutdown: Shutdown,
    unmounter: Option<Pid>,
    unmounted: bool,
    finishing_logger: bool,
    /// How often it was asked for again, since when.
    asked: (u32, Tick),
}

/// Who asks so often within such a time does not want to wait: the habit of Ctrl-Alt-Del.
const HURRY_COUNT: u32 = 7;
const HURRY_TIME: Duration = Duration::from_secs(2);

/// The kernel's answer to whether one was loaded (its `Documentation/ABI/testing/sysfs-kernel-kexec-kdump`).
const KEXEC_LOADED: &str = "/sys/kernel/kexec_loaded";

impl Going {
    /// What another init needs to go on with it.
    pub(crate) fn record(&self, record: &mut Record) {
        record.line("going", self.power.word());
        record.line("shutdown", self.shutdown.save());
        record.option("unmounter", self.unmounter);
        record.line("unmounted", self.unmounted);
        record.line("finishing-logger", self.finishing_logger);
    }

    /// The same from its lines; none if the machine was not going down.
    pub(crate) fn restore(lines: Lines<'_>) -> Option<Going> {
        let unmounter = lines.number("unmounter").and_then(Pid::new);
        Some(Going {
            power: Power::parse(lines.get("going")?)?,
            shutdown: Shutdown::restore(lines.get("shutdown")?)?,
            unmounter: unmounter.filter(|pid| sys::process::is_child(*pid)),
            // One that was being started is not waited for: its deadline is, or it has ended.
            unmounted: lines.flag("unmounted"),
            finishing_logger: lines.flag("finishing-logger"),
            asked: (0, Tick::default()),
        })
    }

    pub(crate) fn deadline(&self) -> Option<Tick> {
        [self.shutdown.deadline(), self.shutdown.word()].into_iter().flatten().min()
    }

    /// Whether the services have had their time: what dies from then on stays dead.
    pub(crate) fn past_services(&self) -> bool {
        self.shutdown.past_services()
    }

    /// Counts another wish for it; whether that was one too many to go on in peace.
    fn asked_again(&mut self, now: Tick) -> bool {
        let (count, since) = self.asked;
        self.asked = if now.since(since) <= HURRY_TIME { (count + 1, since) } else { (1, now) };
        self.asked.0 >= HURRY_COUNT
    }

    /// Whether the logger's end is expected.
    pub(crate) fn logger_may_end(&self) -> bool {
        self.finishing_logger
    }

    /// Notes the end of the process that unmounts, if it is this one.
    pub(crate) fn unmounter_ended(&mut self, pid: Pid) -> bool {
        let it = self.unmounter == Some(pid);
        if it {
            self.unmounted = true;
            self.unmounter = None;
        }
        it
    }
}

impl Init {
    /// Why the machine cannot go down so.
    pub(crate) fn may_go_down(&self, power: Power) -> Result<(), String> {
        if power != Power::Kexec {
            return Ok(());
        }
        if self.role != Role::Machine {
            return Err("only the first process of a machine can start another kernel".to_owned());
        }
        let loaded = std::fs::read_to_string(KEXEC_LOADED).is_ok_and(|text| text.trim() == "1");
        if loaded { Ok(()) } else { Err("no kernel was loaded for it".to_owned()) }
    }

    /// Begins to go down, unless that has begun already.
    pub(crate) fn go_down(&mut self, power: Power, by: &str) {
        let now = sys::clock::now();
        if let Some(going) = &mut self.going {
            let doing = going.power.word();
            self.messages.notice(&format!("{}: asked for by {by} (already doing {doing})", power.word()));
            if going.asked_again(now) {
                self.messages.warning("asked for again and again (killing what is left)");
                going.shutdown.hurry(now);
            }
            return;
        }
        self.messages.notice(&format!("{}: asked for by {by}", power.word()));
        self.graph.shut_down();
        self.going = Some(Going {
            power,
            shutdown: Shutdown::new(now, self.settings.limits),
            unmounter: None,
            unmounted: false,
            finishing_logger: false,
            asked: (0, now),
        });
        // Before anything is told: who takes our place goes on with it.
        self.write_ledger();
        self.dismiss_shell();
        for index in 0..self.services.len() {
            self.dismiss(index);
        }
    }

    /// While the machine goes down, the supervisor of a service that does not run has nothing left to do.
    pub(crate) fn dismiss(&mut self, index: Index) {
        let rests =
            self.graph.nodes().get(index).is_some_and(|node| {
                node.state.settled() && !matches!(node.state, State::Up | State::Listening)
            });
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
                // What was killed with its supervisor can no longer tell that it is down.
                alone: (services_down || going.past_services())
                    && strangers::alone(self.role, self.logger.pid),
                logger_gone: self.logger.pid.is_none(),
                unmounted: going.unmounted,
            };
            let waited_for = going.shutdown.waits_for();
            let late = going.shutdown.deadline().is_some_and(|deadline| deadline <= now);
            let Some(order) = going.shutdown.advance(now, facts) else { return self.tell_waiting(now) };
            if late {
                self.tell_late(waited_for);
            }
            self.perform(order);
            if self.end.is_some() {
                return;
            }
        }
    }

    /// Says from time to time what is waited for, and for how long it may yet be.
    fn tell_waiting(&mut self, now: Tick) {
        let Some(going) = &mut self.going else { return };
        let Some((waited, limit)) = going.shutdown.take_word(now) else { return };
        let what = if going.past_services() {
            going.shutdown.waits_for().to_owned()
        } else {
            let supervised = self.services.iter().enumerate().filter(|(_, service)| service.has_supervisor());
            let each: Vec<String> = supervised.map(|(index, _)| self.waited_for(index, now)).collect();
            each.join(", ")
        };
        let (waited, limit) = (waited.as_secs(), limit.as_secs());
        self.messages.notice(&format!("waiting for {what}; {waited} s of {limit} s"));
    }

    /// A service that keeps the machine from going down: since when it does what, and how long it may.
    fn waited_for(&self, index: Index, now: Tick) -> String {
        let name = self.graph.name(index);
        let place = self.options.run.join("service").join(name);
        let read = |file: &str| std::fs::read_to_string(place.join(file)).unwrap_or_default();
        let Some(status) = Status::decode(&read("status")) else { return name.to_owned() };
        let definition = read("definition");
        let limit = |key: &str| {
            let found = pairs(&definition).find(|(found, _)| *found == key)?;
            found.1.parse::<u64>().ok().filter(|limit| *limit > 0)
        };
        let drains = limit("stop-halt-timeout").filter(|_| definition.contains("\nstop-halt-signal "));
        let limit = limit("stop-timeout").map(|stop| (stop + drains.unwrap_or(0)) / 1000);
        let (state, since) = (status.state.word(), now.since(status.since).as_secs());
        match limit.filter(|_| status.state == State::Stopping) {
            Some(limit) => format!("{name} ({state} for {since} s of {limit} s)"),
            None => format!("{name} ({state} for {since} s)"),
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
        if let Some(pid) = self.going.as_ref().and_then(|going| going.unmounter) {
            // It has had its time; if it hangs in the kernel it is left there. reboot(2) itself writes nothing back.
            let _ = sys::process::signal(pid, Signal::KILL);
        }
        self.messages.notice(match power {
            Power::PowerOff => "powering off",
            Power::Reboot => "rebooting",
            Power::Halt => "halting",
            Power::Kexec => "starting the loaded kernel",
        });
        self.leave_watchdog(power);
        // In a container this ends PID 1 and so tells the parent how (reboot(2), pid_namespaces(7)).
        let Err(error) = sys::power::end(power);
        self.messages.error(&format!("unable to {}: {}", power.word(), reason(&error)));
        if self.role == Role::Container {
            self.end = Some(ExitCode::SUCCESS);
        }
    }
}
