//! Whether everything is there that a service is going to execute: its command, and the commands and scripts beside
//! that.

use super::Service;
use super::diagnostic::{Location, Severity};
use super::program::Programs;
use service::definition::{Definition, Kind, ReadyMethod};
use std::path::Path;

/// Looks for what the service is going to execute. Without its command it is of no use; what else is missing is found
/// out once it is needed, and the service runs until then.
pub(super) fn look(service: &mut Service, root: &Path) {
    let definition = service.definition.clone();
    let programs = Programs::new(root, &definition.environment);
    if programs.excused(&definition) || definition.kind == Kind::Bundle {
        return;
    }
    let directory = Path::new(&definition.directory);
    for (key, program) in named(&definition, service) {
        let script = program.strip_prefix("./").map(|script| directory.join(script));
        let missing = match &script {
            Some(script) => programs.missing_interpreter(script),
            None => programs.missing(program),
        };
        let Some(message) = missing else { continue };
        let suggestion = if script.is_none() { programs.nearest(program) } else { None };
        let at = service.programs.get(key).cloned().unwrap_or_else(|| Location::whole(&service.path));
        if key == "command" {
            service.note(Severity::Error, Some(&at), &message, suggestion.as_deref());
        } else {
            service.complain(&at, &message, suggestion.as_deref());
        }
    }
}

/// The keys of all commands with their programs. Where this program itself is what asks, nothing is to be found.
fn named<'d>(definition: &'d Definition, service: &Service) -> Vec<(&'static str, &'d str)> {
    let ready = match &definition.ready.method {
        ReadyMethod::Command { command, .. } => command.as_slice(),
        ReadyMethod::Immediate | ReadyMethod::Descriptor(_) | ReadyMethod::Notify(_) => &[],
    };
    let health = definition.health.as_ref().map_or(&[][..], |health| &health.command);
    let ours = |key| matches!(key, "ready.command" | "health.command") && !service.programs.contains_key(key);
    let all = [
        ("command", if definition.image.is_none() { definition.command.as_slice() } else { &[] }),
        ("down-command", &definition.down_command),
        ("reload.command", &definition.reload_command),
        ("ready.command", ready),
        ("health.command", health),
    ];
    let named = all.into_iter().filter_map(|(key, command)| Some((key, command.first()?.as_str())));
    let mut named: Vec<_> = named.filter(|(key, program)| !ours(*key) || program.starts_with("./")).collect();
    if definition.finish {
        named.push(("finish", "./finish"));
    }
    named
}
