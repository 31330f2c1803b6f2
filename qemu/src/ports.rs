//! Which ports of this host lead to which ports of the guest.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};

use crate::error::Error;

/// The guest's sshd.
pub const SSH: u16 = 22;
/// The guest's Mesos master.
pub const MASTER: u16 = 5050;
/// The guest's Mesos agent.
pub const AGENT: u16 = 5051;
/// The guest's metrics exporter.
pub const EXPORTER: u16 = 9100;

/// A wish for each guest port: a port of this host, or any free one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ports {
    /// Guest port to host port; 0 is "any free one".
    wanted: BTreeMap<u16, u16>,
}

impl Ports {
    /// The ports that people expect: 2222 for ssh, and the services' own numbers.
    pub fn usual() -> Self {
        Self { wanted: BTreeMap::from([(SSH, 2222), (MASTER, 5050), (AGENT, 5051), (EXPORTER, 9100)]) }
    }

    /// The same guest ports, on whatever is free here.
    pub fn free() -> Self {
        let mut ports = Self::usual();
        ports.wanted.values_mut().for_each(|host| *host = 0);
        ports
    }

    /// Forwards one more guest port, or the same one from elsewhere; host port 0 is "any free one".
    pub fn forward(mut self, guest: u16, host: u16) -> Self {
        self.wanted.insert(guest, host);
        self
    }

    /// Reads `free`, or a list such as `ssh=2223,9100=free` over the usual ports.
    pub fn parse(text: &str) -> Result<Self, String> {
        text.split(',').filter(|item| !item.is_empty()).try_fold(Self::usual(), |ports, item| {
            if item == "free" {
                return Ok(Self::free());
            }
            let (guest, host) = item.split_once('=').ok_or_else(|| {
                format!("'{item}' is not GUEST=HOST (such as ssh=2223 or 9100=free) and not 'free'")
            })?;
            Ok(ports.forward(guest_port(guest)?, host_port(host)?))
        })
    }

    /// Fails, and says who is to blame, when a port that was named is taken.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.wanted.iter().filter(|(_, port)| **port != 0).try_for_each(|(guest, port)| {
            match TcpListener::bind((Ipv4Addr::LOCALHOST, *port)) {
                Err(error) if error.kind() == ErrorKind::AddrInUse => {
                    Err(Error::PortInUse { port: *port, guest: *guest, holder: holder_of(*port) })
                }
                // Anything else is for qemu to report: it may well be allowed what we are not.
                Ok(_) | Err(_) => Ok(()),
            }
        })
    }

    /// The `-netdev user` option. Where any free port will do the kernel chooses as qemu binds, so nobody
    /// can take it in between.
    pub(crate) fn netdev(&self) -> String {
        self.wanted.iter().fold("user,id=net".to_owned(), |mut option, (guest, host)| {
            let _ = write!(option, ",hostfwd=tcp:127.0.0.1:{host}-:{guest}");
            option
        })
    }
}

impl Default for Ports {
    fn default() -> Self {
        Self::usual()
    }
}

/// Guest port to host port, from what qemu's monitor answers to `info usernet`.
pub(crate) fn parse_usernet(answer: &str) -> BTreeMap<u16, u16> {
    let forward = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        match fields.as_slice() {
            ["TCP[HOST_FORWARD]", _fd, _host_address, host, _guest_address, guest, ..] => {
                Some((guest.parse().ok()?, host.parse().ok()?))
            }
            _ => None,
        }
    };
    answer.lines().filter_map(forward).collect()
}

fn guest_port(name: &str) -> Result<u16, String> {
    match name {
        "ssh" => Ok(SSH),
        "mesos-master" => Ok(MASTER),
        "mesos-agent" => Ok(AGENT),
        "node-exporter" => Ok(EXPORTER),
        number => number.parse().ok().filter(|port| *port != 0).ok_or_else(|| {
            format!("'{number}' is not a port (a number, ssh, mesos-master, mesos-agent or node-exporter)")
        }),
    }
}

fn host_port(text: &str) -> Result<u16, String> {
    if text == "free" {
        return Ok(0);
    }
    text.parse().map_err(|_| format!("'{text}' is not a port of this host (a number, or free)"))
}

/// The program that listens on a port, as `mesos-master (pid 123)`, as far as `/proc` tells.
fn holder_of(port: u16) -> Option<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let socket = tables.iter().find_map(|table| listener_inode(&fs::read_to_string(table).ok()?, port))?;
    let link = format!("socket:[{socket}]");
    let holds =
        |pid: &u32| {
            let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).ok();
            descriptors.into_iter().flatten().flatten().any(|entry| {
                fs::read_link(entry.path()).is_ok_and(|target| target.as_os_str() == link.as_str())
            })
        };
    let pids = fs::read_dir("/proc").ok()?.flatten();
    let pid = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).find(holds)?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(format!("{} (pid {pid})", name.trim()))
}

/// The inode of the socket that listens on `port`, from a `/proc/net/tcp` table.
fn listener_inode(table: &str, port: u16) -> Option<String> {
    const LISTEN: &str = "0A";
    let local_port = format!(":{port:04X}");
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        match fields.as_slice() {
            [_slot, local, _remote, state, _queues, _timer, _retransmits, _uid, _timeout, inode, ..] => {
                (local.ends_with(&local_port) && *state == LISTEN).then(|| (*inode).to_owned())
            }
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_ports_are_the_ones_people_type() {
        assert_eq!(
            Ports::usual().netdev(),
            "user,id=net,hostfwd=tcp:127.0.0.1:2222-:22,hostfwd=tcp:127.0.0.1:5050-:5050,\
             hostfwd=tcp:127.0.0.1:5051-:5051,hostfwd=tcp:127.0.0.1:9100-:9100"
        );
    }

    #[test]
    fn a_list_changes_only_the_ports_it_names() {
        assert_eq!(Ports::parse("ssh=2223"), Ok(Ports::usual().forward(22, 2223)));
        assert_eq!(Ports::parse("9100=free,80=8080"), Ok(Ports::usual().forward(9100, 0).forward(80, 8080)));
        assert_eq!(Ports::parse("free,ssh=2223"), Ok(Ports::free().forward(22, 2223)));
    }

    #[test]
    fn a_list_that_is_not_one_says_what_would_be() {
        assert!(Ports::parse("2222").unwrap_err().contains("is not GUEST=HOST"));
        assert!(Ports::parse("sshd=2222").unwrap_err().contains("'sshd' is not a port"));
        assert!(Ports::parse("ssh=70000").unwrap_err().contains("'70000' is not a port of this host"));
    }

    #[test]
    fn a_port_in_use_names_the_port_its_holder_and_a_way_out() {
        let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = held.local_addr().unwrap().port();
        let message = Ports::free().forward(22, port).check().unwrap_err().to_string();
        assert!(message.contains(&format!("port {port}")), "{message}");
        assert!(message.contains(&format!("(pid {})", std::process::id())), "{message}");
        assert!(message.contains("--ports 22=free"), "{message}");
    }

    #[test]
    fn qemu_tells_which_free_ports_it_took() {
        let answer = "Hub -1 (net):\r\n  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\r\n  \
             TCP[HOST_FORWARD]   9       127.0.0.1 38589       10.0.2.15    22     0     0\r\n  \
             TCP[ESTABLISHED]   11       127.0.0.1 41000       10.0.2.15    22     0     0\r\n";
        assert_eq!(parse_usernet(answer), BTreeMap::from([(22, 38589)]));
    }
}
