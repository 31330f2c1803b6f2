//! The compiled form: one `key value` line per fact, defaults left out where they are many.

use super::{Condition, Definition, EnvironmentLayer, Kind, ReadyMethod, Restart, RestartWhen, Scope, Stop};
use crate::codec::{Writer, pairs, unescape};
use crate::signal::Signal;
use std::fmt;
use std::time::Duration;

/// The first line of a compiled definition; the number is its version.
pub const HEADER: &str = "mainstay-definition 1";

/// Why a compiled definition could not be read.
#[derive(Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The first line is not [`HEADER`]: another version wrote it.
    Version(String),
    /// This line's key is unknown, or its value is not of the key's form.
    Line(String),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecodeError::Version(found) => {
                write!(f, "compiled by another version: expected \"{HEADER}\", found \"{found}\"")
            }
            DecodeError::Line(line) => write!(f, "unreadable line \"{line}\""),
        }
    }
}

impl std::error::Error for DecodeError {}

impl Kind {
    /// The word people write.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Kind::Longrun => "longrun",
            Kind::Oneshot => "oneshot",
            Kind::Bundle => "bundle",
        }
    }

    /// The kind called `word`.
    #[must_use]
    pub fn parse(word: &str) -> Option<Kind> {
        [Kind::Longrun, Kind::Oneshot, Kind::Bundle].into_iter().find(|kind| kind.word() == word)
    }
}

impl RestartWhen {
    /// The word people write.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            RestartWhen::Always => "always",
            RestartWhen::OnFailure => "on-failure",
            RestartWhen::Never => "never",
        }
    }

    /// The policy called `word`.
    #[must_use]
    pub fn parse(word: &str) -> Option<RestartWhen> {
        [RestartWhen::Always, RestartWhen::OnFailure, RestartWhen::Never]
            .into_iter()
            .find(|w| w.word() == word)
    }
}

impl Scope {
    /// The word people write.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Scope::Main => "main",
            Scope::Group => "group",
        }
    }

    /// The scope called `word`.
    #[must_use]
    pub fn parse(word: &str) -> Option<Scope> {
        [Scope::Main, Scope::Group].into_iter().find(|scope| scope.word() == word)
    }
}

impl Definition {
    /// The compiled form.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = Writer::new(HEADER);
        out.line("name", &self.name);
        out.line("kind", self.kind.word());
        out.line("directory", &self.directory);
        out.line("description", &self.description);
        out.lines("argument", &self.command);
        out.line("working-directory", &self.working_directory);
        out.line("finish", self.finish);
        out.lines("requires", &self.requires);
        out.lines("wants", &self.wants);
        out.lines("after", &self.after);
        out.lines("before", &self.before);
        out.lines("contents", &self.contents);
        out.line("autostart", self.autostart);
        for condition in &self.conditions {
            match condition {
                Condition::Executable(program) => out.line("condition-executable", program),
                Condition::Path(path) => out.line("condition-path", path),
                Condition::KernelArgument(word) => out.line("condition-kernel-argument", word),
            }
        }
        for layer in &self.environment {
            match layer {
                EnvironmentLayer::File { path, optional: true } => {
                    out.line("environment-optional-file", path);
                }
                EnvironmentLayer::File { path, optional: false } => out.line("environment-file", path),
                EnvironmentLayer::Set { key, value } => {
                    out.line("environment", format_args!("{key}={value}"));
                }
            }
        }
        self.encode_ready(&mut out);
        encode_restart(&self.restart, &mut out);
        if let Some(timeout) = self.start_timeout {
            out.line("start-timeout", timeout.as_millis());
        }
        encode_stop(&self.stop, &mut out);
        out.line("log-size", self.log.size);
        out.line("log-keep", self.log.keep);
        out.finish()
    }

    fn encode_ready(&self, out: &mut Writer) {
        match &self.ready.method {
            ReadyMethod::Immediate => {}
            ReadyMethod::Descriptor(number) => out.line("ready-descriptor", number),
            ReadyMethod::Command { command, interval } => {
                out.line("ready-interval", interval.as_millis());
                out.lines("ready-argument", command);
            }
        }
        if let Some(timeout) = self.ready.timeout {
            out.line("ready-timeout", timeout.as_millis());
        }
        out.line("ready-restart-when-overdue", self.ready.restart_when_overdue);
    }

    /// Reads the compiled form.
    ///
    /// # Errors
    /// [`DecodeError`] if another version wrote it, or a line cannot be read.
    pub fn decode(text: &str) -> Result<Definition, DecodeError> {
        let header = text.lines().next().unwrap_or_default();
        if header != HEADER {
            return Err(DecodeError::Version(header.to_owned()));
        }
        let mut definition = Definition::new("", "");
        for (key, escaped) in pairs(text).skip(1) {
            let value = unescape(escaped);
            definition.set(key, value).ok_or_else(|| DecodeError::Line(format!("{key} {escaped}")))?;
        }
        Ok(definition)
    }

    fn set(&mut self, key: &str, value: String) -> Option<()> {
        match key {
            "name" => self.name = value,
            "kind" => self.kind = Kind::parse(&value)?,
            "directory" => self.directory = value,
            "description" => self.description = value,
            "argument" => self.command.push(value),
            "working-directory" => self.working_directory = value,
            "finish" => self.finish = value.parse().ok()?,
            "requires" => self.requires.push(value),
            "wants" => self.wants.push(value),
            "after" => self.after.push(value),
            "before" => self.before.push(value),
            "contents" => self.contents.push(value),
            "autostart" => self.autostart = value.parse().ok()?,
            "condition-executable" => self.conditions.push(Condition::Executable(value)),
            "condition-path" => self.conditions.push(Condition::Path(value)),
            "condition-kernel-argument" => self.conditions.push(Condition::KernelArgument(value)),
            "environment-file" => self.add_file(value, false),
            "environment-optional-file" => self.add_file(value, true),
            "environment" => {
                let (key, value) = value.split_once('=')?;
                self.environment.push(EnvironmentLayer::Set { key: key.to_owned(), value: value.to_owned() });
            }
            "start-timeout" => self.start_timeout = Some(milliseconds(&value)?),
            "log-size" => self.log.size = value.parse().ok()?,
            "log-keep" => self.log.keep = value.parse().ok()?,
            _ => return self.set_ready(key, value),
        }
        Some(())
    }

    fn add_file(&mut self, path: String, optional: bool) {
        self.environment.push(EnvironmentLayer::File { path, optional });
    }

    fn set_ready(&mut self, key: &str, value: String) -> Option<()> {
        match key {
            "ready-descriptor" => self.ready.method = ReadyMethod::Descriptor(value.parse().ok()?),
            "ready-interval" => {
                let interval = milliseconds(&value)?;
                self.ready.method = ReadyMethod::Command { command: Vec::new(), interval };
            }
            "ready-argument" => match &mut self.ready.method {
                ReadyMethod::Command { command, .. } => command.push(value),
                ReadyMethod::Immediate | ReadyMethod::Descriptor(_) => return None,
            },
            "ready-timeout" => self.ready.timeout = Some(milliseconds(&value)?),
            "ready-restart-when-overdue" => self.ready.restart_when_overdue = value.parse().ok()?,
            _ => {
                return set_restart(&mut self.restart, key, &value)
                    .or_else(|| set_stop(&mut self.stop, key, &value));
            }
        }
        Some(())
    }
}

fn encode_restart(restart: &Restart, out: &mut Writer) {
    out.line("restart-when", restart.when.word());
    out.line("restart-delay", restart.delay.as_millis());
    out.line("restart-max-delay", restart.max_delay.as_millis());
    out.line("restart-reset-after", restart.reset_after.as_millis());
    out.line("restart-give-up-deaths", restart.give_up_deaths);
    out.line("restart-give-up-within", restart.give_up_within.as_millis());
}

fn set_restart(restart: &mut Restart, key: &str, value: &str) -> Option<()> {
    match key {
        "restart-when" => restart.when = RestartWhen::parse(value)?,
        "restart-delay" => restart.delay = milliseconds(value)?,
        "restart-max-delay" => restart.max_delay = milliseconds(value)?,
        "restart-reset-after" => restart.reset_after = milliseconds(value)?,
        "restart-give-up-deaths" => restart.give_up_deaths = value.parse().ok()?,
        "restart-give-up-within" => restart.give_up_within = milliseconds(value)?,
        _ => return None,
    }
    Some(())
}

fn encode_stop(stop: &Stop, out: &mut Writer) {
    out.line("stop-signal", stop.signal);
    out.line("stop-timeout", stop.timeout.as_millis());
    out.line("stop-scope", stop.scope.word());
    if let Some(signal) = stop.halt_signal {
        out.line("stop-halt-signal", signal);
    }
    out.line("stop-halt-timeout", stop.halt_timeout.as_millis());
    out.line("stop-reload-signal", stop.reload_signal);
}

fn set_stop(stop: &mut Stop, key: &str, value: &str) -> Option<()> {
    match key {
        "stop-signal" => stop.signal = Signal::parse(value)?,
        "stop-timeout" => stop.timeout = milliseconds(value)?,
        "stop-scope" => stop.scope = Scope::parse(value)?,
        "stop-halt-signal" => stop.halt_signal = Some(Signal::parse(value)?),
        "stop-halt-timeout" => stop.halt_timeout = milliseconds(value)?,
        "stop-reload-signal" => stop.reload_signal = Signal::parse(value)?,
        _ => return None,
    }
    Some(())
}

fn milliseconds(value: &str) -> Option<Duration> {
    value.parse().ok().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::{Log, Ready};

    fn full() -> Definition {
        Definition {
            kind: Kind::Oneshot,
            description: "two\nlines \\ and a backslash".to_owned(),
            command: vec!["sh".to_owned(), "-c".to_owned(), "echo a  b\n".to_owned(), String::new()],
            requires: vec!["network".to_owned()],
            wants: vec!["b".to_owned()],
            after: vec!["c".to_owned(), "d".to_owned()],
            conditions: vec![Condition::Path("/x y".to_owned()), Condition::Executable("z".to_owned())],
            environment: vec![
                EnvironmentLayer::Set { key: "A".to_owned(), value: "1=2".to_owned() },
                EnvironmentLayer::File { path: "/etc/default/x".to_owned(), optional: true },
            ],
            ready: Ready {
                method: ReadyMethod::Command {
                    command: vec!["probe".to_owned()],
                    interval: Duration::from_millis(50),
                },
                timeout: Some(Duration::from_secs(300)),
                restart_when_overdue: true,
            },
            restart: Restart { when: RestartWhen::OnFailure, give_up_deaths: 3, ..Restart::default() },
            start_timeout: Some(Duration::from_secs(60)),
            stop: Stop { halt_signal: Some(Signal::USR1), scope: Scope::Group, ..Stop::default() },
            log: Log { size: 4096, keep: 2 },
            finish: true,
            ..Definition::new("full", "/etc/services.d/full")
        }
    }

    #[test]
    fn a_definition_comes_back_from_its_compiled_form() {
        for definition in [full(), Definition::new("plain", "/d")] {
            assert_eq!(Definition::decode(&definition.encode()), Ok(definition));
        }
    }

    #[test]
    fn another_version_is_told_apart() {
        let text = full().encode().replace("mainstay-definition 1", "mainstay-definition 2");
        assert_eq!(Definition::decode(&text), Err(DecodeError::Version("mainstay-definition 2".to_owned())));
        assert_eq!(Definition::decode(""), Err(DecodeError::Version(String::new())));
    }

    #[test]
    fn an_unknown_or_malformed_line_is_named() {
        for bad in ["colour blue", "stop-signal NOSUCH", "ready-argument x", "log-size many"] {
            let text = format!("{HEADER}\n{bad}\n");
            assert_eq!(Definition::decode(&text), Err(DecodeError::Line(bad.to_owned())));
        }
    }
}
