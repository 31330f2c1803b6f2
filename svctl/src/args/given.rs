//! The words of a command line: which of them are options, and what was said with them.

use crate::exit::Failure;
use crate::suggest::nearest;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// An option: its long name, its letter, and whether a value follows.
const OPTIONS: &[(&str, Option<char>, bool)] = &[
    ("run", None, true),
    ("services", None, true),
    ("logs", None, true),
    ("user", None, false),
    ("help", Some('h'), false),
    ("version", Some('V'), false),
    ("json", None, false),
    ("plan", None, false),
    ("stage", None, false),
    ("wait", None, false),
    ("no-wait", None, false),
    ("timeout", Some('t'), true),
    ("follow", Some('f'), false),
    ("lines", Some('n'), true),
    ("root", None, true),
    ("no-programs", None, false),
    ("prober", None, true),
    ("instance", None, true),
    ("settings", None, true),
    ("signal", Some('s'), true),
    ("boot", None, false),
    ("status", None, true),
    ("once", None, false),
    ("append", None, true),
    ("expect-json", None, true),
    ("output", Some('o'), true),
    ("listen", None, false),
    ("idle", None, true),
    ("up", None, false),
    ("ready", None, false),
    ("down", None, false),
    ("done", None, false),
];

/// Everything on the command line, understood word by word.
#[derive(Debug, Default)]
pub(super) struct Given {
    pub(super) verb: Option<String>,
    pub(super) names: Vec<String>,
    pub(super) options: Vec<(&'static str, OsString)>,
    /// What another program understands.
    pub(super) rest: Vec<OsString>,
}

impl Given {
    pub(super) fn has(&self, name: &str) -> bool {
        self.options.iter().any(|(given, _)| *given == name)
    }

    /// The last value given for an option.
    pub(super) fn value(&self, name: &str) -> Option<&OsStr> {
        self.options.iter().rev().find(|(given, _)| *given == name).map(|(_, value)| value.as_os_str())
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, Failure> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let text = value.to_str();
        text.map(Some).ok_or_else(|| Failure::usage(format!("the value of --{name} is not UTF-8")))
    }

    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        self.value(name).map(PathBuf::from)
    }
}

pub(super) fn read(words: impl Iterator<Item = OsString>) -> Result<Given, Failure> {
    use lexopt::Arg;
    let mut given = Given::default();
    let mut parser = lexopt::Parser::from_args(words);
    loop {
        let found = match parser.next().map_err(|error| Failure::usage(error.to_string()))? {
            None => return Ok(given),
            Some(Arg::Value(word)) => {
                let word = word.into_string().map_err(|_| Failure::usage("an argument is not UTF-8"))?;
                match given.verb {
                    // The provisioner understands its own.
                    None if word == "image" => {
                        given.verb = Some(word);
                        let rest = parser.raw_args().map_err(|error| Failure::usage(error.to_string()))?;
                        given.rest = rest.collect();
                    }
                    None => given.verb = Some(word),
                    Some(_) => given.names.push(word),
                }
                continue;
            }
            // A probe's keys are called as they are in the page.
            Some(Arg::Long("json")) if given.verb.as_deref() == Some("probe") => option("expect-json")?,
            Some(Arg::Long(name)) => option(name)?,
            Some(Arg::Short(letter)) => {
                let known = OPTIONS.iter().find(|(_, known, _)| *known == Some(letter));
                known.copied().ok_or_else(|| Failure::usage(format!("unknown option -{letter}")))?
            }
        };
        let value = if found.2 {
            parser.value().map_err(|_| Failure::usage(format!("option --{} needs a value", found.0)))?
        } else {
            OsString::new()
        };
        given.options.push((found.0, value));
    }
}

fn option(name: &str) -> Result<(&'static str, Option<char>, bool), Failure> {
    OPTIONS.iter().find(|(known, ..)| *known == name).copied().ok_or_else(|| {
        let suggestion = nearest(name, OPTIONS.iter().map(|(name, ..)| *name))
            .map(|name| format!(" (did you mean \"--{name}\"?)"))
            .unwrap_or_default();
        Failure::usage(format!("unknown option --{}{suggestion}", name.escape_debug()))
    })
}
