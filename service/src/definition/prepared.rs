//! What the command that prepares a start leaves for it: the root it has made, and what an image says of its process.

use super::{Apart, Definition, EnvironmentLayer};
use crate::codec::{Writer, pairs, unescape};
use crate::setup::{Namespace, Step, order};
use crate::signal::Signal;

/// The first line of the text; the number is its version.
const HEADER: &str = "mainstay-prepared 1";

/// What was prepared for the next start. It is written to `prepared` in the service's directory below `/run`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Prepared {
    /// The program and its arguments, if they are not those of the definition.
    pub command: Vec<String>,
    /// Variables below those of the definition.
    pub environment: Vec<(String, String)>,
    /// Where it is run, if the definition does not say.
    pub working_directory: Option<String>,
    /// Steps before those of the same stage of the definition.
    pub setup: Vec<Step>,
    /// Namespaces besides those of the definition.
    pub namespaces: Vec<Namespace>,
    /// The signal that stops it, if the definition does not say.
    pub stop_signal: Option<Signal>,
    /// The root, as it is seen outside.
    pub root: String,
    /// What it was made from, for people: a reference and a digest.
    pub origin: String,
}

impl Prepared {
    /// The text.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = Writer::new(HEADER);
        out.line("root", &self.root);
        out.line("origin", &self.origin);
        out.lines("argument", &self.command);
        for (key, value) in &self.environment {
            out.line("environment", format_args!("{key}={value}"));
        }
        out.lines("working-directory", &self.working_directory);
        out.lines("setup", &self.setup);
        out.lines("namespace", self.namespaces.iter().map(|kind| kind.word()));
        out.lines("stop-signal", self.stop_signal);
        out.finish()
    }

    /// Reads the text; none if another version wrote it, or a line cannot be read.
    #[must_use]
    pub fn decode(text: &str) -> Option<Prepared> {
        if text.lines().next() != Some(HEADER) {
            return None;
        }
        let mut prepared = Prepared::default();
        for (key, escaped) in pairs(text).skip(1) {
            prepared.set(key, unescape(escaped))?;
        }
        Some(prepared)
    }

    fn set(&mut self, key: &str, value: String) -> Option<()> {
        match key {
            "root" => self.root = value,
            "origin" => self.origin = value,
            "argument" => self.command.push(value),
            "environment" => {
                let (key, value) = value.split_once('=')?;
                self.environment.push((key.to_owned(), value.to_owned()));
            }
            "working-directory" => self.working_directory = Some(value),
            "setup" => self.setup.push(value.parse().ok()?),
            "namespace" => self.namespaces.push(Namespace::parse(&value)?),
            "stop-signal" => self.stop_signal = Some(Signal::parse(&value)?),
            _ => return None,
        }
        Some(())
    }

    /// The definition of the start that was prepared.
    #[must_use]
    pub fn apply(&self, definition: &Definition) -> Definition {
        let mut with = definition.clone();
        if !self.command.is_empty() {
            with.command.clone_from(&self.command);
        }
        let below = self.environment.iter().cloned().map(|(key, value)| EnvironmentLayer::Set { key, value });
        with.environment.splice(0..0, below);
        if let Some(directory) =
            self.working_directory.as_ref().filter(|_| definition.working_directory == "/")
        {
            with.working_directory.clone_from(directory);
        }
        with.process.setup.splice(0..0, self.setup.iter().cloned());
        order(&mut with.process.setup);
        for kind in &self.namespaces {
            // What was prepared is not done without, even if the definition has less to lose: the root would be the machine's.
            with.process.namespaces.retain(|apart| apart.kind != *kind);
            with.process.namespaces.push(Apart { kind: *kind, lenient: false });
        }
        if let Some(signal) = self.stop_signal.filter(|_| definition.stop.signal == Signal::TERM) {
            with.stop.signal = signal;
        }
        with
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::{Setup, Stage};

    fn prepared() -> Prepared {
        Prepared {
            command: vec!["/bin/x".to_owned(), "a b".to_owned()],
            environment: vec![("A".to_owned(), "1=2".to_owned()), ("B".to_owned(), "image".to_owned())],
            working_directory: Some("/work".to_owned()),
            setup: vec!["root /r".parse().unwrap(), "credentials 65534 65534 no".parse().unwrap()],
            namespaces: vec![Namespace::Mount],
            stop_signal: Some(Signal::QUIT),
            root: "/r".to_owned(),
            origin: "docker://x".to_owned(),
        }
    }

    #[test]
    fn what_was_prepared_comes_back_from_its_text() {
        assert_eq!(Prepared::decode(&prepared().encode()), Some(prepared()));
        assert_eq!(Prepared::decode(&prepared().encode().replace("prepared 1", "prepared 0")), None);
    }

    #[test]
    fn the_root_is_not_done_without_although_the_sandbox_may_be() {
        let mut definition = Definition::new("a", "/d");
        definition.process.setup = vec!["try-hide /root no".parse().unwrap(), "hostname h".parse().unwrap()];
        let lenient = |kind| Apart { kind, lenient: true };
        definition.process.namespaces = vec![lenient(Namespace::Mount), lenient(Namespace::Uts)];
        let (without, lacking) = prepared().apply(&definition).process.without_lenient().unwrap();
        assert_eq!(lacking, [Namespace::Uts]);
        assert_eq!(without.namespaces, [Apart { kind: Namespace::Mount, lenient: false }]);
        assert_eq!(without.setup[0].setup, Setup::Root("/r".to_owned()));
    }

    #[test]
    fn the_definition_wins_over_the_image_and_the_root_is_made_first() {
        let mut definition = Definition::new("a", "/d");
        definition.environment = vec![EnvironmentLayer::Set { key: "B".to_owned(), value: "own".to_owned() }];
        definition.process.setup = vec!["nice 3".parse().unwrap(), "hide /root no".parse().unwrap()];
        let with = prepared().apply(&definition);
        assert_eq!(with.command, prepared().command);
        assert_eq!(with.environment.last(), definition.environment.first());
        assert_eq!(with.working_directory, "/work");
        assert_eq!(with.stop.signal, Signal::QUIT);
        assert!(with.process.apart(Namespace::Mount));
        let stages: Vec<Stage> = with.process.setup.iter().map(|step| step.setup.stage()).collect();
        assert!(stages.is_sorted());
        assert_eq!(with.process.setup[1].setup, Setup::Root("/r".to_owned()));
    }
}
