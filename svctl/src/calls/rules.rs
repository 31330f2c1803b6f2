//! Rules that look at the arguments of calls, each a few instructions that answer or let the rest of the filter decide.

use super::filter::{AND, IF_ANY, IF_EQUAL, LOAD, RETURN};
use super::table::number;
use super::{Instruction, answer};

const EPERM: u32 = 1;
const ENOSYS: u32 = 38;
const EAFNOSUPPORT: u32 = 97;

/// The bits of a mode by which a program gains another's rights: set-user-ID and set-group-ID.
const SET_ID: u32 = 0o6000;
/// Flags of open(2) with which its mode counts: `O_CREAT`, and `__O_TMPFILE`.
const CREATING: u32 = 0o100 | 0x40_0000;
/// The flags of clone(2) and unshare(2) that make namespaces; that of time is for unshare alone.
const NAMESPACES: u32 = 0x7e02_0000;
const TIME_NAMESPACE: u32 = 0x80;
/// `PROT_WRITE`, `PROT_EXEC` (mmap(2)).
const WRITE: u32 = 2;
const EXECUTE: u32 = 4;
/// `SHM_EXEC` (shmat(2)).
const SHM_EXECUTE: u32 = 0o100_000;
/// `READ_IMPLIES_EXEC` (personality(2)).
const READ_IMPLIES_EXECUTE: u32 = 0x40_0000;
/// `SCHED_RESET_ON_FORK` (sched(7)).
const RESET_ON_FORK: u32 = 0x4000_0000;

/// What a process may not do, whichever calls it may make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Sockets of other families than these (socket(2)).
    Families(Vec<u32>),
    /// Files that give a user's or a group's rights to who executes them.
    SetIdFiles,
    /// New namespaces, and entering others.
    Namespaces,
    /// Memory that is, or becomes, executable and can be written.
    WriteExecute,
    /// Real-time scheduling.
    RealTime,
    /// Other execution domains (personality(2)).
    Personality,
    /// Calls as a whole.
    Calls(Vec<u32>),
}

impl Rule {
    /// The calls that it looks at, and what it does with each.
    pub(super) fn sections(&self) -> Vec<(u32, Vec<Instruction>)> {
        match self {
            Rule::Families(families) => {
                let body = one_of(0, families, EAFNOSUPPORT);
                let mut sections = named(&["socket", "socketpair"], &body);
                // It makes sockets too, and no filter sees that.
                sections.extend(named(&["io_uring_setup"], &refuse(EPERM)));
                sections
            }
            Rule::SetIdFiles => set_id_files(),
            Rule::Namespaces => {
                let mut sections = named(&["clone"], &any(0, NAMESPACES));
                sections.extend(named(&["unshare"], &any(0, NAMESPACES | TIME_NAMESPACE)));
                sections.extend(named(&["setns"], &refuse(EPERM)));
                // Its flags are out of sight. Libraries fall back to clone.
                sections.extend(named(&["clone3"], &refuse(ENOSYS)));
                sections
            }
            Rule::WriteExecute => {
                let mut sections = named(&["mmap"], &all(2, WRITE | EXECUTE));
                sections.extend(named(&["mprotect", "pkey_mprotect"], &any(2, EXECUTE)));
                sections.extend(named(&["shmat"], &any(2, SHM_EXECUTE)));
                // In that domain whatever can be read can be executed. All ones ask for the domain.
                let mut body = vec![load(0), Instruction { code: IF_EQUAL, yes: 2, no: 0, value: u32::MAX }];
                body.push(Instruction { code: IF_ANY, yes: 0, no: 1, value: READ_IMPLIES_EXECUTE });
                body.extend(refuse(EPERM));
                sections.extend(named(&["personality"], &body));
                sections
            }
            Rule::RealTime => {
                let mut body = vec![load(1), Instruction { code: AND, yes: 0, no: 0, value: !RESET_ON_FORK }];
                body.extend(one_of_loaded(&[0, 3, 5], EPERM));
                let mut sections = named(&["sched_setscheduler"], &body);
                sections.extend(named(&["sched_setattr"], &refuse(EPERM)));
                sections
            }
            Rule::Personality => named(&["personality"], &one_of(0, &[0, u32::MAX], EPERM)),
            Rule::Calls(calls) => calls.iter().map(|call| (*call, refuse(EPERM))).collect(),
        }
    }
}

fn set_id_files() -> Vec<(u32, Vec<Instruction>)> {
    let mut sections = Vec::new();
    for (calls, mode) in [
        (&["chmod", "fchmod", "creat", "mkdir", "mknod"][..], 1),
        (&["fchmodat", "fchmodat2", "mkdirat", "mknodat"][..], 2),
    ] {
        sections.extend(named(calls, &any(mode, SET_ID)));
    }
    for (call, flags) in [("open", 1), ("openat", 2)] {
        // The mode stands after the flags, and counts only with some of them.
        let mut body = vec![load(flags), Instruction { code: IF_ANY, yes: 0, no: 3, value: CREATING }];
        body.extend(any(flags + 1, SET_ID));
        sections.extend(named(&[call], &body));
    }
    // Its mode is out of sight. Libraries fall back to openat.
    sections.extend(named(&["openat2"], &refuse(ENOSYS)));
    // It opens files and makes directories too, and no filter sees with which mode.
    sections.extend(named(&["io_uring_setup"], &refuse(EPERM)));
    sections
}

fn named(calls: &[&str], body: &[Instruction]) -> Vec<(u32, Vec<Instruction>)> {
    calls.iter().filter_map(|call| Some((number(call)?, body.to_vec()))).collect()
}

/// Loads the low half of an argument.
fn load(argument: u32) -> Instruction {
    Instruction { code: LOAD, yes: 0, no: 0, value: 16 + 8 * argument }
}

fn refuse(errno: u32) -> Vec<Instruction> {
    vec![Instruction { code: RETURN, yes: 0, no: 0, value: answer::ERROR | errno }]
}

/// Refuses if the argument has any of these bits.
fn any(argument: u32, bits: u32) -> Vec<Instruction> {
    let mut body = vec![load(argument), Instruction { code: IF_ANY, yes: 0, no: 1, value: bits }];
    body.extend(refuse(EPERM));
    body
}

/// Refuses if the argument has all of these bits.
fn all(argument: u32, bits: u32) -> Vec<Instruction> {
    let mut body = vec![
        load(argument),
        Instruction { code: AND, yes: 0, no: 0, value: bits },
        Instruction { code: IF_EQUAL, yes: 0, no: 1, value: bits },
    ];
    body.extend(refuse(EPERM));
    body
}

/// Refuses unless the argument is one of these.
fn one_of(argument: u32, values: &[u32], errno: u32) -> Vec<Instruction> {
    let mut body = vec![load(argument)];
    body.extend(one_of_loaded(values, errno));
    body
}

fn one_of_loaded(values: &[u32], errno: u32) -> Vec<Instruction> {
    // As many are passed over as come after it, and the refusal too.
    let left = |index: usize| u8::try_from(values.len() - index).unwrap_or(u8::MAX);
    let compare = |(index, value): (usize, &u32)| Instruction {
        code: IF_EQUAL,
        yes: left(index),
        no: 0,
        value: *value,
    };
    let mut body: Vec<Instruction> = values.iter().enumerate().map(compare).collect();
    body.extend(refuse(errno));
    body
}
