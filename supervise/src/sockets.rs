//! The sockets that are held for the service. They are opened before its first start and closed when it is at rest, so
//! that in between whoever connects waits, and is not refused: while the service is started again, has crashed, or is
//! another version of itself. Init holds them as well, for the supervisor after us.

use crate::launch;
use crate::supervisor::{SOCKETS, Supervisor};
use service::accounts;
use service::definition::{Address, FIRST_SOCKET, Socket, UnixKind};
use service::machine::Event;
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use sys::listen::Type;

/// What the tags begin with under which init keeps them. After it come what the socket is bound to, as a digest, and
/// the file that it has made, as device and inode.
const TAG: &str = "socket:";

/// A variable that is to have the number of the process that the sockets are for.
pub(crate) const OWNER: &std::ffi::CStr = c"LISTEN_PID=";

/// One that is open.
#[derive(Debug)]
struct Held {
    tag: String,
    descriptor: OwnedFd,
    /// Its queue and its owner are as the definition has them.
    set: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    held: Vec<Held>,
    /// They are watched for connections.
    watched: bool,
}

impl Sockets {
    /// For whoever comes after us.
    pub(crate) fn kept(&self) -> impl Iterator<Item = (&str, &OwnedFd)> {
        self.held.iter().map(|held| (held.tag.as_str(), &held.descriptor))
    }

    fn find(&self, socket: &Socket) -> Option<usize> {
        let tag = tag(socket);
        self.held.iter().position(|held| held.tag.starts_with(&tag))
    }
}

fn tag(socket: &Socket) -> String {
    format!("{TAG}{:016x}:", socket.digest())
}

impl Supervisor {
    /// Takes over the sockets that were kept for us. What the definition has no more is closed.
    pub(crate) fn adopt_sockets(&mut self) {
        let kept = self.kept.extract_if(.., |(tag, _)| tag.starts_with(TAG));
        let held = kept.map(|(tag, descriptor)| Held { tag, descriptor, set: false });
        self.sockets.held = held.collect();
        let wanted: Vec<String> = self.definition.sockets.iter().map(tag).collect();
        let unwanted = |held: &mut Held| !wanted.iter().any(|wanted| held.tag.starts_with(wanted));
        let closed: Vec<Held> = self.sockets.held.extract_if(.., unwanted).collect();
        for held in &closed {
            self.close_socket(held);
        }
    }

    /// Opens those that are not open yet.
    pub(crate) fn open_sockets(&mut self) -> Result<(), String> {
        for place in 0..self.definition.sockets.len() {
            let Some(socket) = self.definition.sockets.get(place) else { break };
            let held = self.sockets.find(socket);
            if held.and_then(|held| self.sockets.held.get(held)).is_some_and(|held| held.set) {
                continue;
            }
            let told = |error: io::Error| unable(socket, &launch::reason(&error));
            let held = match held {
                Some(held) => held,
                None => {
                    let descriptor = bind(socket).map_err(told)?;
                    let tag = format!("{}{}", tag(socket), identity(socket));
                    self.keep(&tag, &descriptor);
                    self.sockets.held.push(Held { tag, descriptor, set: false });
                    self.sockets.held.len() - 1
                }
            };
            let Some(held) = self.sockets.held.get_mut(held) else { break };
            set_up(socket, held)?;
            held.set = true;
        }
        Ok(())
    }

    /// Opens them to wait for somebody, and answers the machine.
    pub(crate) fn listen(&mut self) {
        let opened = self.open_sockets();
        self.queue.push_front(match opened {
            Ok(()) => {
                let all = self.sockets.held.iter().map(|held| held.descriptor.as_fd());
                Event::Listening(sys::listen::any_readable(all))
            }
            Err(problem) => {
                self.problem = problem;
                Event::SpawnFailed
            }
        });
    }

    /// Watches them, or no more, and closes them, as the machine stands.
    pub(crate) fn tend_sockets(&mut self) {
        let watch = self.machine.listens();
        if watch != self.sockets.watched {
            self.sockets.watched = watch;
            for held in &self.sockets.held {
                let _ = match watch {
                    true => self.poller.add(&held.descriptor, SOCKETS),
                    false => self.poller.remove(&held.descriptor),
                };
            }
        }
        if !self.sockets.held.is_empty() && self.machine.rests() && !self.leftovers.has_main() {
            for held in &std::mem::take(&mut self.sockets.held) {
                self.close_socket(held);
            }
        }
    }

    /// Removes the file that it has made, if that is still there.
    fn close_socket(&self, held: &Held) {
        let path = sys::listen::path(&held.descriptor);
        if let Some(path) = path.filter(|path| held.tag.ends_with(&format!(":{}", inode(path)))) {
            let _ = std::fs::remove_file(path);
        }
        self.let_go(&held.tag);
    }

    /// Under which numbers the main process gets them: in the order of the definition.
    pub(crate) fn socket_descriptors(&self) -> Vec<(BorrowedFd<'_>, i32)> {
        let held = self.definition.sockets.iter().filter_map(|socket| self.sockets.find(socket));
        let descriptors = held.filter_map(|held| Some(self.sockets.held.get(held)?.descriptor.as_fd()));
        descriptors
            .inspect(|descriptor| {
                // That is shared by everybody who has the socket: a run may have left it otherwise.
                let _ = sys::fd::set_blocking(descriptor);
            })
            .zip(FIRST_SOCKET..)
            .collect()
    }

    /// What the process is told of them (sd_listen_fds(3)).
    pub(crate) fn socket_variables(&self) -> Vec<(&'static str, String)> {
        let sockets = &self.definition.sockets;
        if sockets.is_empty() {
            return Vec::new();
        }
        let names: Vec<&str> = sockets.iter().map(|socket| socket.name.as_str()).collect();
        vec![("LISTEN_FDS", sockets.len().to_string()), ("LISTEN_FDNAMES", names.join(":"))]
    }
}

fn unable(socket: &Socket, reason: &str) -> String {
    let verb = if socket.address.listens() { "listen" } else { "receive" };
    format!("unable to {verb} at {}: {reason}", socket.address)
}

fn bind(socket: &Socket) -> io::Result<OwnedFd> {
    let internet = |text: &str, kind| match text.parse() {
        Ok(address) => sys::listen::internet(address, kind, socket.both),
        Err(_) => Err(io::ErrorKind::InvalidInput.into()),
    };
    match &socket.address {
        Address::Tcp(address) => internet(address, Type::Stream),
        Address::Udp(address) => internet(address, Type::Datagram),
        Address::Vsock(port) => sys::listen::vsock(*port),
        Address::Fifo(path) => sys::listen::fifo(Path::new(path)),
        Address::Unix { path, kind } => {
            let kind = match kind {
                UnixKind::Stream => Type::Stream,
                UnixKind::Datagram => Type::Datagram,
                UnixKind::Packet => Type::SeqPacket,
            };
            match path.strip_prefix('@') {
                Some(name) => sys::listen::abstract_unix(name, kind),
                None => sys::listen::unix(Path::new(path), kind),
            }
        }
    }
}

/// The file that a socket has made. One that was made before it, as a FIFO may be, is left alone.
fn identity(socket: &Socket) -> String {
    let unix = matches!(socket.address, Address::Unix { .. });
    let file = socket.address.file().filter(|_| unix);
    file.map_or_else(|| inode(Path::new("")), |path| inode(Path::new(path)))
}

fn inode(path: &Path) -> String {
    std::fs::symlink_metadata(path).map_or_else(|_| "0:0".to_owned(), |file| number(&file))
}

fn number(file: &Metadata) -> String {
    format!("{}:{}", file.dev(), file.ino())
}

/// Whether a file is the one that the socket has made, or that is open as the FIFO.
fn is_its(file: &Metadata, socket: &Socket, held: &Held) -> bool {
    if matches!(socket.address, Address::Unix { .. }) {
        return held.tag.ends_with(&format!(":{}", number(file)));
    }
    let open = held.descriptor.try_clone().and_then(|descriptor| File::from(descriptor).metadata());
    open.is_ok_and(|open| number(&open) == number(file))
}

/// Has it be as the definition says, and take connections from then on.
fn set_up(socket: &Socket, held: &Held) -> Result<(), String> {
    if let Some(path) = socket.address.file() {
        let (user, group) = owner(socket).map_err(|why| unable(socket, &why))?;
        let told = |error: io::Error| unable(socket, &launch::reason(&error));
        // Whoever may write to its directory may have put something else there, be it a link to what only we may change.
        let file = sys::fs::Found::look(Path::new(path)).map_err(told)?;
        if !is_its(&file.metadata().map_err(told)?, socket, held) {
            return Err(unable(socket, "something else is there by now"));
        }
        file.give(user, group, socket.mode).map_err(told)?;
    }
    if socket.address.listens() {
        let listens = sys::listen::listen(&held.descriptor, socket.backlog);
        listens.map_err(|error| unable(socket, &launch::reason(&error)))?;
    }
    Ok(())
}

/// Whose its file is to be, if it is not to be ours.
fn owner(socket: &Socket) -> Result<(Option<u32>, Option<u32>), String> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let number = |name: &String| name.parse().ok();
    let mut owner = (None, None);
    if let Some(name) = &socket.user {
        let account = accounts::user(&read("/etc/passwd"), name);
        owner = (account.as_ref().map(|user| user.id).or(number(name)), account.map(|user| user.group));
        owner.0.ok_or_else(|| format!("user {name} is not known"))?;
    }
    if let Some(name) = &socket.group {
        owner.1 = accounts::group(&read("/etc/group"), name).or(number(name));
        owner.1.ok_or_else(|| format!("group {name} is not known"))?;
    }
    Ok(owner)
}
