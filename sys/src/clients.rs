//! Everybody who is connected to a control socket.

use crate::connection::Connection;
use crate::poll::Poller;
use crate::socket::{self, Peer};
use nix::errno::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What those are told who have to go, or cannot come.
const TOO_MANY: &str = "error too many clients\n";

/// The clients of one listener. Each is known by a token: that of the first place, and those after it.
///
/// When all places are taken, whoever has not been served for longest, and waits for nothing, makes room.
/// Strangers, who are neither root nor our own user, never have more than half of the places, and each of
/// them an eighth: they can take places from themselves, but not from root.
#[derive(Debug)]
pub struct Clients {
    listener: Option<OwnedFd>,
    base: u64,
    slots: Vec<Option<Box<Connection>>>,
    /// How many of the places are for those who have not asked to be told of changes.
    most: usize,
    /// Given up to accept, and turn away, a client that there is no descriptor for: it would be announced
    /// for ever otherwise.
    reserve: Option<OwnedFd>,
    owner: u32,
    /// Grows with every line and every client.
    served: u64,
}

impl Clients {
    /// At most `most` clients of `listener` at a time, whose tokens begin at `base`. Those
    /// who have asked to be told of changes are not counted, as long as there are no more than `waiting`. Without a listener nobody ever comes.
    #[must_use]
    pub fn new(listener: Option<OwnedFd>, base: u64, most: usize, waiting: usize) -> Clients {
        let owner = nix::unistd::geteuid().as_raw();
        let slots = (0..most + waiting).map(|_| None).collect();
        Clients { listener, base, slots, most, reserve: reserve(), owner, served: 0 }
    }

    /// What they connect to, to be passed on to another program.
    #[must_use]
    pub fn listener(&self) -> Option<BorrowedFd<'_>> {
        self.listener.as_ref().map(AsFd::as_fd)
    }

    /// Takes connections that wait. Who finds no place is told so. Of those who connect without end only as many
    /// are taken that whoever came last time is heard before making room.
    pub fn accept(&mut self, poller: &Poller) {
        self.reserve = self.reserve.take().or_else(reserve);
        for _ in 0..(self.most / 2).max(1) {
            let Some(listener) = &self.listener else { return };
            match socket::accept(listener) {
                Ok(socket) => self.admit(Connection::new(socket), poller),
                Err(error) if is_short_of_descriptors(&error) && self.reserve.take().is_some() => {
                    drop(socket::accept(listener));
                    self.reserve = reserve();
                }
                Err(_) => return,
            }
        }
    }

    fn admit(&mut self, mut connection: Connection, poller: &Poller) {
        let Some(index) = self.place_for(&connection) else {
            connection.send(TOO_MANY);
            return;
        };
        self.served += 1;
        connection.served = self.served;
        connection.identity = self.served;
        let Some(slot) = self.slots.get_mut(index) else { return };
        if let Some(before) = slot.take() {
            before.send(TOO_MANY);
        }
        if poller.add(connection.as_fd(), self.base + index as u64).is_ok() {
            *slot = Some(Box::new(connection));
        }
    }

    /// Where a newcomer goes: to a free place, or to that of somebody who has to go for it.
    fn place_for(&self, newcomer: &Connection) -> Option<usize> {
        if self.is_owner(newcomer) {
            return self.free().or_else(|| {
                self.idle(|other| !self.is_owner(other)).or_else(|| self.idle(|other| !other.subscribed))
            });
        }
        let strangers = self.count(|other| !self.is_owner(other));
        let user = |other: &Connection| other.peer.map(|peer| peer.user);
        let same = |other: &Connection| user(other) == user(newcomer);
        if self.count(same) >= (self.most / 8).max(1) {
            return self.idle(|other| same(other) && !other.subscribed);
        }
        if strangers >= self.most / 2 {
            return self.idle(|other| !self.is_owner(other) && !other.subscribed);
        }
        self.free()
    }

    /// A place that nobody has, unless too many have one already who do not only wait.
    fn free(&self) -> Option<usize> {
        let full = self.count(|other| !other.subscribed) >= self.most;
        self.slots.iter().position(Option::is_none).filter(|_| !full)
    }

    /// Of those who may go, the place of the one that has not been served for longest.
    fn idle(&self, may_go: impl Fn(&Connection) -> bool) -> Option<usize> {
        let taken = self.slots.iter().enumerate();
        let taken = taken.filter_map(|(index, slot)| Some((index, slot.as_deref()?)));
        taken.filter(|(_, other)| may_go(other)).min_by_key(|(_, other)| other.served).map(|(index, _)| index)
    }

    fn count(&self, which: impl Fn(&Connection) -> bool) -> usize {
        self.slots.iter().flatten().filter(|other| which(other)).count()
    }

    fn is_owner(&self, connection: &Connection) -> bool {
        connection.peer.is_some_and(|peer| peer.user == 0 || peer.user == self.owner)
    }

    /// Whether the client may ask for anything: it is root, or our own user.
    #[must_use]
    pub fn owned(&self, token: u64) -> bool {
        self.connection(token).is_some_and(|connection| self.is_owner(connection))
    }

    /// Reads what the client with this token sent: its whole lines. One that has gone is let go.
    pub fn read(&mut self, token: u64) -> Vec<String> {
        self.served += 1;
        let served = self.served;
        let Some(slot) = self.slot(token) else { return Vec::new() };
        let Some(connection) = slot else { return Vec::new() };
        connection.served = served;
        let alive = connection.fill();
        let lines = std::iter::from_fn(|| connection.line()).collect();
        if !alive {
            *slot = None;
        }
        lines
    }

    /// What tells the client with this token from those that had the token before it, or will.
    #[must_use]
    pub fn identity(&self, token: u64) -> Option<u64> {
        Some(self.connection(token)?.identity)
    }

    /// Who is at the other end.
    #[must_use]
    pub fn peer(&self, token: u64) -> Option<Peer> {
        self.connection(token)?.peer
    }

    /// The groups that the client is in.
    #[must_use]
    pub fn groups(&self, token: u64) -> Vec<u32> {
        let Some(connection) = self.connection(token) else { return Vec::new() };
        let mut groups = socket::peer_groups(connection.as_fd()).unwrap_or_default();
        groups.extend(connection.peer.map(|peer| peer.group));
        groups
    }

    /// Answers a client. One that does not take the answer is let go.
    pub fn answer(&mut self, token: u64, text: &str) {
        if let Some(slot) = self.slot(token)
            && slot.as_ref().is_some_and(|connection| !connection.send(text))
        {
            *slot = None;
        }
    }

    /// Has a client told of every change.
    pub fn subscribe(&mut self, token: u64) {
        if let Some(Some(connection)) = self.slot(token) {
            connection.subscribed = true;
        }
    }

    /// Tells everybody who asked for it. Who does not read is let go.
    pub fn broadcast(&mut self, text: &str) {
        for slot in &mut self.slots {
            if slot.as_ref().is_some_and(|connection| connection.subscribed && !connection.send(text)) {
                *slot = None;
            }
        }
    }

    fn connection(&self, token: u64) -> Option<&Connection> {
        let index = usize::try_from(token.checked_sub(self.base)?).ok()?;
        self.slots.get(index)?.as_deref()
    }

    fn slot(&mut self, token: u64) -> Option<&mut Option<Box<Connection>>> {
        let index = usize::try_from(token.checked_sub(self.base)?).ok()?;
        self.slots.get_mut(index)
    }
}

fn reserve() -> Option<OwnedFd> {
    std::fs::File::open("/dev/null").ok().map(OwnedFd::from)
}

fn is_short_of_descriptors(error: &std::io::Error) -> bool {
    [Errno::EMFILE, Errno::ENFILE].iter().any(|errno| error.raw_os_error() == Some(*errno as i32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    /// A listener of its own with `most` places, and what is connected to it.
    struct Door {
        path: std::path::PathBuf,
        poller: Poller,
        clients: Clients,
    }

    impl Door {
        fn new(name: &str, most: usize) -> Door {
            let path = std::env::temp_dir().join(format!("mainstay-{name}-{}", std::process::id()));
            let clients = Clients::new(Some(socket::listen_at(&path).unwrap()), 100, most, 0);
            Door { path, poller: Poller::new().unwrap(), clients }
        }

        fn come(&mut self) -> UnixStream {
            let stream = UnixStream::connect(&self.path).unwrap();
            self.clients.accept(&self.poller);
            stream
        }

        /// As one of another user.
        fn come_as(&mut self, user: u32) -> (UnixStream, Option<usize>) {
            let (ours, theirs) = UnixStream::pair().unwrap();
            theirs.set_nonblocking(true).unwrap();
            let mut connection = Connection::new(theirs.into());
            connection.peer = Some(Peer { pid: 7, user, group: user });
            let place = self.clients.place_for(&connection);
            self.clients.admit(connection, &self.poller);
            (ours, place)
        }
    }

    impl Drop for Door {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.path);
        }
    }

    fn all_of(mut stream: &UnixStream) -> String {
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text);
        text
    }

    #[test]
    fn who_has_been_idle_for_longest_makes_room_and_a_subscriber_does_not() {
        let mut door = Door::new("idle", 3);
        let first = door.come();
        door.clients.subscribe(100);
        let (mut second, third) = (door.come(), door.come());
        std::io::Write::write_all(&mut second, b"x\n").unwrap();
        assert_eq!(door.clients.read(101), ["x"]);
        let fourth = door.come();
        assert_eq!(all_of(&third), TOO_MANY, "the second was served after it");
        assert_eq!(door.clients.peer(102).map(|peer| peer.pid), Some(crate::process::own()));
        for token in [101, 102] {
            door.clients.subscribe(token);
        }
        assert_eq!(all_of(&door.come()), TOO_MANY);
        drop((first, fourth));
        assert!(door.clients.read(100).is_empty() && door.clients.peer(100).is_none());
        let _fifth = door.come();
        assert!(door.clients.peer(100).is_some() && door.clients.owned(100));
    }

    #[test]
    fn those_who_only_wait_take_no_place_from_those_who_ask() {
        let mut door = Door::new("waiting", 2);
        door.clients.slots.resize_with(6, || None);
        let waiting: Vec<UnixStream> = (100..104)
            .map(|token| {
                let stream = door.come();
                door.clients.subscribe(token);
                stream
            })
            .collect();
        let (first, second) = (door.come(), door.come());
        let third = door.come();
        assert_eq!(all_of(&first), TOO_MANY, "there are two places for those who ask");
        assert!((100..106).all(|token| door.clients.peer(token).is_some()));
        drop((waiting, second, third));
    }

    #[test]
    fn strangers_take_places_from_themselves_only() {
        let mut door = Door::new("strangers", 16);
        let mine: Vec<UnixStream> = (0..4).map(|_| door.come()).collect();
        let one: Vec<_> = (0..3).map(|_| door.come_as(70_001)).collect();
        assert_eq!(one.iter().map(|(_, place)| *place).collect::<Vec<_>>(), [Some(4), Some(5), Some(4)]);
        let others: Vec<_> = (2..20).map(|user| door.come_as(70_000 + user)).collect();
        assert_eq!(door.clients.count(|other| !door.clients.is_owner(other)), 8);
        assert_eq!(all_of(&one[1].0), TOO_MANY);
        let more: Vec<UnixStream> = (0..12).map(|_| door.come()).collect();
        assert_eq!(door.clients.count(|other| door.clients.is_owner(other)), 16, "root has its way");
        drop((mine, others, more));
    }

    #[test]
    fn a_stranger_with_only_subscriptions_gets_no_more() {
        let mut door = Door::new("subscribed", 16);
        let kept: Vec<_> = (0..2).map(|_| door.come_as(70_001)).collect();
        door.clients.subscribe(100);
        door.clients.subscribe(101);
        let (refused, place) = door.come_as(70_001);
        assert_eq!((place, all_of(&refused).as_str()), (None, TOO_MANY));
        drop(kept);
    }
}
