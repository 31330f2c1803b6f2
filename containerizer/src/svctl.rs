//! `svctl`, executed.

use crate::error::{Error, Result};
use crate::report::{self, Part};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Which program is used in its place, if it is set.
pub const OVERRIDE: &str = "EXTERNAL_CONTAINERIZER_SVCTL";

/// It is there, and does not run.
pub const FAILED: i32 = 1;
/// It has not started in time.
pub const TIMED_OUT: i32 = 99;
/// There is no service of this name.
pub const NO_SUCH_SERVICE: i32 = 3;
/// There is one of this name.
pub const EXISTS: i32 = 4;

/// The program.
#[derive(Clone, Debug)]
pub struct Svctl(PathBuf);

/// What became of a call.
#[derive(Clone, Debug)]
pub struct Called {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// What it wrote.
    pub output: String,
    /// What it said, in one line.
    pub said: String,
}

impl Called {
    /// What it wrote, if all went well.
    ///
    /// # Errors
    ///
    /// What it said otherwise, as why `what` could not be done.
    pub fn ok(self, what: &str) -> Result<String> {
        if self.code == Some(0) { Ok(self.output) } else { Err(self.error(what)) }
    }

    /// Why `what` could not be done.
    #[must_use]
    pub fn error(&self, what: &str) -> Error {
        match (self.said.as_str(), self.code) {
            ("", Some(code)) => Error::during(what, format_args!("svctl exited with {code}")),
            ("", None) => Error::during(what, "svctl was killed"),
            (said, _) => Error::during(what, said),
        }
    }
}

impl Svctl {
    /// The one that is said, else beside this program, else in `PATH`.
    #[must_use]
    pub fn find(said: Option<&str>, own: &Path) -> Svctl {
        let beside = || Some(own.with_file_name("svctl")).filter(|path| path.exists());
        Svctl(said.map(PathBuf::from).or_else(beside).unwrap_or_else(|| PathBuf::from("svctl")))
    }

    /// Executes it, and waits for its end.
    ///
    /// # Errors
    ///
    /// If it cannot be executed.
    pub fn call<W: AsRef<str>>(&self, words: &[W]) -> Result<Called> {
        let done = Command::new(&self.0)
            .args(words.iter().map(AsRef::as_ref))
            .stdin(Stdio::null())
            .output()
            .map_err(|error| Error::during(format_args!("execute {}", self.0.display()), error))?;
        let said = String::from_utf8_lossy(&done.stderr);
        let said: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        Ok(Called {
            code: done.status.code(),
            output: String::from_utf8_lossy(&done.stdout).into_owned(),
            said: said.join("; "),
        })
    }

    /// All containers of the agent with this work directory.
    ///
    /// # Errors
    ///
    /// If it does not tell.
    pub fn parts(&self, work: &str) -> Result<Vec<Part>> {
        report::parts(&self.call(&["containers", "--json"])?.ok("ask for the containers")?, work)
    }

    /// Ends services, forgets them, and takes away all that is theirs. There need not be any of these names.
    ///
    /// # Errors
    ///
    /// If one of them is still there.
    pub fn destroy(&self, names: &[&str]) -> Result<()> {
        let words: Vec<&str> =
            ["destroy", "--now", "--with-log"].into_iter().chain(names.iter().copied()).collect();
        let called = self.call(&words)?;
        if called.code == Some(NO_SUCH_SERVICE) { Ok(()) } else { called.ok("destroy it").map(drop) }
    }
}
