//! Users and groups as the files of a machine have them (passwd(5), group(5)). Lines that are none are passed over, as
//! the C library does; of two entries with one name the first counts.

use crate::setup::Credentials;

/// The number that setresuid(2) takes for "as it is": nobody has it.
const NOBODY_AT_ALL: u32 = u32::MAX;

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// The number.
    pub id: u32,
    /// The number of the group that it is in first of all.
    pub group: u32,
    /// The home directory.
    pub home: String,
    /// The login shell.
    pub shell: String,
}

/// Whose a process becomes, in numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user.
    pub user: u32,
    /// The group.
    pub group: u32,
    /// The supplementary groups, sorted.
    pub groups: Vec<u32>,
    /// What the files know of the user, if they do.
    pub account: Option<User>,
}

/// A number as people write it for a user or a group.
fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|id| digits && *id != NOBODY_AT_ALL)
}

/// An entry of passwd(5).
fn entry(line: &str) -> Option<User> {
    let fields: Vec<&str> = line.trim_end_matches('\r').split(':').collect();
    let [name, _, id, group, _, home, shell] = fields.try_into().ok()?;
    let known = !name.is_empty() && !name.starts_with(['#', '+', '-']);
    let (id, group) = (number(id)?, number(group)?);
    let own = str::to_owned;
    known.then(|| User { name: own(name), id, group, home: own(home), shell: own(shell) })
}

/// Looks up a user by name, or by number.
#[must_use]
pub fn user(passwd: &str, wanted: &str) -> Option<User> {
    let id = number(wanted);
    passwd.lines().filter_map(entry).find(|user| id.map_or(user.name == wanted, |id| user.id == id))
}

/// A group of group(5): its name, its number, its members.
fn group_entry(line: &str) -> Option<(&str, u32, &str)> {
    let mut fields = line.trim_end_matches('\r').split(':');
    let (name, _, id) = (fields.next()?, fields.next()?, fields.next()?);
    let known = !name.is_empty() && !name.starts_with(['#', '+', '-']);
    Some((name, number(id)?, fields.next().unwrap_or_default())).filter(|_| known)
}

/// The number of a group, by name or by number; one that is a number needs no entry.
#[must_use]
pub fn group(groups: &str, wanted: &str) -> Option<u32> {
    let by_name = || groups.lines().filter_map(group_entry).find(|(name, _, _)| *name == wanted);
    number(wanted).or_else(|| Some(by_name()?.1))
}

/// The groups that a user is listed in.
fn groups_of(groups: &str, name: &str) -> Vec<u32> {
    let entries = groups.lines().filter_map(group_entry);
    entries
        .filter(|(_, _, members)| members.split(',').any(|member| member.trim() == name))
        .map(|(_, id, _)| id)
        .collect()
}

/// Finds out whose a process becomes, by the texts of /etc/passwd and /etc/group.
///
/// # Errors
/// Why it cannot be said, for people: who is not known.
pub fn identity(wanted: &Credentials, passwd: &str, groups: &str) -> Result<Identity, String> {
    let account = user(passwd, &wanted.user);
    let known = account.as_ref().map(|account| account.id);
    let id = known.or_else(|| number(&wanted.user));
    let id = id.ok_or_else(|| format!("user {} is not known", wanted.user))?;
    let find = |name: &str| group(groups, name).ok_or_else(|| format!("group {name} is not known"));
    let own_group = match (&wanted.group, &account) {
        (Some(name), _) => find(name)?,
        (None, Some(account)) => account.group,
        (None, None) => return Err(format!("user {id} has no account: its group has to be said")),
    };
    let mut list = match (&wanted.groups, &account) {
        (Some(names), _) => names.iter().map(|name| find(name)).collect::<Result<Vec<u32>, String>>()?,
        (None, Some(account)) => groups_of(groups, &account.name),
        (None, None) => Vec::new(),
    };
    list.push(own_group);
    list.sort_unstable();
    list.dedup();
    Ok(Identity { user: id, group: own_group, groups: list, account })
}

impl Identity {
    /// The same as a step, in which all are numbers.
    #[must_use]
    pub fn credentials(&self) -> Credentials {
        Credentials {
            user: self.user.to_string(),
            group: Some(self.group.to_string()),
            groups: Some(self.groups.iter().map(u32::to_string).collect()),
        }
    }

    /// The variables that a process of that user finds (environ(7)); none for one without an account.
    #[must_use]
    pub fn variables(&self) -> Vec<(String, String)> {
        let Some(account) = &self.account else { return Vec::new() };
        let shell = if account.shell.is_empty() { "/bin/sh" } else { &account.shell };
        [
            ("HOME", account.home.as_str()),
            ("USER", &account.name),
            ("LOGNAME", &account.name),
            ("SHELL", shell),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PASSWD: &str = "# people\n\nroot:x:0:0:root:/root:/bin/bash\nroot:x:7:7::/:/bin/false\n\
        www:x:33:34:www,,,:/var/www:\r\nshort:x:5\nbig:x:4294967296:1::/:/bin/sh\nbad:x:x:1::/:/bin/sh\n\
        all:x:4294967295:1::/:/bin/sh\n+::::::\n:x:9:9::/:/bin/sh\nneg:x:-1:1::/:/bin/sh\nlast:x:44:45:::";
    const GROUP: &str = "root:x:0:\nadm:x:4:www,last\nwww:x:34:\n\nbroken\ndocker:x:99: www \n+:::\n\
        bad:x:z:www\nfew:x:12\nlast:x:45:lastly,\nnone:x:46:\r\n";

    fn wanted(user: &str, group: Option<&str>, groups: Option<&[&str]>) -> Credentials {
        let own = |text: &&str| (*text).to_owned();
        Credentials {
            user: user.to_owned(),
            group: group.as_ref().map(own),
            groups: groups.map(|groups| groups.iter().map(own).collect()),
        }
    }

    fn find(user: &str, group: Option<&str>, groups: Option<&[&str]>) -> Result<Identity, String> {
        identity(&wanted(user, group, groups), PASSWD, GROUP)
    }

    fn numbers(user: &str, group: Option<&str>, groups: Option<&[&str]>) -> (u32, u32, Vec<u32>) {
        let identity = find(user, group, groups).unwrap();
        (identity.user, identity.group, identity.groups)
    }

    #[test]
    fn a_user_has_the_groups_that_it_is_listed_in_unless_others_are_said() {
        assert_eq!(numbers("www", None, None), (33, 34, vec![4, 34, 99]));
        assert_eq!(numbers("33", None, None), (33, 34, vec![4, 34, 99]));
        assert_eq!(numbers("www", Some("adm"), None), (33, 4, vec![4, 99]));
        assert_eq!(numbers("www", None, Some(&[])), (33, 34, vec![34]));
        assert_eq!(numbers("www", Some("7"), Some(&["docker", "few", "3"])), (33, 7, vec![3, 7, 12, 99]));
        assert_eq!(numbers("last", None, None), (44, 45, vec![4, 45]));
        assert_eq!(numbers("root", None, None), (0, 0, vec![0]), "the first of two counts");
    }

    #[test]
    fn a_number_needs_no_account_but_a_group() {
        assert_eq!(numbers("4711", Some("12"), None), (4711, 12, vec![12]));
        assert_eq!(
            find("4711", None, None).unwrap_err(),
            "user 4711 has no account: its group has to be said"
        );
    }

    #[test]
    fn who_is_not_known_is_named() {
        for user in ["nobody", "", "short", "big", "bad", "all", "+", "neg", "-1", "4294967295", "# people"] {
            let known = find(user, Some("0"), None);
            assert_eq!(known, Err(format!("user {user} is not known")), "{user}");
        }
        assert_eq!(find("www", Some("broken"), None).unwrap_err(), "group broken is not known");
        assert_eq!(find("www", None, Some(&["adm", "bad"])).unwrap_err(), "group bad is not known");
    }

    #[test]
    fn a_user_finds_its_home_its_names_and_a_shell() {
        let variables: Vec<String> =
            find("www", None, None).unwrap().variables().iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(variables, ["HOME=/var/www", "USER=www", "LOGNAME=www", "SHELL=/bin/sh"]);
        assert!(find("4711", Some("1"), None).unwrap().variables().is_empty());
    }

    #[test]
    fn what_was_found_is_all_numbers() {
        let found = find("www", None, None).unwrap();
        let again = identity(&found.credentials(), "", "").unwrap();
        assert_eq!((again.user, again.group, again.groups), (found.user, found.group, found.groups));
    }

    proptest! {
        #[test]
        fn no_file_makes_it_panic(passwd in ".*", groups in ".*", user in ".*") {
            let _ = identity(&wanted(&user, None, None), &passwd, &groups);
        }
    }
}
