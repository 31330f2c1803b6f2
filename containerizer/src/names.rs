//! What services are called that are containers.
//!
//! The name follows from the container's id and the agent's work directory, by which several agents on one machine are told
//! apart. Which container a service is stands in its labels, as not every id can be read off a name.

use sha2::{Digest, Sha256};
use std::fmt::Write;

/// The label with the container's id.
pub const CONTAINER: &str = "mesos.container";
/// The label with the agent's work directory.
pub const WORK: &str = "mesos.work";
/// The label that tells which of a container's services it is: [`Role::word`].
pub const ROLE: &str = "mesos.role";

/// The longest id that stands in the name, escaped.
const LONGEST: usize = 120;

/// Which of a container's services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The executor, with whose end the container ends.
    Executor,
    /// The task of a command executor, in its image, while the executor is outside.
    Task,
}

impl Role {
    /// As a label has it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Role::Executor => "executor",
            Role::Task => "task",
        }
    }

    /// What a label says.
    #[must_use]
    pub fn parse(word: &str) -> Option<Role> {
        [Role::Executor, Role::Task].into_iter().find(|role| role.word() == word)
    }
}

/// The name of a container's service, of the agent with that work directory.
#[must_use]
pub fn service(work: &str, container: &str, role: Role) -> String {
    let mut id = String::new();
    for byte in container.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') {
            id.push(char::from(byte));
        } else {
            let _ = write!(id, "+{byte:02X}");
        }
    }
    if id.len() > LONGEST {
        // No escape begins so.
        id = format!("+h{}", digest(container, 32));
    }
    let suffix = if role == Role::Task { "+t" } else { "" };
    format!("mesos-{}-{id}{suffix}", digest(work, 4))
}

/// The first `length` bytes of the digest, as text.
fn digest(text: &str, length: usize) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(length).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_uuid_can_be_read_off_the_name() {
        let id = "558e0a69-70da-4d71-b4c4-c2820b1d6345";
        assert_eq!(service("/var/lib/mesos", id, Role::Executor), format!("mesos-7db52690-{id}"));
        assert_ne!(service("/other", id, Role::Executor), service("/var/lib/mesos", id, Role::Executor));
    }

    proptest! {
        #[test]
        fn any_id_gives_a_name_that_is_valid_and_no_others(one in ".{1,300}", two in "[+a-fht:./ ]{1,60}") {
            let mut names: Vec<String> = Vec::new();
            for id in [&one, &two] {
                for role in [Role::Executor, Role::Task] {
                    let name = service("/w", id, role);
                    prop_assert!(service::definition::valid_name(&name), "{name}");
                    names.push(name);
                }
            }
            names.sort();
            names.dedup();
            prop_assert_eq!(names.len(), if one == two { 2 } else { 4 });
        }
    }
}
