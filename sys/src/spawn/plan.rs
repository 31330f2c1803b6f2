//! What the child uses, made before it exists: it must not allocate.

use super::setup::Tolerated;
use super::{Spawn, SpawnError, Step};
use nix::errno::Errno;
use nix::unistd::{Pid, getpid};
use std::ffi::{CStr, CString, c_char};
use std::ptr::null;

/// The longest name in [`Spawn::own_number`].
const NAME_MAX: usize = 20;

/// Room for a process number and a NUL.
pub(super) const DIGITS: usize = 11;

/// What the pointers of a [`Plan`] point to.
pub(super) struct Texts {
    arguments: Vec<*const c_char>,
    environment: Vec<*const c_char>,
    /// The name of the variable with the child's number, and room for that number.
    variable: [u8; NAME_MAX + DIGITS],
    /// Where that begins.
    digits: usize,
}

impl Texts {
    pub(super) fn new(spawn: &Spawn<'_>) -> Result<Texts, SpawnError> {
        let mut variable = [0_u8; NAME_MAX + DIGITS];
        let name = spawn.own_number.map_or(&[][..], CStr::to_bytes);
        let too_long = SpawnError { step: Step::Execute, errno: Errno::E2BIG };
        let room = variable.get_mut(..name.len()).filter(|room| room.len() <= NAME_MAX);
        room.ok_or(too_long)?.copy_from_slice(name);
        Ok(Texts {
            arguments: pointers(spawn.arguments),
            environment: pointers(spawn.environment),
            variable,
            digits: name.len(),
        })
    }
}

/// The null-terminated array of pointers that execve(2) takes.
fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([null()]).collect()
}

/// All that the child has.
pub(super) struct Plan<'a> {
    pub(super) spawn: &'a Spawn<'a>,
    pub(super) parent: Pid,
    pub(super) arguments: *const *const c_char,
    pub(super) environment: *const *const c_char,
    /// Where the child writes its number: after the name of the variable, which is the last of the environment.
    pub(super) own_number: *mut u8,
    /// Written by the child, which shares our memory, read by us once it is gone or has executed.
    pub(super) failure: Option<SpawnError>,
    /// Likewise.
    pub(super) tolerated: Tolerated,
    /// Whether the child has begun: written by it before anything else.
    pub(super) begun: bool,
    /// Whether it enters its control group by itself, since the clone did not put it there.
    pub(super) enters_group: bool,
}

impl<'a> Plan<'a> {
    pub(super) fn new(spawn: &'a Spawn<'a>, texts: &'a mut Texts) -> Plan<'a> {
        let variable = texts.variable.as_mut_ptr();
        if spawn.own_number.is_some() {
            texts.environment.insert(spawn.environment.len(), variable.cast_const().cast());
        }
        Plan {
            spawn,
            parent: getpid(),
            arguments: texts.arguments.as_ptr(),
            environment: texts.environment.as_ptr(),
            own_number: variable.wrapping_add(texts.digits),
            failure: None,
            tolerated: Tolerated::NONE,
            begun: false,
            enters_group: spawn.cgroup.is_some(),
        }
    }
}
