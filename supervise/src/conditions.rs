//! What must hold for the service to be started at all.

use crate::launch::{PATH, find};
use service::Definition;
use service::definition::Condition;
use std::path::Path;

/// The first condition that does not hold, in words.
pub(crate) fn unmet(definition: &Definition) -> Option<String> {
    definition.conditions.iter().find_map(|condition| match condition {
        Condition::Executable(program) => {
            let found = find(program, Path::new("/"), PATH).is_ok_and(|file| file.exists());
            (!found).then(|| format!("condition not met: program {program} is not installed"))
        }
        Condition::Path(path) => {
            (!Path::new(path).exists()).then(|| format!("condition not met: {path} does not exist"))
        }
        Condition::KernelArgument(word) => (!has_argument(&kernel_command_line(), word))
            .then(|| format!("condition not met: the kernel was started without {word}")),
    })
}

fn kernel_command_line() -> String {
    std::fs::read_to_string("/proc/cmdline").unwrap_or_default()
}

fn has_argument(line: &str, word: &str) -> bool {
    line.split_whitespace().any(|argument| {
        argument == word || argument.strip_prefix(word).is_some_and(|rest| rest.starts_with('='))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_argument_is_a_word_or_a_key() {
        for (line, word, expected) in [
            ("quiet rescue\n", "rescue", true),
            ("a=b root=/dev/vda", "root", true),
            ("rescued", "rescue", false),
            ("root=/dev/vda", "root=/dev/vda", true),
        ] {
            assert_eq!(has_argument(line, word), expected, "{line}");
        }
    }

    #[test]
    fn the_first_unmet_condition_is_told() {
        let mut definition = Definition::new("x", "/");
        assert_eq!(unmet(&definition), None);
        definition.conditions = vec![
            Condition::Executable("sh".to_owned()),
            Condition::Path("/".to_owned()),
            Condition::Executable("no-such-program".to_owned()),
        ];
        let expected = "condition not met: program no-such-program is not installed";
        assert_eq!(unmet(&definition).as_deref(), Some(expected));
    }
}
