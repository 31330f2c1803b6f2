//! The command line.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// What `--help` prints.
const HELP: &str = "\
usage: init [--services DIR] [--run DIR] [--logs DIR] [--programs DIR] [--bundle NAME]
            [--main NAME | -- COMMAND ARG...]
       init --user DIR [option...]

The first process: boots the machine, keeps its services, takes it down. As PID 1 of a container it boots
nothing; as any other process it keeps the services of DIR and takes in their orphans.

  --services DIR  the service directories (default /etc/services.d)
  --run DIR       where the running system keeps its state (default /run)
  --logs DIR      where the logs are (default /var/log)
  --programs DIR  where supervise, svlog and svctl are (default: beside init)
  --bundle NAME   what to start (default: the bundle default, or every service)
  --main NAME     end with this service, and with its exit status
  --user DIR      keep the services of DIR for one user: state and logs in that user's own places
  --debug         let root have init fail: svctl fault
  --compatible N  only say whether this program can take over from one whose state has version N
  -- COMMAND ARG  run this, after the services of --services if that is given; end with it and its status

exit status, unless it is a machine's PID 1: that of the main service or command (128+n for signal n; 126 it
could not be executed, 127 not found, 125 it never got that far); without one 0 stopped when asked to; 100
usage; 111 the system refused something
";

/// How to run, as far as the command line says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Words {
    pub(crate) services: Option<PathBuf>,
    pub(crate) run: Option<PathBuf>,
    pub(crate) logs: Option<PathBuf>,
    pub(crate) programs: Option<PathBuf>,
    pub(crate) bundle: Option<String>,
    /// The service that the container ends with.
    pub(crate) main: Option<String>,
    /// The command that it ends with.
    pub(crate) command: Vec<OsString>,
    pub(crate) user: bool,
    /// Root may have init fail.
    pub(crate) debug: bool,
    /// The first word that means nothing.
    pub(crate) unknown: Option<String>,
}

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    Run(Words),
    Print(&'static str),
    /// From PID 1 itself.
    UnmountAll,
}

/// Reads the command line. The kernel hands words that it does not know to PID 1, which therefore must put up
/// with all of them; they are looked for in `/proc/cmdline`.
pub(crate) fn parse(mut arguments: impl Iterator<Item = OsString>, first: bool) -> Result<Parsed, String> {
    let mut words = Words::default();
    while let Some(argument) = arguments.next() {
        let text = argument.to_string_lossy().into_owned();
        let mut value = || match arguments.next() {
            // A machine cannot end since a word lacks.
            None if first => Ok(OsString::new()),
            found => found.ok_or_else(|| format!("{text} needs a value (try --help)")),
        };
        match text.as_str() {
            "--help" | "-h" if !first => return Ok(Parsed::Print(HELP)),
            "--version" if !first => {
                return Ok(Parsed::Print(concat!("mainstay init ", env!("CARGO_PKG_VERSION"), "\n")));
            }
            crate::unmount::ARGUMENT if std::os::unix::process::parent_id() == 1 => {
                return Ok(Parsed::UnmountAll);
            }
            "--services" => words.services = path(&value()?),
            "--run" => words.run = path(&value()?),
            "--logs" => words.logs = path(&value()?),
            "--programs" => words.programs = path(&value()?),
            "--debug" => words.debug = true,
            "--compatible" if !first => {
                let version = value()?.to_string_lossy().into_owned();
                let own = service::STATE_VERSION;
                if version != own.to_string() {
                    return Err(format!("it takes over from version {own}, not {version}"));
                }
                return Ok(Parsed::Print(""));
            }
            "--bundle" => words.bundle = Some(value()?.to_string_lossy().into_owned()),
            "--main" => words.main = Some(value()?.to_string_lossy().into_owned()),
            "--user" => {
                words.user = true;
                words.services = path(&value()?);
            }
            "--" => {
                words.command = arguments.collect();
                if words.command.is_empty() && !first {
                    return Err("-- needs a command (try --help)".to_owned());
                }
                break;
            }
            _ => words.unknown = words.unknown.or(Some(text)),
        }
    }
    if words.main.is_some() && !words.command.is_empty() {
        return Err("--main and a command contradict each other".to_owned());
    }
    match &words.unknown {
        Some(unknown) if !first => Err(format!("unknown argument {unknown} (try --help)")),
        Some(_) | None => Ok(Parsed::Run(words)),
    }
}

fn path(word: &OsStr) -> Option<PathBuf> {
    std::path::absolute(word).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str, first: bool) -> Result<Parsed, String> {
        parse(text.split_whitespace().map(OsString::from), first)
    }

    #[test]
    fn version_and_help_answer_unless_it_is_pid_1() {
        for question in ["--version", "--help"] {
            assert!(matches!(words(question, false), Ok(Parsed::Print(_))));
            assert!(matches!(words(question, true), Ok(Parsed::Run(_))));
        }
    }

    #[test]
    fn it_takes_over_from_its_own_version_and_from_no_other() {
        let own = service::STATE_VERSION;
        assert_eq!(words(&format!("--compatible {own}"), false), Ok(Parsed::Print("")));
        assert!(words(&format!("--compatible {}", own + 1), false).is_err());
    }

    #[test]
    fn pid_1_puts_up_with_whatever_the_kernel_hands_on() {
        for line in ["rescue quiet", "--bundle", "--"] {
            assert!(words(line, true).is_ok(), "{line}");
            assert!(words(line, false).is_err(), "{line}");
        }
    }

    #[test]
    fn what_comes_after_two_dashes_is_the_command() {
        let Ok(Parsed::Run(found)) = words("--services /s -- --run -- x", false) else { panic!("refused") };
        assert_eq!(found.command, ["--run", "--", "x"]);
        assert_eq!((found.services, found.run), (Some("/s".into()), None));
        assert!(words("--main a -- b", false).is_err());
    }
}
