//! Replacing this program in place by the one on disk. The process stays, and with it the service as its child;
//! what both programs have to know is in the status file and in the descriptors that are passed on.

use crate::launch;
use crate::store::{MESSAGES, READY};
use crate::supervisor::{CHANNEL, Supervisor};
use service::machine::STATE_VERSION;
use service::{Pid, Tick, WaitStatus};
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::time::Duration;
use sys::spawn::{Session, Spawn, spawn};

/// How long the new program may take to say whether it can go on with what we keep.
const CHECK_TIMEOUT: Duration = Duration::from_secs(10);

/// A replacement that was asked for.
#[derive(Debug)]
pub(crate) struct Replacement {
    /// The new program, which is asked whether it can go on; none once it has said yes.
    check: Option<Pid>,
    /// When it has taken too long.
    deadline: Option<Tick>,
    /// Who asked, and waits for an answer.
    client: Option<u64>,
}

impl Supervisor {
    /// Begins by asking the program on disk whether it can go on with what this one keeps.
    pub(crate) fn begin_replacement(&mut self, client: Option<u64>) {
        if self.replacement.is_some() {
            return self.refuse(client, "it is being replaced already");
        }
        let arguments = [&b"supervise"[..], b"--compatible", STATE_VERSION.as_bytes(), b"--run"]
            .into_iter()
            .chain([self.run.as_os_str().as_bytes(), self.definition.name.as_bytes()])
            .map(CString::new)
            .collect::<Result<Vec<CString>, _>>();
        let (Ok(arguments), Some(program)) = (arguments, program()) else {
            return self.refuse(client, "unable to find out which program this is");
        };
        let [_, output, error] = sys::fd::standard();
        let child = spawn(&Spawn {
            directory: Some(c"/"),
            descriptors: &[(self.null.as_fd(), 0), (output, 1), (error, 2)],
            session: Session::New,
            dies_with_us: true,
            ..Spawn::new(&program, &arguments)
        });
        match child {
            Ok(child) => {
                let deadline = Some(sys::clock::now().after(CHECK_TIMEOUT));
                self.replacement = Some(Replacement { check: Some(child.pid), deadline, client });
                self.attend();
            }
            Err(problem) => {
                self.refuse(client, &format!("{problem} ({})", program.to_string_lossy()));
            }
        }
    }

    fn refuse(&mut self, client: Option<u64>, why: &str) {
        self.say(&format!("warning: not replaced: {why} (going on as before)"));
        if let Some(client) = client {
            self.clients.answer(client, &format!("error {why}\n"));
        }
    }

    /// Whether the process that has ended was the new program with its answer.
    pub(crate) fn replacement_answered(&mut self, pid: Pid, status: WaitStatus) -> bool {
        let Some(replacement) = self.replacement.as_mut().filter(|other| other.check == Some(pid)) else {
            return false;
        };
        if status.success() {
            (replacement.check, replacement.deadline) = (None, None);
        } else {
            let client = replacement.client;
            self.replacement = None;
            self.attend();
            let why = format!("the program on disk cannot go on with what this one keeps ({status})");
            self.refuse(client, &why);
        }
        true
    }

    /// When the new program has taken too long.
    pub(crate) fn replacement_deadline(&self) -> Option<Tick> {
        self.replacement.as_ref().and_then(|replacement| replacement.deadline)
    }

    /// Ends a new program that does not answer.
    pub(crate) fn hurry_replacement(&mut self, now: Tick) {
        let Some(replacement) = &mut self.replacement else { return };
        if replacement.deadline.is_some_and(|deadline| deadline <= now) {
            replacement.deadline = None;
            if let Some(pid) = replacement.check {
                let _ = sys::process::signal_group(pid, service::Signal::KILL);
            }
        }
    }

    /// Executes the new program, if it has been asked for and nothing is under way. Returns if that failed, and
    /// then all is as before.
    pub(crate) fn replace_if_due(&mut self) {
        let due = self.replacement.as_ref().is_some_and(|replacement| replacement.check.is_none());
        if due && !self.may_be_replaced() {
            return self.attend();
        }
        if !due {
            return;
        }
        let Some(replacement) = self.replacement.take() else { return };
        // All that there is to know, whether or not anybody was to be told of it.
        self.filed = false;
        self.file_for_the_next();
        self.reap_last();
        self.tasks.kill();
        if let Some(client) = replacement.client {
            self.clients.answer(client, "ok\n");
        }
        let error = self.execute();
        self.say(&format!("error: unable to be replaced: {error} (going on as before)"));
        // They are begun again when they are seen to have ended.
        self.deaths = true;
        self.attend();
    }

    /// Whether init is not listened to for now: what it says after it has asked for the replacement is for the new
    /// program, which knows the definition as it is now.
    pub(crate) fn inattentive(&self) -> bool {
        self.replacement.as_ref().is_some_and(|replacement| replacement.check.is_some())
    }

    /// Listens to init again, or no more.
    fn attend(&self) {
        if let Some(channel) = &self.channel {
            let _ = self.poller.modify(channel, CHANNEL, !self.inattentive(), self.report_pending);
        }
    }

    fn execute(&self) -> String {
        let kept = self.kept.iter().map(|(tag, descriptor)| (tag.as_str(), descriptor));
        let kept = kept.chain(self.notification.iter().map(|reader| (READY, reader)));
        let kept = kept.chain(self.notify.iter().map(|notify| (MESSAGES, notify.socket())));
        let kept = kept.chain(self.sockets.kept());
        let passed: Vec<(&str, String, BorrowedFd<'_>)> = [
            self.channel.as_ref().map(|channel| ("--channel", channel.as_fd())),
            self.clients.listener().map(|listener| ("--listener", listener)),
            Some(("--lock", self.lock.as_fd())),
        ]
        .into_iter()
        .flatten()
        .chain(self.pipeline.passed())
        .map(|(option, fd)| (option, fd.as_raw_fd().to_string(), fd))
        .chain(kept.map(|(tag, fd)| ("--kept", format!("{tag}={}", fd.as_raw_fd()), fd.as_fd())))
        .collect();
        let mut words = vec!["supervise".into(), "--resume".into(), "--run".into(), self.run.clone().into()];
        for (option, value, _) in &passed {
            words.extend([(*option).into(), value.into()]);
        }
        words.push(self.definition.name.clone().into());
        let words: Result<Vec<CString>, _> =
            words.into_iter().map(|word: std::ffi::OsString| CString::new(word.into_vec())).collect();
        let environment: Result<Vec<CString>, _> = std::env::vars_os()
            .map(|(key, value)| CString::new([key.as_bytes(), b"=", value.as_bytes()].concat()))
            .collect();
        let (Ok(words), Ok(environment), Some(program)) = (words, environment, program()) else {
            return "unable to find out which program this is".to_owned();
        };
        let pass_all = |stays| passed.iter().try_for_each(|(_, _, fd)| sys::fd::pass_on(fd, stays));
        let error = match pass_all(true) {
            Ok(()) => sys::process::replace(&program, &words, &environment),
            Err(error) => error,
        };
        let _ = pass_all(false);
        launch::reason(&error)
    }
}

/// The program on disk: at the path by which this one was executed, or where it is now.
fn program() -> Option<CString> {
    let path = sys::process::own_program();
    path.or_else(|| CString::new(std::env::current_exe().ok()?.into_os_string().into_vec()).ok())
}
