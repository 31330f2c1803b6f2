//! What the scripts of a service directory are told, by whose conventions they are written.

use service::WaitStatus;
use service::definition::{Definition, Style};
use std::borrow::Cow;

/// The command of the main process: under s6 a `run` script is given the service's name.
pub(crate) fn main_command(definition: &Definition) -> Cow<'_, [String]> {
    match (definition.style, definition.command.as_slice()) {
        (Style::S6, [run]) if run == "./run" => Cow::Owned(vec![run.clone(), definition.name.clone()]),
        (_, command) => Cow::Borrowed(command),
    }
}

/// The arguments of a finish script after a death of `group`, the process that led its group. s6: the exit code
/// or 256, the signal or 0, the name, the group (s6-supervise's servicedir contract); runit: the exit code or -1,
/// and the low byte of the wait status (runsv(8)).
pub(crate) fn finish_command(definition: &Definition, status: WaitStatus, group: i32) -> Vec<String> {
    let script = crate::launch::FINISH.to_string_lossy().into_owned();
    match definition.style {
        Style::Mainstay | Style::S6 => vec![
            script,
            status.finish_code().to_string(),
            status.finish_signal().to_string(),
            name(definition).to_owned(),
            group.to_string(),
        ],
        Style::Runit => {
            let (code, low) = match status {
                WaitStatus::Exited(code) => (i32::from(code), 0),
                WaitStatus::Signalled { signal, core } => (-1, signal.number() | if core { 0x80 } else { 0 }),
                WaitStatus::Unknown => (-1, 0),
            };
            vec![script, code.to_string(), low.to_string()]
        }
    }
}

/// The name that s6 gives a service's scripts, which for a logger is not the one that it has here: that which its
/// `run` is given.
fn name(definition: &Definition) -> &str {
    match definition.command.as_slice() {
        [run, name, ..] if definition.style == Style::S6 && run == "./run" => name,
        _ => &definition.name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finish_script_is_told_what_its_style_has_it_expect() {
        let mut definition = Definition::new("a", "/a");
        let mut told = |style, raw| {
            definition.style = style;
            finish_command(&definition, WaitStatus::from_raw(raw), 7).join(" ")
        };
        assert_eq!(told(Style::S6, 3 << 8), "./finish 3 0 a 7");
        assert_eq!(told(Style::S6, 9), "./finish 256 9 a 7");
        assert_eq!(told(Style::Runit, 3 << 8), "./finish 3 0");
        assert_eq!(told(Style::Runit, 11 | 0x80), "./finish -1 139");
    }

    #[test]
    fn the_scripts_of_a_logger_of_s6_are_told_the_name_that_it_has_there() {
        let mut definition = Definition::new("a-log", "/a/log");
        definition.style = Style::S6;
        definition.command = vec!["./run".to_owned(), "a/log".to_owned()];
        assert_eq!(finish_command(&definition, WaitStatus::from_raw(0), 7).join(" "), "./finish 0 0 a/log 7");
        assert_eq!(*main_command(&definition), ["./run", "a/log"]);
    }

    #[test]
    fn a_run_script_of_s6_is_given_the_name() {
        let mut definition = Definition::new("a", "/a");
        definition.command = vec!["./run".to_owned()];
        assert_eq!(main_command(&definition).len(), 1);
        definition.style = Style::S6;
        assert_eq!(*main_command(&definition), ["./run", "a"]);
    }
}
