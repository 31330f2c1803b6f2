//! The ssh keys that may log in as root.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::apt::run;
use crate::error::{Context, Error, Result};
use crate::say;

/// The builder's own keys, in order of preference.
const OWN: [&str; 3] = ["id_ed25519", "id_ecdsa", "id_rsa"];

/// The keys of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Keys {
    /// What goes into root's `authorized_keys`.
    pub(crate) authorized: String,
    /// The private key that logs in, when it is at hand.
    pub(crate) private: Option<PathBuf>,
}

/// The key that was asked for, else the builder's own, else one made for images.
pub(crate) fn find(asked: Option<&Path>, home: Option<&Path>, generated: &Path) -> Result<Keys> {
    if let Some(path) = asked {
        return named(path);
    }
    let own =
        home.and_then(|home| OWN.iter().map(|name| home.join(".ssh").join(name)).find(|path| path.is_file()));
    let Some(own) = own else { return generate(generated) };
    let keys = named(&own)?;
    if opens_alone(&own) {
        return Ok(keys);
    }
    // The builder's key asks for a passphrase: it may log in, but programs use one of their own.
    let machine = generate(generated)?;
    Ok(Keys { authorized: keys.authorized + &machine.authorized, private: machine.private })
}

/// A key of which either half was named.
fn named(path: &Path) -> Result<Keys> {
    let reading = || format!("read the ssh key {}", path.display());
    let path = std::path::absolute(path).context(reading)?;
    let (public, private) = if path.extension().is_some_and(|extension| extension == "pub") {
        (path.clone(), path.with_extension(""))
    } else {
        let mut public = path.clone().into_os_string();
        public.push(".pub");
        (PathBuf::from(public), path)
    };
    let text = if public.is_file() {
        fs::read_to_string(&public).context(reading)?
    } else {
        let output = run(Command::new("ssh-keygen").arg("-y").arg("-f").arg(&private), &reading())?;
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    if !text.starts_with("ssh-") && !text.starts_with("ecdsa-") && !text.starts_with("sk-") {
        return Err(Error::new(reading(), "it is not an OpenSSH public key"));
    }
    let private = private.is_file().then_some(private);
    Ok(Keys { authorized: format!("{}\n", text.trim_end()), private })
}

/// Whether a private key can be used without anybody typing.
fn opens_alone(private: &Path) -> bool {
    let mut command = Command::new("ssh-keygen");
    command.args(["-y", "-P", "", "-f"]).arg(private);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Makes a key once; afterwards it is the same for every image.
fn generate(path: &Path) -> Result<Keys> {
    let making = || format!("make the ssh key {}", path.display());
    if !path.is_file() {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).context(making)?;
        }
        say!("making an ssh key for images: {}", path.display());
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-t", "ed25519", "-N", "", "-C", "mainstay", "-f"]).arg(path);
        run(&mut command, &making())?;
    }
    named(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_builder_without_a_key_gets_one_that_stays_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ssh_key");
        let first = find(None, None, &path).unwrap();
        assert!(first.authorized.starts_with("ssh-ed25519 "));
        assert_eq!(first.private.as_deref(), Some(path.as_path()));
        assert_eq!(find(None, Some(directory.path()), &path).unwrap(), first);
    }

    #[test]
    fn either_half_of_a_key_names_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mine");
        let made = generate(&path).unwrap();
        assert_eq!(find(Some(&path.with_extension("pub")), None, Path::new("/unused")).unwrap(), made);
        fs::remove_file(path.with_extension("pub")).unwrap();
        let told = find(Some(&path), None, Path::new("/unused")).unwrap();
        assert_eq!(told.private, made.private);
        assert_eq!(told.authorized.split(' ').nth(1), made.authorized.split(' ').nth(1));
    }

    #[test]
    fn a_key_with_a_passphrase_is_joined_by_one_without() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join(".ssh")).unwrap();
        let own = home.path().join(".ssh/id_ed25519");
        let mut command = Command::new("ssh-keygen");
        run(command.args(["-q", "-t", "ed25519", "-N", "secret", "-f"]).arg(&own), "make a key").unwrap();
        let keys = find(None, Some(home.path()), &home.path().join("generated")).unwrap();
        assert_eq!(keys.authorized.lines().count(), 2);
        assert_eq!(keys.private, Some(home.path().join("generated")));
    }

    #[test]
    fn a_file_that_is_no_key_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.pub");
        fs::write(&path, "hello").unwrap();
        assert!(
            find(Some(&path), None, Path::new("/unused"))
                .unwrap_err()
                .to_string()
                .ends_with("not an OpenSSH public key")
        );
    }
}
