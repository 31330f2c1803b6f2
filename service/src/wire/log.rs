//! What the logger is told, and what it answers.

use std::fmt;

/// What init tells the logger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogCommand<'a> {
    /// Keep the log of this service. The read end of its pipe comes with the message; a service that is
    /// known already keeps its pipe and takes the new limits.
    Keep {
        /// The service.
        name: &'a str,
        /// Rotate `current` at this many bytes.
        size: u64,
        /// Keep this many rotated files.
        keep: u32,
    },
    /// Write what the pipe of this service still holds, forget it, and say so.
    Forget(&'a str),
    /// Write what the pipes still hold, make it durable, and exit.
    Finish,
}

impl<'a> LogCommand<'a> {
    /// Reads a message.
    #[must_use]
    pub fn parse(line: &'a str) -> Option<LogCommand<'a>> {
        if line == "finish" {
            return Some(LogCommand::Finish);
        }
        if let Some(name) = line.strip_prefix("forget ") {
            return Some(LogCommand::Forget(name));
        }
        let mut words = line.strip_prefix("keep ")?.split(' ');
        let (name, size, keep) = (words.next()?, words.next()?, words.next()?);
        Some(LogCommand::Keep { name, size: size.parse().ok()?, keep: keep.parse().ok()? })
    }
}

impl fmt::Display for LogCommand<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogCommand::Keep { name, size, keep } => write!(f, "keep {name} {size} {keep}"),
            LogCommand::Forget(name) => write!(f, "forget {name}"),
            LogCommand::Finish => f.write_str("finish"),
        }
    }
}

/// What the logger tells init.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogAnswer<'a> {
    /// What the pipe of this service held is written: its descriptors are of no use any more.
    Forgotten(&'a str),
}

impl<'a> LogAnswer<'a> {
    /// Reads a message.
    #[must_use]
    pub fn parse(line: &'a str) -> Option<LogAnswer<'a>> {
        line.strip_prefix("forgotten ").map(LogAnswer::Forgotten)
    }
}

impl fmt::Display for LogAnswer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogAnswer::Forgotten(name) => write!(f, "forgotten {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_and_answers_come_back_from_their_text() {
        for order in
            [LogCommand::Keep { name: "a", size: 1, keep: 2 }, LogCommand::Forget("a"), LogCommand::Finish]
        {
            assert_eq!(LogCommand::parse(&order.to_string()), Some(order));
        }
        let answer = LogAnswer::Forgotten("a");
        assert_eq!(LogAnswer::parse(&answer.to_string()), Some(answer));
        assert_eq!(LogAnswer::parse("forget a"), None);
    }
}
