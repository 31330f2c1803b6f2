//! What a definition's steps amount to.

#![allow(clippy::wildcard_enum_match_arm, reason = "each look is for a few kinds of steps among many")]

use super::Standing;
use crate::calls::{Call, answer, answer_of, table};
use service::Definition;
use service::definition::Process;
use service::setup::{Namespace, Setup, Step};

/// `CAP_CHOWN`, `CAP_DAC_OVERRIDE`, `CAP_DAC_READ_SEARCH`, `CAP_FOWNER`, `CAP_FSETID`, `CAP_SETGID` and `CAP_SETUID`.
const OF_FILES: u64 = 0b1_1111 | 1 << 6 | 1 << 7;

/// A definition, looked at.
pub(super) struct Look<'a> {
    process: &'a Process,
}

impl<'a> Look<'a> {
    pub(super) fn new(definition: &'a Definition) -> Look<'a> {
        Look { process: &definition.process }
    }

    /// The best of the steps that do it.
    pub(super) fn done_by(&self, does: impl Fn(&Setup) -> bool) -> Standing {
        let standing = |step: &Step| if step.lenient { Standing::Unsure } else { Standing::Closed };
        let found = self.process.setup.iter().filter(|step| does(&step.setup)).map(standing);
        found.min_by_key(|standing| standing.halves()).unwrap_or(Standing::Open)
    }

    /// Whether it has a namespace of its own.
    pub(super) fn apart(&self, kind: Namespace) -> Standing {
        match self.process.namespaces.iter().find(|apart| apart.kind == kind) {
            Some(apart) if apart.lenient => Standing::Unsure,
            Some(_) => Standing::Closed,
            None => Standing::Open,
        }
    }

    /// Whether it is not root: another user, or one that is root only among its own and is somebody else outside.
    pub(super) fn not_root(&self) -> Standing {
        best([self.another_user(), self.elsewhere()])
    }

    fn another_user(&self) -> Standing {
        self.done_by(|setup| match setup {
            Setup::Credentials(who) => who.user != "root" && who.user != "0",
            _ => false,
        })
    }

    /// Whether its users are others outside: without a map all are who they are, and files are theirs and their root's as
    /// before (user_namespaces(7)); with one root may be among them.
    fn elsewhere(&self) -> Standing {
        let mut users = self.process.user_map.iter().filter_map(|line| line.strip_prefix("u ")).peekable();
        let root = |line: &str| line.split(' ').nth(1) == Some("0");
        if users.peek().is_none() || users.any(root) { Standing::Open } else { self.apart(Namespace::User) }
    }

    /// Whether it lacks all of these capabilities.
    pub(super) fn lacks(&self, capabilities: u64) -> Standing {
        let bounded = self.done_by(|setup| matches!(setup, Setup::Bounding(set) if set & capabilities == 0));
        // Who is not root has those that it was left.
        let left = self.process.setup.iter().any(|step| match step.setup {
            Setup::Ambient(set) => set & capabilities != 0,
            _ => false,
        });
        // A user namespace leaves none outside but those on the files of whoever is in it.
        let apart = if capabilities & OF_FILES == 0 { self.apart(Namespace::User) } else { self.elsewhere() };
        if left { bounded } else { best([bounded, self.another_user(), apart]) }
    }

    /// Whether what may be done in a place is restricted.
    pub(super) fn read_only(&self, place: &str) -> Standing {
        self.done_by(|setup| match setup {
            Setup::Remount { target, flags, .. } => flags.read_only && (target == place || target == "/"),
            _ => false,
        })
    }

    /// Whether exactly this place is read-only, which a system that is so leaves out.
    pub(super) fn read_only_itself(&self, place: &str) -> Standing {
        self.done_by(|setup| match setup {
            Setup::Remount { target, flags, .. } => flags.read_only && target == place,
            _ => false,
        })
    }

    pub(super) fn hidden(&self, place: &str) -> Standing {
        self.done_by(|setup| matches!(setup, Setup::Hide { path, .. } if path == place))
    }

    /// Whether something of its own is mounted there.
    pub(super) fn own(&self, place: &str) -> Standing {
        self.done_by(|setup| match setup {
            Setup::Mount { target, .. } | Setup::Bind { target, .. } => target == place,
            _ => false,
        })
    }

    /// Whether it runs from a root of its own.
    pub(super) fn root(&self) -> Standing {
        self.done_by(|setup| matches!(setup, Setup::Root(_)))
    }

    /// Whether a call is refused, when it is made like this.
    pub(super) fn refused(&self, name: &str, arguments: [u64; 6]) -> Standing {
        match table::number(name) {
            Some(number) => self.refused_number(number, arguments),
            // This processor has no such call.
            None => Standing::Closed,
        }
    }

    pub(super) fn refused_number(&self, number: u32, arguments: [u64; 6]) -> Standing {
        let call = Call::new(number, arguments);
        self.done_by(|setup| match setup {
            Setup::Seccomp(program) => {
                answer_of(program, &call).is_some_and(|answer| !matches!(answer, answer::ALLOW | answer::LOG))
            }
            _ => false,
        })
    }

    /// Whether every call of a set is refused.
    pub(super) fn refused_set(&self, set: &str) -> Standing {
        let calls = table::set(set).unwrap_or_default();
        worst(calls.into_iter().map(|call| self.refused(call, [0; 6])))
    }

    /// Whether no socket of a family can be made.
    pub(super) fn no_family(&self, family: u64) -> Standing {
        self.refused("socket", [family, 0, 0, 0, 0, 0])
    }
}

/// One is enough.
pub(super) fn best(standings: impl IntoIterator<Item = Standing>) -> Standing {
    standings.into_iter().min_by_key(|standing| standing.halves()).unwrap_or(Standing::Open)
}

/// All are needed.
pub(super) fn worst(standings: impl IntoIterator<Item = Standing>) -> Standing {
    standings.into_iter().max_by_key(|standing| standing.halves()).unwrap_or(Standing::Open)
}
