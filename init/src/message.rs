//! Messages for the console and the kernel's log.

use std::fs::File;
use std::io::Write;

/// How much a message matters: the kernel's numbers (syslog(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Error = 3,
    Warning = 4,
    Notice = 5,
    Info = 6,
    Debug = 7,
}

impl Level {
    /// The level called `word`, or with its number.
    pub(crate) fn parse(word: &str) -> Option<Level> {
        let all = [
            ("error", Level::Error),
            ("warning", Level::Warning),
            ("notice", Level::Notice),
            ("info", Level::Info),
            ("debug", Level::Debug),
        ];
        all.into_iter()
            .find(|(name, level)| *name == word || (*level as u8).to_string() == word)
            .map(|(_, level)| level)
    }

    /// What a line begins with where its level is not shown otherwise.
    fn prefix(self) -> &'static str {
        match self {
            Level::Error => "error: ",
            Level::Warning => "warning: ",
            Level::Notice | Level::Info | Level::Debug => "",
        }
    }
}

/// Where messages go: the kernel's log, which shows them on the console, or standard error without one.
pub(crate) struct Messages {
    kernel: Option<File>,
    pub(crate) limit: Level,
}

impl Messages {
    pub(crate) fn new() -> Messages {
        Messages { kernel: None, limit: Level::Info }
    }

    /// Those of a child of ours, to the same place.
    pub(crate) fn for_child() -> Messages {
        let mut messages = Messages::new();
        messages.use_kernel_log();
        messages
    }

    /// Uses the kernel's log from now on, if it can be written.
    pub(crate) fn use_kernel_log(&mut self) {
        self.kernel = File::options().write(true).open("/dev/kmsg").ok();
    }

    /// Says something. Whether that works is nobody's concern.
    pub(crate) fn say(&mut self, level: Level, text: &str) {
        if level > self.limit {
            return;
        }
        let prefix = level.prefix();
        if let Some(kernel) = &mut self.kernel {
            // One write is one record, and the newline ends it: without one the kernel shows it only when
            // the next has come. The facility is that of daemons.
            let record = format!("<{}>init: {prefix}{text}\n", 3 << 3 | level as u8);
            if kernel.write_all(record.as_bytes()).is_ok() {
                return;
            }
        }
        // Nobody may be reading; PID 1 waits for nobody.
        sys::fd::write_if_ready(std::io::stderr(), format!("init: {prefix}{text}\n").as_bytes());
    }

    pub(crate) fn error(&mut self, text: &str) {
        self.say(Level::Error, text);
    }

    pub(crate) fn warning(&mut self, text: &str) {
        self.say(Level::Warning, text);
    }

    pub(crate) fn notice(&mut self, text: &str) {
        self.say(Level::Notice, text);
    }

    pub(crate) fn info(&mut self, text: &str) {
        self.say(Level::Info, text);
    }
}

/// A system error in words, without its number.
pub(crate) fn reason(error: &std::io::Error) -> String {
    error.raw_os_error().map_or_else(|| error.to_string(), |number| sys::errno_text(number).to_owned())
}
