//! Keys that mean nothing for the kind of service, and keys that cannot both be meant.

use super::keys::{File, Spans, not_for_bundles};
use super::reader::Reader;
use service::definition::{FIRST_SOCKET, Kind, ReadyMethod, RestartWhen};

/// Keys that have no meaning for the kind.
pub(super) fn misplaced(reader: &mut Reader<'_>, file: &File) {
    let kind = file.definition.kind;
    for (key, span) in &file.spans {
        let message = match (kind, key.as_str()) {
            (Kind::Longrun | Kind::Oneshot, "contents") => "\"contents\" is for bundles: type = \"bundle\"",
            (Kind::Longrun, "start") => "[start] is for oneshots; for a longrun there is [ready] timeout",
            (Kind::Longrun, "down-command") => {
                "\"down-command\" is for oneshots; for a longrun there is an executable finish"
            }
            (Kind::Oneshot, "ready") => "[ready] is for longruns: a oneshot is ready when it has succeeded",
            (Kind::Oneshot, "health") => "[health] is for longruns: a oneshot that is done does not run",
            (Kind::Oneshot, "watchdog") => {
                "\"watchdog\" is for longruns; for a oneshot there is [start] timeout"
            }
            (Kind::Oneshot, "sockets") => "[sockets] is for longruns: nothing would take what comes in later",
            (Kind::Bundle, other) if not_for_bundles(other) => "has no meaning for a bundle",
            (_, _) => continue,
        };
        let message = if kind == Kind::Bundle { format!("\"{key}\" {message}") } else { message.to_owned() };
        reader.error(span, message);
    }
}

/// Keys that cannot both be meant, and those without what they need.
pub(super) fn find(reader: &mut Reader<'_>, file: &File) {
    let File { definition, spans, .. } = file;
    if definition.restart.when == RestartWhen::Never {
        tell(
            reader,
            spans,
            "restart.give-up",
            "give-up has no effect when nothing is restarted (when = \"never\")",
        );
    }
    if spans.contains_key("image") {
        tell(
            reader,
            spans,
            "prepare",
            "the root of an image is what is prepared: [prepare] has no place beside it",
        );
        image_command(reader, spans);
    }
    let own = definition.command.first().is_none_or(|program| program == "./run");
    if own && definition.image.is_none() {
        let message = "run starts in its own directory: working-directory is for a command";
        tell(reader, spans, "working-directory", message);
    }
    if definition.kind != Kind::Longrun {
        return;
    }
    descriptors(reader, file);
    if definition.watchdog.is_some() && !matches!(definition.ready.method, ReadyMethod::Notify(_)) {
        let message = "watchdog needs the service's messages: [ready] notify = true";
        tell(reader, spans, "watchdog", message);
    }
    if definition.ready.restart_when_overdue && definition.ready.timeout.is_none() {
        let message = "a service without a timeout is never overdue: [ready] timeout";
        tell(reader, spans, "ready.restart-when-overdue", message);
    }
    let restarts = definition.health.as_ref().is_some_and(|health| health.restart);
    if definition.restart.when == RestartWhen::Never && restarts {
        let message = "an unhealthy service is not restarted when = \"never\": action = \"report\"";
        tell(reader, spans, "health", message);
    }
}

/// Descriptors that are said to be one thing, and are the numbers of sockets as well.
fn descriptors(reader: &mut Reader<'_>, file: &File) {
    let File { definition, spans, .. } = file;
    let Some(section) = spans.get("sockets") else { return };
    if definition.start_on_connection && definition.sockets.is_empty() {
        let span = spans.get("sockets.start").unwrap_or(section);
        reader.error(span, "start = \"on-connection\" needs a socket that somebody can connect to");
    }
    let count = i32::try_from(definition.sockets.len()).unwrap_or(i32::MAX);
    let taken = FIRST_SOCKET..FIRST_SOCKET.saturating_add(count);
    let others = [
        (
            "ready.fd",
            "readiness",
            match definition.ready.method {
                ReadyMethod::Descriptor(number) => Some(number),
                ReadyMethod::Immediate | ReadyMethod::Notify(_) | ReadyMethod::Command { .. } => None,
            },
        ),
        ("sockets", "the lock", definition.lock_descriptor),
    ];
    for (key, what, number) in others {
        let Some(number) = number.filter(|number| taken.contains(number)) else { continue };
        let span = spans.get(key).unwrap_or(section);
        let last = taken.end - 1;
        let message = format!(
            "descriptor {number} is that of {what} and of a socket: sockets have {FIRST_SOCKET} to {last}"
        );
        reader.suggest(span, message, Some(&taken.end.to_string()));
    }
}

/// What an image is to run is said in one way.
fn image_command(reader: &mut Reader<'_>, spans: &Spans) {
    if spans.contains_key("command") {
        tell(reader, spans, "image.shell", "command says what is run already: shell would take its place");
        tell(
            reader,
            spans,
            "image.arguments",
            "arguments are for the image's own program: command takes its place",
        );
    } else if spans.contains_key("image.shell") {
        tell(
            reader,
            spans,
            "image.arguments",
            "arguments are for the image's own program: shell takes its place",
        );
    }
}

fn tell(reader: &mut Reader<'_>, spans: &Spans, key: &str, message: &str) {
    if let Some(span) = spans.get(key) {
        reader.error(span, message);
    }
}
