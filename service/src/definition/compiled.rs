//! The compiled form: one `key value` line per fact, defaults left out where they are many.

use super::{
    Condition, Definition, EnvironmentLayer, Health, Kind, NotifyFrom, ReadyMethod, Restart, RestartWhen,
    Scope, Stop, Style,
};
use crate::codec::{Writer, pairs, unescape};
use crate::signal::Signal;
use std::fmt;
use std::time::Duration;

/// The first line of a compiled definition; the number is its version.
pub const HEADER: &str = "mainstay-definition 3";

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
            Scope::Cgroup => "cgroup",
        }
    }

    /// The scope called `word`.
    #[must_use]
    pub fn parse(word: &str) -> Option<Scope> {
        [Scope::Main, Scope::Group, Scope::Cgroup].into_iter().find(|scope| scope.word() == word)
    }
}

impl Style {
    /// The word people write.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Style::Mainstay => "mainstay",
            Style::S6 => "s6",
            Style::Runit => "runit",
        }
    }

    /// The style called `word`.
    #[must_use]
    pub fn parse(word: &str) -> Option<Style> {
        [Style::Mainstay, Style::S6, Style::Runit].into_iter().find(|style| style.word() == word)
    }
}

impl NotifyFrom {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            NotifyFrom::Main => "main",
            NotifyFrom::All => "all",
        }
    }

    /// What `word` means.
    #[must_use]
    pub fn parse(word: &str) -> Option<NotifyFrom> {
        [NotifyFrom::Main, NotifyFrom::All].into_iter().find(|from| from.word() == word)
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
        out.line("style", self.style.word());
        out.lines("instance", &self.instance);
        out.lines("down-argument", &self.down_command);
        out.line("finish", self.finish);
        out.line("finish-timeout", self.finish_timeout.unwrap_or_default().as_millis());
        out.lines("requires", &self.requires);
        out.lines("wants", &self.wants);
        out.lines("after", &self.after);
        out.lines("before", &self.before);
        out.lines("conflicts", &self.conflicts);
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
        self.encode_running(&mut out);
        out.line("log-size", self.log.size);
        out.line("log-keep", self.log.keep);
        out.finish()
    }

    /// What concerns it while it runs.
    fn encode_running(&self, out: &mut Writer) {
        out.lines("reload-argument", &self.reload_command);
        out.line("reload-timeout", self.reload_timeout.as_millis());
        if let Some(health) = &self.health {
            out.line("health-interval", health.interval.as_millis());
            out.line("health-timeout", health.timeout.as_millis());
            out.line("health-threshold", health.threshold);
            out.line("health-restart", health.restart);
            out.lines("health-argument", &health.command);
        }
        if let Some(watchdog) = self.watchdog {
            out.line("watchdog", watchdog.as_millis());
        }
        out.lines("control", &self.controls);
        out.lines("output-to", &self.output_to);
        out.line("reads-pipe", self.reads_pipe);
        out.lines("lock-descriptor", self.lock_descriptor);
        out.line("inherit", self.inherit);
        self.process.encode(out);
        out.lines("socket", &self.sockets);
        if self.start_on_connection {
            out.line("start-on-connection", true);
        }
        out.lines("prepare-argument", &self.prepare_command);
        if let Some(timeout) = self.prepare_timeout {
            out.line("prepare-timeout", timeout.as_millis());
        }
        out.lines("settle-argument", &self.settle_command);
        if let Some(image) = &self.image {
            image.encode(out);
        }
    }

    fn encode_ready(&self, out: &mut Writer) {
        match &self.ready.method {
            ReadyMethod::Immediate => {}
            ReadyMethod::Descriptor(number) => out.line("ready-descriptor", number),
            ReadyMethod::Notify(from) => out.line("ready-notify", from.word()),
            ReadyMethod::Command { command, interval } => {
                out.line("ready-interval", interval.as_millis());
                out.lines("ready-argument", command);
                out.line("ready-probe-timeout", self.ready.probe_timeout.unwrap_or_default().as_millis());
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
            "style" => self.style = Style::parse(&value)?,
            "instance" => self.instance = Some(value),
            "down-argument" => self.down_command.push(value),
            "finish-timeout" => self.finish_timeout = limit(&value)?,
            "finish" => self.finish = value.parse().ok()?,
            "requires" => self.requires.push(value),
            "wants" => self.wants.push(value),
            "after" => self.after.push(value),
            "before" => self.before.push(value),
            "conflicts" => self.conflicts.push(value),
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
            _ => return self.set_running(key, value),
        }
        Some(())
    }

    fn set_running(&mut self, key: &str, value: String) -> Option<()> {
        match key {
            "reload-argument" => self.reload_command.push(value),
            "reload-timeout" => self.reload_timeout = milliseconds(&value)?,
            "watchdog" => self.watchdog = Some(milliseconds(&value)?),
            "control" => self.controls.push(value),
            "output-to" => self.output_to = Some(value),
            "reads-pipe" => self.reads_pipe = value.parse().ok()?,
            "lock-descriptor" => self.lock_descriptor = Some(value.parse().ok()?),
            "socket" => self.sockets.push(value.parse().ok()?),
            "start-on-connection" => self.start_on_connection = value.parse().ok()?,
            "prepare-argument" => self.prepare_command.push(value),
            "settle-argument" => self.settle_command.push(value),
            "prepare-timeout" => self.prepare_timeout = Some(milliseconds(&value)?),
            "inherit" => self.inherit = value.parse().ok()?,
            key if key.starts_with("image-") => {
                return self.image.get_or_insert_default().set(key, value);
            }
            key if key.starts_with("health-") => {
                return set_health(self.health.get_or_insert_default(), key, value);
            }
            _ => return self.set_ready(key, value.clone()).or_else(|| self.process.set(key, value)),
        }
        Some(())
    }

    fn add_file(&mut self, path: String, optional: bool) {
        self.environment.push(EnvironmentLayer::File { path, optional });
    }

    fn set_ready(&mut self, key: &str, value: String) -> Option<()> {
        match key {
            "ready-descriptor" => self.ready.method = ReadyMethod::Descriptor(value.parse().ok()?),
            "ready-notify" => self.ready.method = ReadyMethod::Notify(NotifyFrom::parse(&value)?),
            "ready-interval" => {
                let interval = milliseconds(&value)?;
                self.ready.method = ReadyMethod::Command { command: Vec::new(), interval };
            }
            "ready-argument" => match &mut self.ready.method {
                ReadyMethod::Command { command, .. } => command.push(value),
                ReadyMethod::Immediate | ReadyMethod::Descriptor(_) | ReadyMethod::Notify(_) => return None,
            },
            "ready-probe-timeout" => self.ready.probe_timeout = limit(&value)?,
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

fn set_health(health: &mut Health, key: &str, value: String) -> Option<()> {
    match key {
        "health-interval" => health.interval = milliseconds(&value)?,
        "health-timeout" => health.timeout = milliseconds(&value)?,
        "health-threshold" => health.threshold = value.parse().ok()?,
        "health-restart" => health.restart = value.parse().ok()?,
        "health-argument" => health.command.push(value),
        _ => return None,
    }
    Some(())
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
    out.line("stop-timeout", stop.timeout.unwrap_or_default().as_millis());
    out.line("stop-scope", stop.scope.word());
    out.line("stop-kill-scope", stop.kill_scope.word());
    if let Some(signal) = stop.halt_signal {
        out.line("stop-halt-signal", signal);
    }
    out.line("stop-halt-by-end-of-input", stop.halt_by_end_of_input);
    out.line("stop-halt-timeout", stop.halt_timeout.as_millis());
    out.line("stop-reload-signal", stop.reload_signal);
}

fn set_stop(stop: &mut Stop, key: &str, value: &str) -> Option<()> {
    match key {
        "stop-signal" => stop.signal = Signal::parse(value)?,
        "stop-timeout" => stop.timeout = limit(value)?,
        "stop-scope" => stop.scope = Scope::parse(value)?,
        "stop-kill-scope" => stop.kill_scope = Scope::parse(value)?,
        "stop-halt-by-end-of-input" => stop.halt_by_end_of_input = value.parse().ok()?,
        "stop-halt-signal" => stop.halt_signal = Some(Signal::parse(value)?),
        "stop-halt-timeout" => stop.halt_timeout = milliseconds(value)?,
        "stop-reload-signal" => stop.reload_signal = Signal::parse(value)?,
        _ => return None,
    }
    Some(())
}

/// A duration of which zero is none.
fn limit(value: &str) -> Option<Option<Duration>> {
    milliseconds(value).map(|duration| Some(duration).filter(|duration| !duration.is_zero()))
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
                probe_timeout: None,
            },
            restart: Restart { when: RestartWhen::OnFailure, give_up_deaths: 3, ..Restart::default() },
            start_timeout: Some(Duration::from_secs(60)),
            stop: Stop { halt_signal: Some(Signal::USR1), scope: Scope::Group, ..Stop::default() },
            log: Log { size: 4096, keep: 2 },
            finish: true,
            style: Style::Runit,
            instance: Some("ttyS0".to_owned()),
            down_command: vec!["undo".to_owned()],
            finish_timeout: None,
            conflicts: vec!["other".to_owned()],
            reload_command: vec!["again".to_owned(), "x".to_owned()],
            health: Some(Health { command: vec!["look".to_owned()], threshold: 2, ..Health::default() }),
            watchdog: Some(Duration::from_secs(30)),
            controls: vec!["t".to_owned()],
            output_to: Some("logger".to_owned()),
            reads_pipe: true,
            lock_descriptor: Some(7),
            process: crate::definition::process::full(),
            sockets: crate::definition::sockets::full(),
            start_on_connection: true,
            prepare_command: vec!["fetch".to_owned()],
            prepare_timeout: Some(Duration::from_secs(9)),
            settle_command: vec!["settle".to_owned()],
            image: Some(crate::definition::image::full()),
            inherit: true,
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
        let text = full().encode().replace("mainstay-definition 3", "mainstay-definition 2");
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
