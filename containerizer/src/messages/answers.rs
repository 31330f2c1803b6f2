//! What is answered.

use crate::wire::Writer;

/// What `wait` writes. Agents up to 0.25 require `killed` and `message`, and skip `state` and `reasons`, which later ones use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Termination {
    /// Whether it was ended for having exceeded a limit.
    pub killed: bool,
    /// For people.
    pub message: String,
    /// How the process ended, as waitpid(2) says it.
    pub status: Option<i32>,
    /// What is said of tasks that had not ended.
    pub state: TaskState,
    /// Why.
    pub reason: Reason,
}

/// The values of `TaskState` that are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskState {
    /// `TASK_FAILED`.
    Failed = 3,
    /// `TASK_KILLED`.
    Killed = 4,
}

/// The values of `TaskStatus.Reason` that are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// `REASON_EXECUTOR_TERMINATED`.
    Terminated = 1,
    /// `REASON_CONTAINER_LIMITATION_MEMORY` (`REASON_MEMORY_LIMIT` up to 0.23).
    Memory = 8,
    /// `REASON_CONTAINER_LAUNCH_FAILED`, since 0.26.
    Launch = 21,
}

impl Termination {
    /// As it goes to the agent.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let message = Writer::default().number(1, u64::from(self.killed)).bytes(2, self.message.as_bytes());
        let message = match self.status {
            Some(status) => message.int32(3, status),
            None => message,
        };
        message.int32(4, self.state as i32).int32(5, self.reason as i32).finish()
    }
}

/// What `usage` writes. Fields above 12 are known from 0.21 on, some only later; agents before skip them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statistics {
    /// When it was measured, in seconds since 1970.
    pub timestamp: f64,
    /// Fields 2 and 3: time used by processors, in seconds.
    pub cpus_user: Option<f64>,
    /// By the system for it.
    pub cpus_system: Option<f64>,
    /// Field 4: how many processors it may use.
    pub cpus_limit: Option<f64>,
    /// Field 6: how much memory it may use, in bytes.
    pub mem_limit: Option<u64>,
    /// Fields 7 to 9: periods of the quota that went by, in which it had to wait, and how long in seconds.
    pub periods: Option<u64>,
    /// See `periods`.
    pub throttled: Option<u64>,
    /// See `periods`.
    pub throttled_time: Option<f64>,
    /// Field 10: cached files, in bytes.
    pub mem_file: Option<u64>,
    /// Fields 11 and 5: memory of its own, in bytes.
    pub mem_anon: Option<u64>,
    /// Field 12: files that it has mapped, in bytes.
    pub mem_mapped: Option<u64>,
    /// Field 30.
    pub processes: Option<u64>,
    /// Field 36: all memory, in bytes.
    pub mem_total: Option<u64>,
    /// Field 40: what of it is swapped out, in bytes.
    pub mem_swap: Option<u64>,
}

impl Statistics {
    /// As it goes to the agent.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let doubles = [
            (1, Some(self.timestamp)),
            (2, self.cpus_user),
            (3, self.cpus_system),
            (4, self.cpus_limit),
            (9, self.throttled_time),
        ];
        // Of 32 bits on the wire.
        let small = |value: Option<u64>| value.map(|value| value.min(u64::from(u32::MAX)));
        let numbers = [
            (5, self.mem_anon),
            (6, self.mem_limit),
            (7, small(self.periods)),
            (8, small(self.throttled)),
            (10, self.mem_file),
            (11, self.mem_anon),
            (12, self.mem_mapped),
            (30, small(self.processes)),
            (36, self.mem_total),
            (40, self.mem_swap),
        ];
        let mut message = Writer::default();
        for (number, value) in doubles {
            message = value.into_iter().fold(message, |message, value| message.double(number, value));
        }
        for (number, value) in numbers {
            message = value.into_iter().fold(message, |message, value| message.number(number, value));
        }
        message.finish()
    }
}

/// What `containers` writes.
pub fn containers<'a>(ids: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    let id =
        |message: Writer, id: &str| message.bytes(1, &Writer::default().bytes(1, id.as_bytes()).finish());
    ids.into_iter().fold(Writer::default(), id).finish()
}
