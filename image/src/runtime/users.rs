//! Whose process it is: by the image's own files, since its names mean nothing outside.

use crate::error::{Error, Result};
use crate::provision::Root;
use std::io::Read;

/// The longest file that is read.
const LIMIT: u64 = 4 << 20;

/// A user by its numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Its id.
    pub uid: u32,
    /// Its group's.
    pub gid: u32,
    /// Those of its other groups.
    pub groups: Vec<u32>,
    /// Its home.
    pub home: Option<String>,
}

/// A line of `passwd(5)`.
struct Account<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

/// The user of `USER[:GROUP]`, by names or by numbers. Nothing is the superuser. A number needs no account; then its
/// group is 0, as elsewhere.
///
/// # Errors
/// There is no such user or group in the image.
pub fn resolve(root: &Root, text: &str) -> Result<User> {
    let (passwd, group) = (read(root, "/etc/passwd")?, read(root, "/etc/group")?);
    find(text, &passwd, &group)
}

fn read(root: &Root, path: &str) -> Result<String> {
    let file = match root.file(path) {
        Ok(file) => file,
        Err(error) if error.kind == crate::error::Kind::Missing => return Ok(String::new()),
        Err(error) => return Err(error.during(format_args!("the image's {path}"))),
    };
    let mut bytes = Vec::new();
    file.take(LIMIT).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn find(text: &str, passwd: &str, group: &str) -> Result<User> {
    let (user, named_group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (text, None),
    };
    let account = accounts(passwd).find(|account| account.name == user && !user.is_empty());
    let number = if user.is_empty() { Some(0) } else { user.parse::<u32>().ok() };
    // A name of digits is a name first.
    let account = account.or_else(|| accounts(passwd).find(|account| Some(account.uid) == number));
    let (uid, gid, name, home) = match (&account, number) {
        (Some(account), _) => (account.uid, account.gid, Some(account.name), Some(account.home)),
        (None, Some(number)) => (number, 0, None, None),
        (None, None) => {
            return Err(Error::refused(format!("there is no user {user:?} in the image's /etc/passwd")));
        }
    };
    if uid == u32::MAX {
        return Err(Error::refused(format!("{user:?} cannot be a user")));
    }
    let member =
        |line: &Group<'_>| name.is_some_and(|name| line.members.split(',').any(|member| member == name));
    let (gid, groups) = match named_group {
        Some(wanted) => (find_group(wanted, group)?, Vec::new()),
        None => {
            (gid, groups(group).filter(member).map(|line| line.gid).filter(|other| *other != gid).collect())
        }
    };
    let home = home.filter(|home| home.starts_with('/')).map(str::to_owned);
    Ok(User { uid, gid, groups, home })
}

/// A line of `group(5)`.
struct Group<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

fn find_group(wanted: &str, text: &str) -> Result<u32> {
    let named = groups(text).find(|line| line.name == wanted).map(|line| line.gid);
    named
        .or_else(|| wanted.parse().ok())
        .filter(|gid| *gid != u32::MAX)
        .ok_or_else(|| Error::refused(format!("there is no group {wanted:?} in the image's /etc/group")))
}

fn accounts(text: &str) -> impl Iterator<Item = Account<'_>> {
    text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, _password) = (fields.next()?, fields.next()?);
        let (uid, gid) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let (_gecos, home) = (fields.next(), fields.next().unwrap_or_default());
        Some(Account { name, uid, gid, home })
    })
}

fn groups(text: &str) -> impl Iterator<Item = Group<'_>> {
    text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, _password, gid) = (fields.next()?, fields.next()?, fields.next()?.parse().ok()?);
        Some(Group { name, gid, members: fields.next().unwrap_or_default() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/sh\nbroken\nweb:x:33:34:w:/srv:/bin/false\n7:x:1007:1007::/seven:\n";
    const GROUP: &str = "root:x:0:\nweb:x:34:\nlog:x:4:web,other\nssl:x:5:other,web\nadm:x:6:website\n";

    #[test]
    fn users_are_found_by_names_and_numbers_of_the_image() {
        let shown = |text: &str| {
            let user = find(text, PASSWD, GROUP).unwrap();
            (user.uid, user.gid, user.groups, user.home)
        };
        let home = |path: &str| Some(path.to_owned());
        assert_eq!(shown(""), (0, 0, vec![], home("/root")));
        assert_eq!(shown("web"), (33, 34, vec![4, 5], home("/srv")));
        assert_eq!(shown("33"), (33, 34, vec![4, 5], home("/srv")));
        assert_eq!(shown("web:log"), (33, 4, vec![], home("/srv")));
        assert_eq!(shown("1234"), (1234, 0, vec![], None));
        assert_eq!(shown("1234:99"), (1234, 99, vec![], None));
        assert_eq!(shown("7").0, 1007);
        for bad in ["nobody", "web:nobody", "-1", "4294967295", "web:4294967296", "a b"] {
            assert!(find(bad, PASSWD, GROUP).is_err(), "{bad}");
        }
    }
}
