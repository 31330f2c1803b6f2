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
  --input FD     what the service and its finish script have as standard input, inherited
  --output FD    what they have as standard output in the place of ours, inherited
  --up           want the service up at once, rather than when told

exit status: 0 told to exit, or a oneshot was run; 100 usage; 111 the system refused something
";

/// How to run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) name: String,
    pub(crate) run: PathBuf,
    pub(crate) channel: Option<i32>,
    pub(crate) input: Option<i32>,
    pub(crate) output: Option<i32>,
    pub(crate) up: bool,
}

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    Run(Options),
    Print(&'static str),
}

pub(crate) fn parse(mut arguments: impl Iterator<Item = OsString>) -> Result<Parsed, String> {
    let mut options = Options {
        name: String::new(),
        run: PathBuf::from(service::RUN_DIRECTORY),
        channel: None,
        input: None,
        output: None,
        up: false,
    };
    while let Some(argument) = arguments.next() {
        let text = argument.to_string_lossy();
        match text.as_ref() {
            "--help" | "-h" => return Ok(Parsed::Print(HELP)),
            "--version" => return Ok(Parsed::Print(concat!("supervise ", env!("CARGO_PKG_VERSION"), "\n"))),
            "--up" => options.up = true,
            "--run" => options.run = arguments.next().ok_or("--run needs a directory")?.into(),
            "--channel" => options.channel = Some(descriptor("--channel", arguments.next())?),
            "--input" => options.input = Some(descriptor("--input", arguments.next())?),
            "--output" => options.output = Some(descriptor("--output", arguments.next())?),
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

fn descriptor(option: &str, value: Option<OsString>) -> Result<i32, String> {
    let number = value.and_then(|value| value.to_str()?.parse().ok());
    number.ok_or_else(|| format!("{option} needs a descriptor number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Result<Parsed, String> {
        parse(text.split_whitespace().map(OsString::from))
    }

    #[test]
    fn options_and_name_are_taken_and_nonsense_is_not() {
        let expected = Options {
            name: "sshd".to_owned(),
            run: PathBuf::from("/r"),
            channel: Some(3),
            input: Some(4),
            output: Some(5),
            up: true,
        };
        assert_eq!(words("--run /r --channel 3 --input 4 --output 5 --up sshd"), Ok(Parsed::Run(expected)));
        for bad in ["", "a b", "--colour a", "--channel x a", "../a", "--run", "a --input"] {
            assert!(words(bad).is_err(), "{bad}");
        }
    }
}
