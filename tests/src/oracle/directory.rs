//! Service directories, written once for both sides.

use crate::fixture::Fixture;

/// What every script begins with: `note WORDS…` tells the trace, as one line.
const PRELUDE: &str = "note() { echo \"$*\" >> @T/trace; }\n";

/// A `run` that stays until it is signalled.
pub const STAYS: &str = "note run\nexec sleep 1000";

/// The same, and says that it was stopped.
pub const POLITE: &str = "trap 'note term; exit 0' TERM\nnote run\nwhile :; do sleep 0.01; done";

/// What neither TERM nor anything else but KILL ends.
pub const STUBBORN: &str = "trap 'note term' TERM\nnote run\nwhile :; do sleep 0.01; done";

/// A `run` that ends so many times in the way of `end`, and stays then: how soon it is started again, and how late we
/// look, is all one.
#[must_use]
pub fn ends(times: u32, end: &str) -> String {
    format!("echo >> @T/ends\nnote run\n[ $(wc -l < @T/ends) -gt {times} ] && exec sleep 1000\n{end}")
}

/// A service directory in the making.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    files: Vec<(String, String, bool)>,
    logger: bool,
    init: bool,
}

/// A directory whose `run` is this script.
#[must_use]
pub fn directory(run: &str) -> Directory {
    Directory::default().script("run", run)
}

impl Directory {
    /// Adds a script, which can say `note`.
    #[must_use]
    pub fn script(mut self, name: &str, text: &str) -> Directory {
        self.files.push((name.to_owned(), format!("#!/bin/sh\n{PRELUDE}{text}\n"), true));
        self
    }

    /// Adds any other file.
    #[must_use]
    pub fn file(mut self, name: &str, text: &str) -> Directory {
        self.files.push((name.to_owned(), text.to_owned(), false));
        self
    }

    /// Without this file.
    #[must_use]
    pub fn without(mut self, name: &str) -> Directory {
        self.files.retain(|(file, ..)| file != name);
        self
    }

    /// It is the `log` of a service, and what is played with.
    #[must_use]
    pub fn logger(self) -> Directory {
        Directory { logger: true, ..self }
    }

    /// Ours runs under init, and can be asked with all of `svctl`.
    #[must_use]
    pub fn under_init(self) -> Directory {
        Directory { init: true, ..self }
    }

    pub(super) fn is_under_init(&self) -> bool {
        self.init
    }

    pub(super) fn is_logger(&self) -> bool {
        self.logger
    }

    /// Puts it down as the service `a` of a new fixture, or as that service's logger.
    #[must_use]
    pub fn fixture(&self) -> Fixture {
        let mut fixture = Fixture::new().directory("a");
        std::fs::create_dir(fixture.path("services/a")).unwrap();
        if self.logger {
            fixture = fixture.run("exec sleep 1000");
        }
        for (name, text, script) in &self.files {
            let name = if self.logger { format!("log/{name}") } else { name.clone() };
            fixture = if *script {
                fixture.executable(&name, text)
            } else {
                fixture.file(&format!("services/a/{name}"), text)
            };
        }
        // What comes from the directory `a/log` is called so here.
        if self.logger { fixture.directory("a-log") } else { fixture }
    }
}
