//! A filter as a program of classic BPF: the processor's conventions, then the rules about arguments, then the list of
//! what is allowed.

use super::{ARCHITECTURE, Instruction, Rule, answer};
use std::collections::BTreeSet;

/// `BPF_LD | BPF_W | BPF_ABS`.
pub(super) const LOAD: u16 = 0x20;
/// `BPF_ALU | BPF_AND | BPF_K`.
pub(super) const AND: u16 = 0x54;
/// `BPF_RET | BPF_K`.
pub(super) const RETURN: u16 = 0x06;
/// `BPF_JMP | BPF_JEQ | BPF_K`.
pub(super) const IF_EQUAL: u16 = 0x15;
/// `BPF_JMP | BPF_JGT | BPF_K`.
pub(super) const IF_MORE: u16 = 0x25;
/// `BPF_JMP | BPF_JGE | BPF_K`.
pub(super) const IF_AT_LEAST: u16 = 0x35;
/// `BPF_JMP | BPF_JSET | BPF_K`.
pub(super) const IF_ANY: u16 = 0x45;

/// As many instructions does the kernel take (`BPF_MAXINSNS`).
pub const INSTRUCTIONS_MAX: usize = 4096;

/// Calls by x32's conventions have this bit (x86_64 only).
const X32: u32 = 0x4000_0000;

const EPERM: u32 = 1;

/// What becomes of a call that is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Otherwise {
    /// It fails with EPERM.
    #[default]
    Error,
    /// The process is killed, by SIGSYS.
    Kill,
    /// It is made, and noted in the kernel's log.
    Log,
}

impl Otherwise {
    /// All of them, as people write them.
    pub const WORDS: [&str; 3] = ["error", "kill", "log"];

    /// The one called `word`.
    #[must_use]
    pub fn parse(word: &str) -> Option<Otherwise> {
        match word {
            "error" => Some(Otherwise::Error),
            "kill" => Some(Otherwise::Kill),
            "log" => Some(Otherwise::Log),
            _ => None,
        }
    }

    fn answer(self) -> u32 {
        match self {
            Otherwise::Error => answer::ERROR | EPERM,
            Otherwise::Kill => answer::KILL,
            Otherwise::Log => answer::LOG,
        }
    }
}

/// A filter of system calls.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Filter {
    /// What may be called; none is everything that the rules leave.
    pub allowed: Option<BTreeSet<u32>>,
    /// What is refused, by what it is called with.
    pub rules: Vec<Rule>,
    /// What becomes of what may not be called.
    pub otherwise: Otherwise,
}

impl Filter {
    /// Whether it lets everything through.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.allowed.is_none() && self.rules.is_empty()
    }

    /// The program, a word an instruction.
    #[must_use]
    pub fn program(&self) -> Vec<u64> {
        let plain = |code, value| Instruction { code, yes: 0, no: 0, value };
        let load_number = plain(LOAD, 0);
        let denied = plain(RETURN, self.otherwise.answer());
        let allow = plain(RETURN, answer::ALLOW);
        let mut program = vec![
            plain(LOAD, 4),
            Instruction { code: IF_EQUAL, yes: 1, no: 0, value: ARCHITECTURE },
            // The numbers of other conventions mean other calls: whoever uses them wants to get by the filter.
            plain(RETURN, answer::KILL),
            load_number,
        ];
        if cfg!(target_arch = "x86_64") {
            program.push(Instruction { code: IF_AT_LEAST, yes: 0, no: 1, value: X32 });
            program.push(plain(RETURN, answer::ERROR | EPERM));
        }
        for (call, body) in self.rules.iter().flat_map(Rule::sections) {
            let Ok(length) = u8::try_from(body.len() + 1) else { continue };
            program.push(Instruction { code: IF_EQUAL, yes: 0, no: length, value: call });
            program.extend(body);
            program.push(load_number);
        }
        for (first, last) in self.allowed.iter().flat_map(ranges) {
            program.push(Instruction { code: IF_MORE, yes: 3, no: 0, value: last });
            program.push(Instruction { code: IF_AT_LEAST, yes: 0, no: 1, value: first });
            program.push(allow);
            program.push(denied);
        }
        program.push(if self.allowed.is_some() { denied } else { allow });
        program.into_iter().map(Instruction::word).collect()
    }
}

/// Numbers in a row, as the first and the last of each.
fn ranges(numbers: &BTreeSet<u32>) -> Vec<(u32, u32)> {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => ranges.push((*number, *number)),
        }
    }
    ranges
}
