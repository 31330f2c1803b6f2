//! Starting the service's programs: the main process, the finish script, the readiness command.

use crate::inherit::{self, Inherited};
use crate::namespaces::{self, Apart};
use crate::setup::{self, Files, Ready, Role};
use service::definition::{Definition, EnvironmentLayer};
use service::setup::Namespace;
use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::fs::Metadata;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use sys::record::Record;
use sys::spawn::setup::Failure;
use sys::spawn::{Child, Spawn, SpawnError, Step, spawn};

/// What every service's environment begins with.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What may be put around a program.
pub(crate) struct Surroundings<'a> {
    /// Where its standard input comes from.
    pub(crate) input: BorrowedFd<'a>,
    /// Where its standard output goes, if not where ours does.
    pub(crate) output: Option<BorrowedFd<'a>>,
    /// Descriptors it gets besides the standard ones, or in the place of one of them.
    pub(crate) extra: &'a [(BorrowedFd<'a>, i32)],
    /// Variables over those of the definition.
    pub(crate) variables: &'a [(&'static str, String)],
    /// Variables that are to hold its own number, with their `=`.
    pub(crate) own_number: &'a [&'a CStr],
    /// What it is to the service.
    pub(crate) role: Role,
    /// What it gets of what init was given, if it does.
    pub(crate) inherited: Option<&'a Inherited>,
    /// The control group that it enters.
    pub(crate) cgroup: Option<BorrowedFd<'a>>,
    /// Where it puts down its number before it begins, if it is to be found again.
    pub(crate) record: Option<Record<'a>>,
    /// Whether it is of no use to another supervisor, and is killed when this one is.
    pub(crate) ours_alone: bool,
}

/// A program that runs, and what it has to do without, in words.
pub(crate) struct Launched {
    pub(crate) child: Child,
    pub(crate) without: Vec<String>,
}

/// Starts `command` as the definition says; the problem is told in words.
pub(crate) fn start(
    definition: &Definition,
    command: &[String],
    surroundings: &Surroundings<'_>,
) -> Result<Launched, String> {
    let main = surroundings.role == Role::Main;
    let setup = setup::ready(definition, surroundings.role)?;
    let apart = if main { namespaces::ready(definition)? } else { Apart::default() };
    let environment = variables(definition, setup.as_ref(), surroundings)?;
    let name = command.first().ok_or("there is no command")?;
    let directory = Path::new(&definition.working_directory);
    let opened = if main { Files::open(definition)? } else { Files::default() };
    let path = environment.get("PATH").map_or(PATH, String::as_str);
    let elsewhere = setup.as_ref().is_some_and(Ready::elsewhere);
    let files =
        if elsewhere { candidates(name, directory, path) } else { vec![find(name, directory, path)?] };
    let c_files = files.iter().map(|path| c_path(path)).collect::<Result<Vec<CString>, String>>()?;
    let (file, others) = c_files.split_first().ok_or("PATH is empty")?;
    let arguments = c_strings(command.iter().cloned())?;
    let mut pairs = c_strings(environment.iter().map(|(key, value)| format!("{key}={value}")))?;
    if surroundings.inherited.is_some() {
        pairs.extend(inherit::environment(&environment));
    }
    let working_directory = c_path(directory)?;
    let owner = surroundings.inherited.and_then(Inherited::owner);
    let own_number: Vec<&CStr> = owner.into_iter().chain(surroundings.own_number.iter().copied()).collect();
    let started = spawn(&Spawn {
        environment: &pairs,
        directory: Some(&working_directory),
        descriptors: &descriptors(surroundings, &opened),
        session: inherit::session(surroundings.inherited.is_some()),
        own_number: &own_number,
        namespaces: &apart.kinds,
        users: apart.maps.as_ref(),
        cgroup: surroundings.cgroup,
        record: surroundings.record,
        dies_with_us: surroundings.ours_alone,
        setup: setup.as_ref().map(|setup| &setup.prepared),
        otherwise: others,
        ..Spawn::new(file, &arguments)
    });
    if let Err(SpawnError { step: Step::Namespace | Step::Users, errno }) = started
        && main
        && let Some(launched) = start_without_lenient(definition, command, surroundings, errno.desc())
    {
        return launched;
    }
    let told = |failure| setup.as_ref().map(|setup| setup.told(failure)).unwrap_or_default();
    let program = files.first().filter(|_| !elsewhere).map_or(Path::new(name), PathBuf::as_path);
    let child = started.map_err(|SpawnError { step, errno }| match step {
        Step::Execute => format!("unable to execute {}: {}", program.display(), errno.desc()),
        Step::Directory => format!("unable to enter {}: {}", directory.display(), errno.desc()),
        Step::Setup(index) => told(Failure { index, errno }),
        Step::Clone
        | Step::Namespace
        | Step::Users
        | Step::Session
        | Step::Descriptors
        | Step::Cgroup
        | Step::Record
        | Step::Parent => SpawnError { step, errno }.to_string(),
    })?;
    let without = child.without.iter().map(|failure| told(*failure)).collect();
    Ok(Launched { child, without })
}

/// The same once more, without the namespaces that the definition can do without; none if there are no such.
fn start_without_lenient(
    definition: &Definition,
    command: &[String],
    surroundings: &Surroundings<'_>,
    reason: &str,
) -> Option<Result<Launched, String>> {
    let (process, kinds) = definition.process.without_lenient()?;
    let lacking = |kind: &Namespace| format!("unable to make its own {} namespace: {reason}", kind.word());
    Some(start(&Definition { process, ..definition.clone() }, command, surroundings).map(|mut launched| {
        launched.without.extend(kinds.iter().map(lacking));
        launched
    }))
}

/// The definition's environment, below it what the setup says of its user, above it what the supervisor says.
fn variables(
    definition: &Definition,
    setup: Option<&Ready>,
    surroundings: &Surroundings<'_>,
) -> Result<BTreeMap<String, String>, String> {
    let mut environment = environment(definition)?;
    for (key, value) in setup.iter().flat_map(|setup| &setup.variables) {
        environment.entry(key.clone()).or_insert_with(|| value.clone());
    }
    environment.extend(surroundings.variables.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    Ok(environment)
}

/// What the program finds at which number: of two for the same one the later counts.
fn descriptors<'a>(surroundings: &Surroundings<'a>, opened: &'a Files) -> Vec<(BorrowedFd<'a>, i32)> {
    let [input, output, error] = sys::fd::standard();
    let output = surroundings.output.unwrap_or(output);
    let mut descriptors = vec![(surroundings.input, 0), (output, 1), (error, 2)];
    descriptors.extend(opened.descriptors());
    descriptors.extend(surroundings.extra);
    if let Some(inherited) = surroundings.inherited {
        descriptors.push((input, 0));
        descriptors.extend(inherited.descriptors());
    }
    descriptors
}

fn c_strings(words: impl Iterator<Item = String>) -> Result<Vec<CString>, String> {
    words.map(|word| CString::new(word).map_err(|_| "a NUL byte in an argument".to_owned())).collect()
}

fn c_path(path: &Path) -> Result<CString, String> {
    CString::new(path.as_os_str().as_encoded_bytes()).map_err(|_| "a NUL byte in a path".to_owned())
}

/// The environment: the path, then each layer over what was before it.
pub(crate) fn environment(definition: &Definition) -> Result<BTreeMap<String, String>, String> {
    let own = std::env::var("PATH").ok().filter(|_| definition.inherit);
    let mut variables = BTreeMap::from([("PATH".to_owned(), own.unwrap_or_else(|| PATH.to_owned()))]);
    for layer in &definition.environment {
        match layer {
            EnvironmentLayer::Set { key, value } => {
                variables.insert(key.clone(), value.clone());
            }
            EnvironmentLayer::File { path, optional } => match std::fs::read_to_string(path) {
                Ok(text) => variables.extend(parse_environment(path, &text)?),
                Err(error) if *optional && error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    return Err(format!("unable to read environment file {path}: {}", reason(&error)));
                }
            },
        }
    }
    Ok(variables)
}

/// `KEY=VALUE` lines as in /etc/default: blank lines and comments are passed over, `export` is allowed, and
/// a value may stand in quotes. Nothing is expanded: this is no shell.
fn parse_environment(path: &str, text: &str) -> Result<Vec<(String, String)>, String> {
    let mut variables = Vec::new();
    for (number, line) in text.lines().enumerate().map(|(index, line)| (index + 1, line.trim())) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let Some((key, value)) = line.split_once('=') else {
            return Err(format!("{path}:{number}: not of the form KEY=VALUE"));
        };
        let key = key.trim_end();
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(format!("{path}:{number}: \"{key}\" cannot name a variable"));
        }
        variables.push((key.to_owned(), unquote(value.trim()).to_owned()));
    }
    Ok(variables)
}

fn unquote(value: &str) -> &str {
    ['"', '\''].into_iter().find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote)).unwrap_or(value)
}

/// The file that a command's first word means: itself if it has a slash, else the first executable of that
/// name on the path.
pub(crate) fn find(name: &str, directory: &Path, path: &str) -> Result<PathBuf, String> {
    if name.contains('/') {
        // A relative one is seen from where the program starts.
        return Ok(directory.join(name.strip_prefix("./").unwrap_or(name)));
    }
    let executable = |file: &Metadata| file.is_file() && file.permissions().mode() & 0o111 != 0;
    path.split(':')
        .map(|directory| Path::new(directory).join(name))
        .find(|candidate| candidate.metadata().is_ok_and(|file| executable(&file)))
        .ok_or_else(|| format!("unable to find program \"{name}\" in PATH ({path})"))
}

/// The files that a command's first word may mean where only the process itself can look.
fn candidates(name: &str, directory: &Path, path: &str) -> Vec<PathBuf> {
    if name.contains('/') {
        return vec![directory.join(name.strip_prefix("./").unwrap_or(name))];
    }
    path.split(':').map(|directory| Path::new(directory).join(name)).collect()
}

/// The reason of a system error in words, without its number.
pub(crate) fn reason(error: &io::Error) -> String {
    error.raw_os_error().map_or_else(|| error.to_string(), |number| sys::errno_text(number).to_owned())
}

/// The definition of a service, as it was compiled last.
pub(crate) fn read_definition(run: &Path, name: &str) -> Result<Definition, String> {
    let file = run.join("service").join(name).join("definition");
    let text = std::fs::read_to_string(&file)
        .map_err(|error| format!("unable to read {}: {}", file.display(), reason(&error)))?;
    Definition::decode(&text).map_err(|error| format!("{}: {error}", file.display()))
}

/// The finish script of a service directory.
pub(crate) const FINISH: &CStr = c"./finish";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environment_files_are_read_as_people_write_them() {
        let text = "# comment\n\nA=1\nexport B=two words\n C = \"quoted #\" \nD='single'\nE=\nA=2\n";
        let pairs = parse_environment("f", text).unwrap();
        let expected =
            [("A", "1"), ("B", "two words"), ("C", "quoted #"), ("D", "single"), ("E", ""), ("A", "2")];
        assert_eq!(pairs, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
        assert_eq!(parse_environment("f", "\nbogus").unwrap_err(), "f:2: not of the form KEY=VALUE");
        assert!(parse_environment("f", "a-b=1").unwrap_err().contains("cannot name a variable"));
    }

    #[test]
    fn later_layers_win_and_a_missing_file_may_be_optional() {
        let mut definition = Definition::new("x", "/");
        definition.environment = vec![
            EnvironmentLayer::Set { key: "A".to_owned(), value: "1".to_owned() },
            EnvironmentLayer::Set { key: "A".to_owned(), value: "2".to_owned() },
            EnvironmentLayer::File { path: "/nonexistent".to_owned(), optional: true },
        ];
        assert_eq!(environment(&definition).unwrap().get("A").map(String::as_str), Some("2"));
        definition.environment =
            vec![EnvironmentLayer::File { path: "/nonexistent".to_owned(), optional: false }];
        let problem = environment(&definition).unwrap_err();
        assert_eq!(problem, "unable to read environment file /nonexistent: No such file or directory");
    }

    #[test]
    fn a_program_is_looked_for_on_the_path() {
        assert!(find("sh", Path::new("/"), PATH).is_ok());
        assert_eq!(find("./run", Path::new("/d"), PATH).unwrap(), Path::new("/d/./run"));
        assert!(find("no-such-program", Path::new("/"), "/bin").unwrap_err().contains("in PATH (/bin)"));
    }
}
