//! What is run in a container: what the service says and what its image says, put together.

mod prepare;
mod users;

pub use prepare::{Mount, Service, prepare};
pub use users::{User, resolve};

use crate::config::Config;
use crate::error::{Error, Result};
use crate::provision::Root;

/// Where programs are looked for if neither the service nor the image says.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a service says of its command (Mesos: `CommandInfo`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command {
    /// Whether `value` is for a shell.
    pub shell: bool,
    /// The program, or the text for the shell.
    pub value: Option<String>,
    /// Its arguments. Without a program of its own: those of the image's.
    pub arguments: Vec<String>,
}

/// The program and its arguments.
///
/// | shell | value | arguments | what is run |
/// | --- | --- | --- | --- |
/// | no | no | no | the image's entrypoint and command; one of them has to be there |
/// | no | no | yes | the entrypoint and the arguments; without an entrypoint, the first word of the command and the arguments |
/// | no | yes | any | the value and the arguments: the image's are left out |
/// | yes | yes | any | `/bin/sh -c` and the value |
/// | yes | no | any | an error |
///
/// # Errors
/// There is nothing to run.
pub fn command(wish: &Command, image: &Config) -> Result<Vec<String>> {
    let nothing = || Error::refused("neither the service nor the image says what is to be run");
    match (wish.shell, &wish.value) {
        (true, None) => Err(Error::refused("a shell is asked for, but not what it is to run")),
        (true, Some(value)) => Ok(vec!["/bin/sh".to_owned(), "-c".to_owned(), value.clone()]),
        (false, Some(value)) => Ok([vec![value.clone()], wish.arguments.clone()].concat()),
        (false, None) if wish.arguments.is_empty() => {
            let words = [image.entrypoint.clone(), image.cmd.clone()].concat();
            if words.is_empty() { Err(nothing()) } else { Ok(words) }
        }
        (false, None) => {
            let first = if image.entrypoint.is_empty() {
                image.cmd.first().map(|program| vec![program.clone()])
            } else {
                Some(image.entrypoint.clone())
            };
            Ok([first.ok_or_else(nothing)?, wish.arguments.clone()].concat())
        }
    }
}

/// The variables of an image: `NAME=VALUE`; what has no `=` is left out.
#[must_use]
pub fn environment(image: &Config) -> Vec<(String, String)> {
    let pairs = image.env.iter().filter_map(|entry| entry.split_once('='));
    pairs
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// The path of a program in a root. One with a slash is taken as it is.
///
/// # Errors
/// It is nowhere.
pub fn program(root: &Root, name: &str, path: &str) -> Result<String> {
    if name.contains('/') {
        return Ok(name.to_owned());
    }
    let places = path.split(':').filter(|place| place.starts_with('/'));
    let mut paths = places.map(|place| format!("{}/{name}", place.trim_end_matches('/')));
    let found = paths.find(|path| root.is_program(path));
    found.ok_or_else(|| {
        Error::missing(format!("there is no program {name:?} in the image (looked for in {path})"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    /// The rows of Mesos's table.
    #[test]
    #[allow(clippy::type_complexity, reason = "a table")]
    fn the_services_command_and_the_images_are_put_together() {
        let rows: [(bool, Option<&str>, &str, &str, &str, Option<&str>); 14] = [
            (false, None, "", "e 1", "c 2", Some("e 1 c 2")),
            (false, None, "", "", "c 2", Some("c 2")),
            (false, None, "", "e 1", "", Some("e 1")),
            (false, None, "", "", "", None),
            (false, None, "a b", "e 1", "c 2", Some("e 1 a b")),
            (false, None, "a b", "", "c 2", Some("c a b")),
            (false, None, "a b", "", "", None),
            (false, None, "hello world", "echo", "", Some("echo hello world")),
            (false, Some("v"), "", "e", "c", Some("v")),
            (false, Some("v"), "a b", "e", "c", Some("v a b")),
            (true, None, "", "e", "c", None),
            (true, None, "a", "e", "c", None),
            (true, Some("v"), "", "e", "c", Some("/bin/sh -c v")),
            (true, Some("v"), "a", "e", "c", Some("/bin/sh -c v")),
        ];
        for (shell, value, arguments, entrypoint, cmd, expected) in rows {
            let wish = Command { shell, value: value.map(str::to_owned), arguments: words(arguments) };
            let image = Config { entrypoint: words(entrypoint), cmd: words(cmd), ..Config::default() };
            assert_eq!(command(&wish, &image).ok(), expected.map(words), "{wish:?} {entrypoint} {cmd}");
        }
        let sh = Config { cmd: words("sh"), ..Config::default() };
        let arguments = vec!["-c".to_owned(), "echo hello world".to_owned()];
        let wish = Command { arguments, ..Command::default() };
        assert_eq!(command(&wish, &sh).unwrap(), ["sh", "-c", "echo hello world"]);
    }

    #[test]
    fn what_is_no_variable_is_left_out() {
        let image = Config { env: words("A=1=2 B C= =D"), ..Config::default() };
        let expected = [("A", "1=2"), ("C", "")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(environment(&image), expected);
    }
}
