//! What a definition asks for between clone and exec, made ready for one start: users looked up, steps that a failure
//! is told by, the descriptors that are files.

use crate::launch::{Launched, Surroundings, reason};
use crate::supervisor::Supervisor;
use service::Definition;
use service::accounts::{self, Identity};
use service::setup::{Credentials, Setup, Stage, Step};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use sys::spawn::setup::{Failure, Prepared};

/// Where a machine has its users.
const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";

/// What a program is to its service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It is the service.
    Main,
    /// It serves it: a script, a check. It is the same user's and has the same limits (as systemd has it, systemd.exec(5)),
    /// but not the service's namespaces, its files and its filter, nor its control group.
    Helper,
}

/// Steps that are ready.
#[derive(Debug)]
pub(crate) struct Ready {
    steps: Vec<Step>,
    pub(crate) prepared: Prepared,
    /// What the environment has of the user, below all that the definition says.
    pub(crate) variables: Vec<(String, String)>,
}

/// Makes the steps of a definition ready; none if there are none.
pub(crate) fn ready(definition: &Definition, role: Role) -> Result<Option<Ready>, String> {
    let mut steps: Vec<Step> = definition
        .process
        .setup
        .iter()
        .filter(|step| role == Role::Main || shared(&step.setup))
        .cloned()
        .collect();
    if steps.is_empty() {
        return Ok(None);
    }
    // An image may name a user, and the definition another over it, which comes later.
    let last = steps.iter().rposition(|step| matches!(step.setup, Setup::Credentials(_)));
    let mut index = 0;
    steps.retain(|step| {
        index += 1;
        !matches!(step.setup, Setup::Credentials(_)) || last == Some(index - 1)
    });
    let mut variables = Vec::new();
    for step in &mut steps {
        if let Setup::Credentials(wanted) = &step.setup {
            let identity = find(wanted)?;
            variables = identity.variables();
            step.setup = Setup::Credentials(identity.credentials());
        }
    }
    steps.retain(|step| !matches!(&step.setup, Setup::Credentials(wanted) if are_ours(wanted)));
    let prepared = Prepared::new(&steps).map_err(|failure| told(&steps, failure))?;
    Ok(Some(Ready { steps, prepared, variables }))
}

/// Whether a step is one of those that a service's helpers take too.
fn shared(setup: &Setup) -> bool {
    let own = matches!(setup, Setup::Terminal | Setup::WorkingDirectory(_) | Setup::Landlock(_));
    matches!(setup.stage(), Stage::Numbers | Stage::Place | Stage::Rights) && !own
}

/// Looks up whose a process is to be, in the files as they are now.
pub(crate) fn find(wanted: &Credentials) -> Result<Identity, String> {
    let read = |path: &str| match std::fs::read(path) {
        Ok(text) => Ok(String::from_utf8_lossy(&text).into_owned()),
        // Numbers do without.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(format!("unable to read {path}: {}", reason(&error))),
    };
    accounts::identity(wanted, &read(PASSWD)?, &read(GROUP)?)
        .map_err(|why| format!("unable to {}: {why}", Setup::Credentials(wanted.clone())))
}

/// Whether that is who we are, without the right to be anybody else.
fn are_ours(wanted: &Credentials) -> bool {
    let (user, group) = sys::process::identity();
    user != 0 && wanted.user == user.to_string() && wanted.group == Some(group.to_string())
}

fn told(steps: &[Step], failure: Failure) -> String {
    let step = steps.get(failure.index).map(|step| step.setup.to_string()).unwrap_or_default();
    format!("unable to {step}: {}", failure.errno.desc())
}

impl Ready {
    /// What is said of a step that has failed.
    pub(crate) fn told(&self, failure: Failure) -> String {
        told(&self.steps, failure)
    }

    /// Whether the program is looked for in another tree of files than ours.
    pub(crate) fn elsewhere(&self) -> bool {
        self.steps.iter().any(|step| step.setup.stage() == Stage::Files)
    }
}

/// Whether nobody but root and we can make and move files in a directory.
fn is_ours(directory: &Path) -> bool {
    let (user, _) = sys::process::identity();
    std::fs::metadata(directory)
        .is_ok_and(|found| [0, user].contains(&found.uid()) && found.mode() & 0o022 == 0)
}

/// The files that are a main process's standard descriptors.
#[derive(Debug, Default)]
pub(crate) struct Files {
    input: Option<OwnedFd>,
    output: Option<OwnedFd>,
    error: Option<OwnedFd>,
}

impl Files {
    /// Opens them; nothing is waited for, be it a reader of a FIFO or the carrier of a line.
    pub(crate) fn open(definition: &Definition) -> Result<Files, String> {
        let process = &definition.process;
        let open = |path: &String, options: &mut std::fs::OpenOptions| -> Result<OwnedFd, String> {
            // We may open more than the service may: where it can put links, they lead nowhere.
            let followed = is_ours(Path::new(path).parent().unwrap_or(Path::new("/")));
            let flags = if followed { 0 } else { sys::fd::OPEN_NO_LINK };
            let opened = options.custom_flags(sys::fd::OPEN_AT_ONCE | flags).open(path).map(OwnedFd::from);
            let opened = opened.and_then(|file| sys::fd::set_blocking(&file).map(|()| file));
            let is_link = || std::fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
            opened.map_err(|error| {
                let why = if !followed && is_link() {
                    "it is a link, in a directory where others can make some".to_owned()
                } else {
                    reason(&error)
                };
                format!("unable to open {path}: {why}")
            })
        };
        if let Some(terminal) = &process.terminal {
            let terminal = open(terminal, File::options().read(true).write(true))?;
            let output =
                terminal.try_clone().map_err(|error| format!("unable to begin: {}", reason(&error)))?;
            return Ok(Files { input: Some(terminal), output: Some(output), error: None });
        }
        let input = process.input.as_ref().map(|path| open(path, File::options().read(true)));
        let append = |path: &String| open(path, File::options().append(true).create(true).mode(0o640));
        let output = process.output.as_ref().map(append);
        let error = process.error.as_ref().map(append);
        Ok(Files { input: input.transpose()?, output: output.transpose()?, error: error.transpose()? })
    }

    /// As which descriptors the process gets them.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = (BorrowedFd<'_>, i32)> {
        let input = self.input.iter().map(|file| (file.as_fd(), 0));
        let output = self.output.iter().map(|file| (file.as_fd(), 1));
        let error = self.error.as_ref().or(self.output.as_ref());
        input.chain(output).chain(error.map(|file| (file.as_fd(), 2)))
    }
}

impl Supervisor {
    /// Starts a program, and tells what it has to do without.
    pub(crate) fn launch(
        &self,
        definition: &Definition,
        command: &[String],
        surroundings: &Surroundings<'_>,
    ) -> Result<sys::spawn::Child, String> {
        let Launched { child, without } = crate::launch::start(definition, command, surroundings)?;
        for problem in without {
            self.say(&format!("warning: {problem} (going on without)"));
        }
        Ok(child)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(steps: &[&str]) -> Definition {
        let mut definition = Definition::new("a", "/a");
        definition.process.setup = steps.iter().map(|text| text.parse().unwrap()).collect();
        definition
    }

    #[test]
    fn a_definition_without_attributes_has_nothing_made_ready() {
        assert!(ready(&definition(&[]), Role::Main).unwrap().is_none());
        assert!(ready(&definition(&["working-directory /"]), Role::Helper).unwrap().is_none());
    }

    #[test]
    fn the_user_that_is_named_last_counts() {
        let two = ["credentials 4711 4711 yes", "credentials 4712 4713 yes 7", "no-new-privileges"];
        let ready = ready(&definition(&two), Role::Main).unwrap().unwrap();
        let steps: Vec<String> = ready.steps.iter().map(ToString::to_string).collect();
        assert_eq!(steps, ["credentials 4712 4713 yes 7 4713", "no-new-privileges"]);
    }

    #[test]
    fn what_serves_a_service_has_its_user_and_limits_and_not_its_files() {
        let all = ["nice 3", "terminal", "working-directory /x", "umask 7", "no-new-privileges"];
        let ready = ready(&definition(&all), Role::Helper).unwrap().unwrap();
        let steps: Vec<String> = ready.steps.iter().map(ToString::to_string).collect();
        assert_eq!(steps, ["nice 3", "umask 7", "no-new-privileges"]);
    }
}
