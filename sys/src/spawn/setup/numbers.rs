//! What a process is given by a number.

use super::{Action, call};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use service::setup::{IoClass, Policy, Resource};
use std::ffi::c_int;

/// Of the process that calls (ioprio_set(2)).
const IOPRIO_WHO_PROCESS: i64 = 1;
/// Where the class stands in the priority of I/O (ioprio_set(2)).
const IOPRIO_CLASS_SHIFT: u32 = 13;

pub(super) fn nice(value: i32) -> Action {
    let who = i64::from(libc::PRIO_PROCESS);
    Box::new(move || call::numbers(libc::SYS_setpriority, [who, 0, i64::from(value)]).map(drop))
}

pub(super) fn io_priority(class: IoClass, level: u8) -> Action {
    let class: i64 = match class {
        IoClass::RealTime => 1,
        IoClass::BestEffort => 2,
        IoClass::Idle => 3,
    };
    let priority = class << IOPRIO_CLASS_SHIFT | i64::from(level);
    Box::new(move || call::numbers(libc::SYS_ioprio_set, [IOPRIO_WHO_PROCESS, 0, priority]).map(drop))
}

pub(super) fn scheduler(policy: Policy, priority: u8) -> Action {
    let policy = match policy {
        Policy::Other => libc::SCHED_OTHER,
        Policy::Batch => libc::SCHED_BATCH,
        Policy::Idle => libc::SCHED_IDLE,
        Policy::Fifo => libc::SCHED_FIFO,
        Policy::RoundRobin => libc::SCHED_RR,
    };
    // struct sched_param is the priority alone.
    let parameter = c_int::from(priority);
    Box::new(move || {
        let arguments = [0, policy.unsigned_abs() as usize, (&raw const parameter).addr(), 0, 0];
        // SAFETY: `parameter` lives in this closure.
        unsafe { call::call(libc::SYS_sched_setscheduler, arguments) }.map(drop)
    })
}

pub(super) fn affinity(processors: &[u16]) -> Action {
    let most = processors.iter().copied().max().unwrap_or(0);
    // The kernel reads whole words.
    let mut mask = vec![0_u64; usize::from(most) / 64 + 1];
    for processor in processors {
        if let Some(word) = mask.get_mut(usize::from(*processor) / 64) {
            *word |= 1 << (processor % 64);
        }
    }
    Box::new(move || {
        let arguments = [0, size_of_val(mask.as_slice()), mask.as_ptr().addr(), 0, 0];
        // SAFETY: `mask` lives in this closure, and is as long as is said.
        unsafe { call::call(libc::SYS_sched_setaffinity, arguments) }.map(drop)
    })
}

pub(super) fn oom_score(value: i32) -> Result<Action, Errno> {
    let text = super::text(&value.to_string())?;
    Ok(Box::new(move || {
        // A child of CLONE_VFORK changes its own alone (proc(5)), although it shares the memory.
        let file = open(c"/proc/self/oom_score_adj", OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty())?;
        nix::unistd::write(&file, text.as_bytes()).map(drop)
    }))
}

pub(super) fn limit(resource: Resource, soft: u64, hard: u64) -> Action {
    // struct rlimit64, in which RLIM64_INFINITY is all ones.
    let limit = [soft, hard];
    let number = resource_number(resource);
    Box::new(move || {
        let arguments = [0, number, (&raw const limit).addr(), 0, 0];
        // SAFETY: `limit` lives in this closure.
        unsafe { call::call(libc::SYS_prlimit64, arguments) }.map(drop)
    })
}

/// The kernel's number of a resource (setrlimit(2)), of a type that differs between C libraries.
fn resource_number(resource: Resource) -> usize {
    let number = match resource {
        Resource::As => libc::RLIMIT_AS,
        Resource::Core => libc::RLIMIT_CORE,
        Resource::Cpu => libc::RLIMIT_CPU,
        Resource::Data => libc::RLIMIT_DATA,
        Resource::Fsize => libc::RLIMIT_FSIZE,
        Resource::Locks => libc::RLIMIT_LOCKS,
        Resource::Memlock => libc::RLIMIT_MEMLOCK,
        Resource::Msgqueue => libc::RLIMIT_MSGQUEUE,
        Resource::Nice => libc::RLIMIT_NICE,
        Resource::Nofile => libc::RLIMIT_NOFILE,
        Resource::Nproc => libc::RLIMIT_NPROC,
        Resource::Rss => libc::RLIMIT_RSS,
        Resource::Rtprio => libc::RLIMIT_RTPRIO,
        Resource::Rttime => libc::RLIMIT_RTTIME,
        Resource::Sigpending => libc::RLIMIT_SIGPENDING,
        Resource::Stack => libc::RLIMIT_STACK,
    };
    usize::try_from(number).unwrap_or(usize::MAX)
}
