//! Replacing init, every supervisor and the logger in place by the programs on disk.
//!
//! Each of the new programs is asked first whether it can go on with what the old ones keep; if one cannot, or does
//! not answer, nothing is replaced. Then the supervisors replace themselves, the logger ends and is started anew, and
//! init goes the way that it goes after a fault of its own.

use crate::runtime::Init;
use service::wire::Command;
use service::{Pid, Signal, Tick, WaitStatus};
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

/// How long the new programs may take to answer.
const CHECK_TIMEOUT: Duration = Duration::from_secs(10);

/// A replacement that was asked for.
pub(crate) struct Replacement {
    /// The new programs that have yet to answer.
    checks: Vec<(&'static str, Pid)>,
    /// When they have taken too long.
    pub(crate) deadline: Tick,
    /// Who asked: their place, and which of those who had it.
    client: (u64, Option<u64>),
}

impl Init {
    /// Begins by asking the programs on disk. The client is answered when they have answered.
    pub(crate) fn ask_reexec(&mut self, token: u64) -> Result<(), String> {
        if self.replacement.is_some() {
            return Err("it is being replaced already".to_owned());
        }
        let mut checks = Vec::new();
        let own = service::STATE_VERSION.to_string();
        for (name, version) in
            [("init", own.as_str()), ("supervise", service::machine::STATE_VERSION), ("svlog", own.as_str())]
        {
            let words = [OsStr::new("--compatible"), OsStr::new(version)];
            match self.spawn_program(name, &words, &[]) {
                Ok(pid) => checks.push((name, pid)),
                Err(problem) => {
                    Init::end_checks(&checks);
                    return Err(format!("{name}: {problem}"));
                }
            }
        }
        let deadline = sys::clock::now().after(CHECK_TIMEOUT);
        self.replacement =
            Some(Replacement { checks, deadline, client: (token, self.clients.identity(token)) });
        Ok(())
    }

    fn end_checks(checks: &[(&'static str, Pid)]) {
        for (_, pid) in checks {
            let _ = sys::process::signal(*pid, Signal::KILL);
        }
    }

    /// Whether the process that has ended was one of the new programs with its answer.
    pub(crate) fn check_ended(&mut self, pid: Pid, status: WaitStatus) -> bool {
        let Some(replacement) = &mut self.replacement else { return false };
        let Some(place) = replacement.checks.iter().position(|(_, other)| *other == pid) else {
            return false;
        };
        let (name, _) = replacement.checks.swap_remove(place);
        if !status.success() {
            self.refuse_replacement(&format!(
                "the program {name} on disk cannot go on with what this one keeps ({status})"
            ));
        }
        true
    }

    /// Ends new programs that do not answer.
    pub(crate) fn hurry_checks(&mut self, now: Tick) {
        let late = self.replacement.as_ref().filter(|replacement| replacement.deadline <= now);
        if let Some((name, _)) = late.and_then(|replacement| replacement.checks.first()) {
            self.refuse_replacement(&format!("the program {name} on disk does not answer"));
        }
    }

    fn refuse_replacement(&mut self, why: &str) {
        let Some(replacement) = self.replacement.take() else { return };
        Init::end_checks(&replacement.checks);
        self.messages.warning(&format!("not replaced: {why} (going on as before)"));
        self.answer_asker(replacement.client, &format!("error {why}\n"));
    }

    fn answer_asker(&mut self, (token, identity): (u64, Option<u64>), answer: &str) {
        if identity.is_some() && self.clients.identity(token) == identity {
            self.clients.answer(token, answer);
        }
    }

    /// Replaces everything once all have agreed. Returns if it is not time yet, or if it cannot be done.
    pub(crate) fn replace_if_due(&mut self) {
        if !self.replacement.as_ref().is_some_and(|replacement| replacement.checks.is_empty()) {
            return;
        }
        let Some(replacement) = self.replacement.take() else { return };
        let Ok(program) = CString::new(self.options.programs.join("init").as_os_str().as_bytes()) else {
            return;
        };
        for index in 0..self.services.len() {
            if self.services.get(index).is_some_and(crate::services::Service::has_supervisor) {
                self.tell(index, Command::Reexec);
            }
        }
        // What it has not written yet stays in the pipes for the next one, which is started at once.
        self.logger.started = None;
        self.finish_logger();
        self.write_ledger();
        self.answer_asker(replacement.client, "ok\n");
        let error = sys::crash::replace(&program);
        let reason = crate::message::reason(&error);
        self.messages.error(&format!("unable to be replaced: {reason} (going on as before)"));
    }
}
