//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

/// What `--help` prints.
const HELP: &str = "\
usage: supervise [--run DIR] [--channel FD] [--up] NAME
       supervise --compatible VERSION [--run DIR] [NAME]

Keeps the service NAME as it is wanted. Its compiled definition is DIR/service/NAME/definition; beside it
are the status file and the control socket. Standard output and error are those of the service.

  --run DIR      where the running system keeps its state (default /run)
  --channel FD   a socket to init, inherited
  --input FD     what the service and its finish script have as standard input, inherited
  --output FD    what they have as standard output in the place of ours, inherited
  --up           want the service up at once, rather than when told
  --compatible VERSION
                 do nothing but tell, by exit status 0, whether a supervisor with saved state of this version can
                 be replaced by this program, and whether the definition of NAME can be read

What init and a supervisor that replaces itself say:

  --resume       go on where the supervisor before this one was
  --wanted start|once
                 do that if that supervisor left no word of the service
  --kept TAG=FD  a descriptor that was kept for this one
  --lock FD, --listener FD
                 the lock and the listening socket, inherited

exit status: 0 told to exit, or a oneshot was run, or compatible; 1 not compatible; 100 usage; 111 the system refused
something, or another supervisor has the service
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
    pub(crate) resume: bool,
    pub(crate) wanted: Option<String>,
    pub(crate) lock: Option<i32>,
    pub(crate) listener: Option<i32>,
    pub(crate) kept: Vec<(String, i32)>,
    /// The version of saved state that is asked about.
    pub(crate) compatible: Option<String>,
}

impl Options {
    fn new() -> Options {
        Options {
            name: String::new(),
            run: PathBuf::from(service::RUN_DIRECTORY),
            channel: None,
            input: None,
            output: None,
            up: false,
            resume: false,
            wanted: None,
            lock: None,
            listener: None,
            kept: Vec::new(),
            compatible: None,
        }
    }
}

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    Run(Options),
    Print(&'static str),
}

pub(crate) fn parse(mut arguments: impl Iterator<Item = OsString>) -> Result<Parsed, String> {
    let mut options = Options::new();
    while let Some(argument) = arguments.next() {
        let text = argument.to_string_lossy();
        match text.as_ref() {
            "--help" | "-h" => return Ok(Parsed::Print(HELP)),
            "--version" => return Ok(Parsed::Print(concat!("supervise ", env!("CARGO_PKG_VERSION"), "\n"))),
            "--up" => options.up = true,
            "--resume" => options.resume = true,
            "--wanted" => options.wanted = Some(value(&mut arguments, "--wanted needs a command")?),
            "--run" => options.run = arguments.next().ok_or("--run needs a directory")?.into(),
            "--compatible" => {
                options.compatible = Some(value(&mut arguments, "--compatible needs a version")?);
            }
            "--channel" => options.channel = Some(descriptor(&mut arguments, "--channel")?),
            "--input" => options.input = Some(descriptor(&mut arguments, "--input")?),
            "--output" => options.output = Some(descriptor(&mut arguments, "--output")?),
            "--lock" => options.lock = Some(descriptor(&mut arguments, "--lock")?),
            "--listener" => options.listener = Some(descriptor(&mut arguments, "--listener")?),
            "--kept" => options.kept.push(kept(&mut arguments)?),
            option if option.starts_with('-') => return Err(format!("unknown option {option} (try --help)")),
            name if !options.name.is_empty() => {
                return Err(format!("unexpected argument {name} (try --help)"));
            }
            name if service::definition::valid_name(name) => name.clone_into(&mut options.name),
            name => return Err(format!("\"{name}\" cannot name a service")),
        }
    }
    if options.name.is_empty() && options.compatible.is_none() {
        return Err("which service? (try --help)".to_owned());
    }
    Ok(Parsed::Run(options))
}

fn value(arguments: &mut impl Iterator<Item = OsString>, problem: &str) -> Result<String, String> {
    let value = arguments.next().ok_or(problem)?;
    Ok(value.to_string_lossy().into_owned())
}

fn descriptor(arguments: &mut impl Iterator<Item = OsString>, option: &str) -> Result<i32, String> {
    let problem = format!("{option} needs a descriptor number");
    value(arguments, &problem)?.parse().map_err(|_| problem)
}

fn kept(arguments: &mut impl Iterator<Item = OsString>) -> Result<(String, i32), String> {
    let problem = "--kept needs TAG=NUMBER";
    let text = value(arguments, problem)?;
    let (tag, number) = text.split_once('=').ok_or(problem)?;
    Ok((tag.to_owned(), number.parse().map_err(|_| problem)?))
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
            kept: vec![("ready".to_owned(), 6)],
            ..Options::new()
        };
        let line = "--run /r --channel 3 --input 4 --output 5 --up --kept ready=6 sshd";
        assert_eq!(words(line), Ok(Parsed::Run(expected)));
        let bad = [
            "",
            "a b",
            "--colour a",
            "--channel x a",
            "../a",
            "--run",
            "a --input",
            "--kept x a",
            "--kept x=y a",
        ];
        for bad in bad {
            assert!(words(bad).is_err(), "{bad}");
        }
    }
}
