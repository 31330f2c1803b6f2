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
    ("ended", None, false),
    ("name", None, true),
    ("image", None, true),
    ("env", Some('e'), true),
    ("env-file", None, true),
    ("as-user", None, true),
    ("directory", None, true),
    ("volume", Some('v'), true),
    ("limit", None, true),
    ("property", Some('p'), true),
    ("restart", None, true),
    ("label", None, true),
    ("rm", None, false),
    ("reset", None, false),
    ("now", None, false),
    ("with-log", None, false),
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

    /// Every value given for an option, in order.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<&str>, Failure> {
        let values = self.options.iter().filter(|(given, _)| *given == name).map(|(_, value)| value);
        let wrong = || Failure::usage(format!("the value of --{name} is not UTF-8"));
        values.map(|value| value.to_str().ok_or_else(wrong)).collect()
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
                let word = utf8(word)?;
                match given.verb {
                    // The provisioner understands its own.
                    None if word == "image" => {
                        given.verb = Some(word);
                        let rest = parser.raw_args().map_err(|error| Failure::usage(error.to_string()))?;
                        given.rest = rest.collect();
                    }
                    None => given.verb = Some(word),
                    // Whatever follows the command's first word is the command's.
                    Some(ref verb) if verb == "run" => {
                        given.names.push(word);
                        let rest = parser.raw_args().map_err(|error| Failure::usage(error.to_string()))?;
                        for word in rest {
                            given.names.push(utf8(word)?);
                        }
                    }
                    Some(_) => given.names.push(word),
                }
                continue;
            }
            // A service has a user; which init is meant stands before the verb.
            Some(Arg::Long("user")) if given.verb.as_deref() == Some("run") => option("as-user")?,
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

fn utf8(word: OsString) -> Result<String, Failure> {
    word.into_string().map_err(|_| Failure::usage("an argument is not UTF-8"))
}

fn option(name: &str) -> Result<(&'static str, Option<char>, bool), Failure> {
    OPTIONS.iter().find(|(known, ..)| *known == name).copied().ok_or_else(|| {
        let suggestion = nearest(name, OPTIONS.iter().map(|(name, ..)| *name))
            .map(|name| format!(" (did you mean \"--{name}\"?)"))
            .unwrap_or_default();
        Failure::usage(format!("unknown option --{}{suggestion}", name.escape_debug()))
    })
}
