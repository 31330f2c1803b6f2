//! Filters of system calls (seccomp(2)): from named sets and rules to a program of classic BPF, and what such a program
//! answers. The kernel is given the program as it stands in the compiled definition: no table of calls is in a supervisor.

pub mod filter;
mod rules;
pub mod table;
#[cfg(test)]
mod tests;

pub use filter::{Filter, Otherwise};
pub use rules::Rule;

/// What a filter answers, in the high half: the low half is the errno (seccomp(2)).
pub mod answer {
    /// The process ends, by SIGSYS.
    pub const KILL: u32 = 0x8000_0000;
    /// The call fails, with this errno.
    pub const ERROR: u32 = 0x0005_0000;
    /// The call is made, and noted in the kernel's log.
    pub const LOG: u32 = 0x7ffc_0000;
    /// The call is made.
    pub const ALLOW: u32 = 0x7fff_0000;
}

/// A system call as a filter sees it (`struct seccomp_data`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// Its number.
    pub number: u32,
    /// By which processor's conventions.
    pub architecture: u32,
    /// Its arguments.
    pub arguments: [u64; 6],
}

/// The conventions of this processor, `AUDIT_ARCH_…` (linux/audit.h).
pub const ARCHITECTURE: u32 = if cfg!(target_arch = "aarch64") { 0xc000_00b7 } else { 0xc000_003e };

impl Call {
    /// One of this processor's.
    #[must_use]
    pub fn new(number: u32, arguments: [u64; 6]) -> Call {
        Call { number, architecture: ARCHITECTURE, arguments }
    }

    /// The word at a place of the structure, as the processor has it: the low half of an argument first.
    fn word(&self, offset: u32) -> Option<u32> {
        let half =
            |value: u64, high: bool| u32::try_from(if high { value >> 32 } else { value & 0xffff_ffff }).ok();
        match offset {
            0 => Some(self.number),
            4 => Some(self.architecture),
            16.. if offset.is_multiple_of(4) => {
                let argument = self.arguments.get(usize::try_from((offset - 16) / 8).ok()?)?;
                half(*argument, offset % 8 == 4)
            }
            _ => None,
        }
    }
}

/// What a program answers to a call; none if it is no program that a kernel would take.
#[must_use]
pub fn answer_of(program: &[u64], call: &Call) -> Option<u32> {
    let mut accumulator = 0;
    let mut at = 0;
    loop {
        let Instruction { code, yes, no, value } = Instruction::from_word(*program.get(at)?);
        at += 1;
        let jump = |holds: bool| usize::from(if holds { yes } else { no });
        match code {
            filter::LOAD => accumulator = call.word(value)?,
            filter::AND => accumulator &= value,
            filter::RETURN => return Some(value),
            filter::IF_EQUAL => at += jump(accumulator == value),
            filter::IF_MORE => at += jump(accumulator > value),
            filter::IF_AT_LEAST => at += jump(accumulator >= value),
            filter::IF_ANY => at += jump(accumulator & value != 0),
            _ => return None,
        }
    }
}

/// An instruction (`struct sock_filter`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instruction {
    pub(crate) code: u16,
    pub(crate) yes: u8,
    pub(crate) no: u8,
    pub(crate) value: u32,
}

impl Instruction {
    /// As a word of a definition: the code in the low bits, the value in the high ones.
    pub(crate) fn word(self) -> u64 {
        u64::from(self.code)
            | u64::from(self.yes) << 16
            | u64::from(self.no) << 24
            | u64::from(self.value) << 32
    }

    fn from_word(word: u64) -> Instruction {
        let [a, b, yes, no, rest @ ..] = word.to_le_bytes();
        Instruction { code: u16::from_le_bytes([a, b]), yes, no, value: u32::from_le_bytes(rest) }
    }
}
