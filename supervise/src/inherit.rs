//! What the command of a container gets that init was given: the environment, the standard descriptors, the
//! listening sockets, and the terminal. Init has handed it to this supervisor (`inherit` in a definition).

use crate::sockets::OWNER;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::io::IsTerminal;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use sys::spawn::Session;

/// The first socket's number (sd_listen_fds(3)).
const FIRST: i32 = 3;

/// The sockets, which are closed in every process but the main one.
#[derive(Debug, Default)]
pub(crate) struct Inherited {
    sockets: Vec<OwnedFd>,
}

impl Inherited {
    /// Takes them. To be called before anything is opened that stays open.
    pub(crate) fn take() -> Inherited {
        let count = std::env::var("LISTEN_FDS").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
        Inherited { sockets: (0..count).map_while(|place| sys::fd::inherited(FIRST + place).ok()).collect() }
    }

    /// Under which numbers the main process gets them.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = (BorrowedFd<'_>, i32)> {
        self.sockets.iter().map(AsFd::as_fd).zip(FIRST..)
    }

    /// The variable that is to hold the number of the process which they are for.
    pub(crate) fn owner(&self) -> Option<&'static std::ffi::CStr> {
        (!self.sockets.is_empty()).then_some(OWNER)
    }
}

/// Whose session the process runs in: one with a terminal has that terminal, and its ^C.
pub(crate) fn session(inherits: bool) -> Session {
    if inherits && sys::fd::standard()[0].is_terminal() { Session::Foreground } else { Session::New }
}

/// Our own environment without what the definition sets.
pub(crate) fn environment(set: &BTreeMap<String, String>) -> Vec<CString> {
    let own =
        std::env::vars_os().filter(|(name, _)| name.to_str().is_none_or(|name| !set.contains_key(name)));
    own.filter_map(|(name, value)| CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()).ok())
        .collect()
}
