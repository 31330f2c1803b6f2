//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

/// What `--help` prints.
const HELP: &str = "\
usage: init [--services DIR] [--run DIR] [--logs DIR] [--programs DIR] [--bundle NAME]

The first process: boots the machine, keeps its services, takes it down. As PID 1 of a container it boots
nothing; as any other process it keeps the services of DIR and takes in their orphans.

  --services DIR  the service directories (default /etc/services.d)
  --run DIR       where the running system keeps its state (default /run)
  --logs DIR      where the logs are (default /var/log)
  --programs DIR  where supervise, svlog and svctl are (default: beside init)
  --bundle NAME   what to start (default: the bundle default, or every service)

exit status, unless it is a machine's PID 1: 0 stopped when asked to; 100 usage; 111 the system refused
something
";

/// How to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) services: PathBuf,
    pub(crate) run: PathBuf,
    pub(crate) logs: PathBuf,
    pub(crate) programs: PathBuf,
    pub(crate) bundle: Option<String>,
}

impl Options {
    /// The same with every path absolute: the programs that are given them start in `/`.
    pub(crate) fn absolute(mut self) -> Options {
        for path in [&mut self.services, &mut self.run, &mut self.logs, &mut self.programs] {
            if let Ok(absolute) = std::path::absolute(&path) {
                *path = absolute;
            }
        }
        self
    }
}

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    Run(Options),
    Print(&'static str),
    /// From PID 1 itself.
    UnmountAll,
}

/// Reads the command line. The kernel hands words that it does not know to PID 1, which therefore refuses
/// none of them; they are looked for in `/proc/cmdline`.
pub(crate) fn parse(mut arguments: impl Iterator<Item = OsString>, first: bool) -> Result<Parsed, String> {
    let mut options = Options {
        services: service::SERVICES_DIRECTORY.into(),
        run: service::RUN_DIRECTORY.into(),
        logs: service::LOG_DIRECTORY.into(),
        programs: beside_init(),
        bundle: None,
    };
    while let Some(argument) = arguments.next() {
        let text = argument.to_string_lossy().into_owned();
        let mut value = || arguments.next().ok_or_else(|| format!("{text} needs a value (try --help)"));
        match text.as_str() {
            "--help" | "-h" if !first => return Ok(Parsed::Print(HELP)),
            "--version" if !first => {
                return Ok(Parsed::Print(concat!("mainstay init ", env!("CARGO_PKG_VERSION"), "\n")));
            }
            crate::unmount::ARGUMENT if std::os::unix::process::parent_id() == 1 => {
                return Ok(Parsed::UnmountAll);
            }
            "--services" => options.services = value()?.into(),
            "--run" => options.run = value()?.into(),
            "--logs" => options.logs = value()?.into(),
            "--programs" => options.programs = value()?.into(),
            "--bundle" => options.bundle = Some(value()?.to_string_lossy().into_owned()),
            _ if first => {}
            _ => return Err(format!("unknown argument {text} (try --help)")),
        }
    }
    Ok(Parsed::Run(options))
}

fn beside_init() -> PathBuf {
    let own = std::env::current_exe().ok();
    own.as_deref().and_then(std::path::Path::parent).map_or_else(|| "/usr/sbin".into(), PathBuf::from)
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
    fn pid_1_puts_up_with_whatever_the_kernel_hands_on() {
        assert!(words("rescue quiet", true).is_ok());
        assert!(words("rescue", false).is_err());
    }
}
