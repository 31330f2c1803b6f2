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

/// As many variables can have it.
const VARIABLES_MAX: usize = 2;

/// The name of a variable with its `=`, and room for a number.
#[derive(Clone, Copy)]
struct Variable {
    text: [u8; NAME_MAX + DIGITS],
    /// Where the number begins.
    digits: usize,
}

impl Variable {
    const NONE: Variable = Variable { text: [0; NAME_MAX + DIGITS], digits: 0 };

    fn new(name: &CStr) -> Option<Variable> {
        let mut variable = Variable { digits: name.count_bytes(), ..Variable::NONE };
        let room = variable.text.get_mut(..variable.digits).filter(|room| room.len() <= NAME_MAX)?;
        room.copy_from_slice(name.to_bytes());
        Some(variable)
    }
}

/// What the pointers of a [`Plan`] point to.
pub(super) struct Texts {
    arguments: Vec<*const c_char>,
    environment: Vec<*const c_char>,
    /// The names of the variables with the child's number, and room for that number.
    variables: [Variable; VARIABLES_MAX],
}

impl Texts {
    pub(super) fn new(spawn: &Spawn<'_>) -> Result<Texts, SpawnError> {
        let mut variables = [Variable::NONE; VARIABLES_MAX];
        let too_much = SpawnError { step: Step::Execute, errno: Errno::E2BIG };
        if spawn.own_number.len() > VARIABLES_MAX {
            return Err(too_much);
        }
        for (variable, name) in variables.iter_mut().zip(spawn.own_number) {
            *variable = Variable::new(name).ok_or(too_much)?;
        }
        Ok(Texts {
            arguments: pointers(spawn.arguments),
            environment: pointers(spawn.environment),
            variables,
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
    /// Where the child writes its number: after the names of the variables, which are the last of the environment.
    /// Null where there is none.
    pub(super) own_number: [*mut u8; VARIABLES_MAX],
    /// Written by the child, which shares our memory, read by us once it is gone or has executed.
    pub(super) failure: Option<SpawnError>,
    /// Likewise.
    pub(super) tolerated: Tolerated,
    /// Whether the child has begun: written by it before anything else.
    pub(super) begun: bool,
    /// Whether it enters its control group by itself, since the clone did not put it there.
    pub(super) enters_group: bool,
    /// Where the child asks for its users, if it does.
    pub(super) helper: Option<std::ffi::c_int>,
}

impl<'a> Plan<'a> {
    pub(super) fn new(spawn: &'a Spawn<'a>, texts: &'a mut Texts) -> Plan<'a> {
        let mut own_number = [std::ptr::null_mut(); VARIABLES_MAX];
        let wanted = spawn.own_number.iter().zip(&mut texts.variables).zip(&mut own_number);
        for ((_, variable), place) in wanted {
            let text = variable.text.as_mut_ptr();
            texts.environment.insert(spawn.environment.len(), text.cast_const().cast());
            *place = text.wrapping_add(variable.digits);
        }
        Plan {
            spawn,
            parent: getpid(),
            arguments: texts.arguments.as_ptr(),
            environment: texts.environment.as_ptr(),
            own_number,
            failure: None,
            tolerated: Tolerated::NONE,
            begun: false,
            enters_group: spawn.cgroup.is_some(),
            helper: None,
        }
    }
}
