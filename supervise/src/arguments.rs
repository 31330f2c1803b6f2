//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

/// What `--help` prints.
const HELP: &str = "\
usage: supervise [--run DIR] [--channel FD] [--up] NAME

Keeps the service NAME as it is wanted. Its compiled definition is DIR/service/NAME/definition; beside it
are the status file and the control socket. Standard output and error are those of the service.

  --run DIR      where the running system keeps its state (default /run)
  --channel FD   a socket to init, inherited
  --up           want the service up at once, rather than when told

exit status: 0 told to exit, or a oneshot was run; 100 usage; 111 the system refused something
";

/// How to run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) name: String,
    pub(crate) run: PathBuf,
    pub(crate) channel: Option<i32>,
    pub(crate) up: bool,
}

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    Run(Options),
    Print(&'static str),
}

pub(crate) fn parse(mut arguments: impl Iterator<Item = OsString>) -> Result<Parsed, String> {
    let mut options =
        Options { name: String::new(), run: PathBuf::from(service::RUN_DIRECTORY), channel: None, up: false };
    while let Some(argument) = arguments.next() {
        let text = argument.to_string_lossy();
        match text.as_ref() {
            "--help" | "-h" => return Ok(Parsed::Print(HELP)),
            "--version" => return Ok(Parsed::Print(concat!("supervise ", env!("CARGO_PKG_VERSION"), "\n"))),
            "--up" => options.up = true,
            "--run" => options.run = arguments.next().ok_or("--run needs a directory")?.into(),
            "--channel" => {
                let number = arguments.next().ok_or("--channel needs a descriptor number")?;
                let number = number.to_string_lossy().parse();
                options.channel = Some(number.map_err(|_| "--channel needs a descriptor number")?);
            }
            option if option.starts_with('-') => return Err(format!("unknown option {option} (try --help)")),
            name if !options.name.is_empty() => {
                return Err(format!("unexpected argument {name} (try --help)"));
            }
            name if service::definition::valid_name(name) => name.clone_into(&mut options.name),
            name => return Err(format!("\"{name}\" cannot name a service")),
        }
    }
    if options.name.is_empty() {
        return Err("which service? (try --help)".to_owned());
    }
    Ok(Parsed::Run(options))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Result<Parsed, String> {
        parse(text.split_whitespace().map(OsString::from))
    }

    #[test]
    fn options_and_name_are_taken_and_nonsense_is_not() {
        let expected =
            Options { name: "sshd".to_owned(), run: PathBuf::from("/r"), channel: Some(3), up: true };
        assert_eq!(words("--run /r --channel 3 --up sshd"), Ok(Parsed::Run(expected)));
        for bad in ["", "a b", "--colour a", "--channel x a", "../a", "--run"] {
            assert!(words(bad).is_err(), "{bad}");
        }
    }
}
