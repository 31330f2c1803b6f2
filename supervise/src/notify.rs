//! The socket on which the service says how it is (sd_notify(3)).

use crate::launch;
use crate::store::MESSAGES;
use crate::supervisor::{NOTIFY, Supervisor};
use service::Pid;
use service::definition::{NotifyFrom, ReadyMethod};
use service::machine::Event;
use service::notify::{MESSAGE_MAX, Note, notes};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use sys::datagram::Datagram;

/// As many messages are taken before something else has its turn.
const MESSAGES_MAX: usize = 32;
/// The longest path that a socket can be reached at (unix(7)).
const PATH_MAX: usize = 107;

/// The socket, and what was said on it.
pub(crate) struct Notify {
    socket: OwnedFd,
    path: PathBuf,
    from: NotifyFrom,
    /// What the service says of itself.
    text: String,
    /// It has been told once that a message was refused.
    refused: bool,
}

impl Notify {
    /// For whoever comes after us.
    pub(crate) fn socket(&self) -> &OwnedFd {
        &self.socket
    }
}

/// Beside the other files of the service, unless its name is too long for that.
fn path(run: &Path, name: &str) -> PathBuf {
    let path = run.join("service").join(name).join("notify");
    if path.as_os_str().len() <= PATH_MAX {
        return path;
    }
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    run.join(format!("notify-{:016x}", hasher.finish()))
}

impl Supervisor {
    /// Opens it, if the service says anything at all; or goes on with that of the supervisor before us, in which
    /// there may be messages.
    pub(crate) fn open_notify(&mut self) {
        let ReadyMethod::Notify(from) = self.definition.ready.method else { return };
        let path = path(&self.run, &self.definition.name);
        let socket = match self.kept(MESSAGES) {
            Some(socket) => Ok(socket),
            None => sys::datagram::receive_at(&path).inspect(|socket| self.keep(MESSAGES, socket)),
        };
        match socket.and_then(|socket| self.poller.add(&socket, NOTIFY).map(|()| socket)) {
            Ok(socket) => {
                self.notify = Some(Notify { socket, path, from, text: String::new(), refused: false });
            }
            Err(error) => {
                let (path, reason) = (path.display(), launch::reason(&error));
                self.say(&format!(
                    "warning: unable to receive at {path}: {reason} (the service cannot say that it is ready)"
                ));
            }
        }
    }

    /// What the service has to know to say anything.
    pub(crate) fn notify_variables(&self) -> Vec<(&'static str, String)> {
        let Some(notify) = &self.notify else { return Vec::new() };
        let mut variables = vec![("NOTIFY_SOCKET", notify.path.display().to_string())];
        if let Some(period) = self.definition.watchdog {
            variables.push(("WATCHDOG_USEC", period.as_micros().to_string()));
        }
        variables
    }

    /// What the service says of itself; empty for nothing.
    pub(crate) fn text(&self) -> String {
        self.notify.as_ref().map(|notify| notify.text.clone()).unwrap_or_default()
    }

    /// What it said to the supervisor before us.
    pub(crate) fn recall_text(&mut self, text: &str) {
        if let Some(notify) = &mut self.notify {
            text.clone_into(&mut notify.text);
        }
    }

    /// A new run has said nothing yet.
    pub(crate) fn forget_text(&mut self) {
        if let Some(notify) = &mut self.notify {
            notify.text.clear();
            notify.refused = false;
        }
    }

    /// Takes what the service has said so far. Each message stays in the socket until it is on disk what follows
    /// from it: if we are killed before that, it is for the supervisor after us.
    pub(crate) fn read_messages(&mut self) {
        let mut buffer = [0; MESSAGE_MAX];
        for _ in 0..MESSAGES_MAX {
            let Some(notify) = &self.notify else { return };
            let Ok(datagram) = sys::datagram::peek(&notify.socket, &mut buffer) else { return };
            match self.objection(&datagram) {
                None => self.take_message(buffer.get(..datagram.length).unwrap_or_default()),
                Some(objection) => self.refuse_message(&datagram, objection),
            }
            self.settle();
            let Some(notify) = &self.notify else { return };
            let _ = sys::datagram::drop_next(&notify.socket);
        }
    }

    /// Why a message does not count.
    fn objection(&self, datagram: &Datagram) -> Option<&'static str> {
        if datagram.cut {
            return Some("it is too long");
        }
        let from = self.notify.as_ref().map_or(NotifyFrom::Main, |notify| notify.from);
        (from == NotifyFrom::Main && !self.sent_by_main(datagram))
            .then_some("the main process did not send it")
    }

    /// Whether it came from the main process or from one in its session, such as a command in a script. One that
    /// has ended already is taken for such a command if its user is that of the main process.
    fn sent_by_main(&self, datagram: &Datagram) -> bool {
        let (Some(main), Some(sender)) = (self.machine.pid(), datagram.sender) else { return false };
        sender == main
            || match sys::process::session(sender) {
                Some(session) => session == main,
                None => sys::process::user(main) == Some(datagram.user),
            }
    }

    /// Said once in a run: a stranger must not fill the log.
    fn refuse_message(&mut self, datagram: &Datagram, objection: &str) {
        let Some(notify) = &mut self.notify else { return };
        if !std::mem::replace(&mut notify.refused, true) {
            let sender = datagram.sender.map_or(0, Pid::number);
            self.say(&format!("warning: a message of process {sender} does not count: {objection}"));
        }
    }

    fn take_message(&mut self, message: &[u8]) {
        for note in notes(message) {
            let event = match note {
                Note::Ready => Event::Ready,
                Note::Reloading => Event::Reloading,
                Note::Stopping => Event::Stopping,
                Note::Watchdog => Event::Watchdog,
                Note::WatchdogTrigger => Event::WatchdogTrigger,
                Note::ExtendTimeout(by) => Event::ExtendTimeout(by),
                Note::Text(text) => {
                    self.note_text(text);
                    continue;
                }
                Note::MainPid => {
                    self.say("warning: MAINPID is not heeded: the process that was started is the main one");
                    continue;
                }
            };
            self.queue.push_back(event);
        }
    }

    fn note_text(&mut self, text: String) {
        if let Some(notify) = self.notify.as_mut().filter(|notify| notify.text != text) {
            notify.text = text;
            (self.dirty, self.filed) = (true, false);
        }
    }
}
