//! The same for programs: an array with an object a service, every key always there.

use super::{Row, at, usage};
use service::Tick;
use service::exit::WaitStatus;
use std::fmt::{Display, Write};
use std::time::Duration;

/// Appends the array.
pub(super) fn write(text: &mut String, rows: &[Row], now: Tick) {
    text.push('[');
    for (index, row) in rows.iter().enumerate() {
        text.push_str(if index == 0 { "\n  {" } else { ",\n  {" });
        object(text, row, now);
        text.push('}');
    }
    text.push_str(if rows.is_empty() { "]\n" } else { "\n]\n" });
}

fn object(text: &mut String, row: &Row, now: Tick) {
    let status = &row.status;
    let seconds = |duration: Duration| format!("{}.{:06}", duration.as_secs(), duration.subsec_micros());
    let ago = |tick: Option<Tick>| tick.map(|tick| seconds(now.since(tick)));
    let mut first = true;
    let mut key = |name: &str, value: String| {
        let comma = if std::mem::take(&mut first) { "" } else { ", " };
        // Writing to a String cannot fail.
        let _ = write!(text, "{comma}\"{name}\": {value}");
    };
    key("name", quote(&status.name));
    key("kind", quote(status.kind.word()));
    key("state", quote(status.state.word()));
    key("want", quote(status.want.word()));
    key("good", row.good().to_string());
    key("ready", or_null(row.ready()));
    key("pid", or_null(status.pid));
    key("supervisor", or_null(status.supervisor));
    key("unsupervised", row.unsupervised.to_string());
    key("for", or_null(ago(Some(status.since).filter(|since| since.0 != 0))));
    key("started", status.started.map_or_else(null, |tick| quote(&at(now, tick))));
    key(
        "ready_after",
        or_null(status.started.zip(status.ready_since).map(|(from, to)| seconds(to.since(from)))),
    );
    key("restarts", status.restarts.to_string());
    key("last_exit", status.last_exit.map_or_else(null, |exit| wait_status(exit, &ago(status.last_exit_at))));
    key("next_start_in", or_null(status.next_start.map(|tick| seconds(tick.since(now)))));
    key("reason", quote(&status.reason));
    key("paused", status.paused.to_string());
    key("reloading", status.reloading.to_string());
    key("preparing", status.preparing.to_string());
    key("unhealthy", status.unhealthy.to_string());
    key("text", quote(&status.text));
    key("unlimited", quote(&status.unlimited));
    key("oom_kills", status.oom_kills.to_string());
    key("starved", status.starved.to_string());
    key("usage", usage::read(&status.group).map_or_else(null, |usage| usage.json()));
    key("sockets", sockets(row));
    key("changed_on_disk", row.changed.to_string());
}

fn sockets(row: &Row) -> String {
    let one = |socket: &super::sockets::Shown| {
        let (name, address) = (quote(&socket.name), quote(&socket.address));
        format!("{{\"name\": {name}, \"address\": {address}, \"waiting\": {}}}", or_null(socket.waiting))
    };
    format!("[{}]", row.sockets.iter().map(one).collect::<Vec<_>>().join(", "))
}

fn wait_status(status: WaitStatus, ago: &Option<String>) -> String {
    let ago = or_null(ago.as_ref());
    match status {
        WaitStatus::Exited(code) => format!("{{\"code\": {code}, \"signal\": null, \"ago\": {ago}}}"),
        WaitStatus::Signalled { signal, core } => {
            format!("{{\"code\": null, \"signal\": \"{signal}\", \"core\": {core}, \"ago\": {ago}}}")
        }
        WaitStatus::Unknown => format!("{{\"code\": null, \"signal\": null, \"ago\": {ago}}}"),
    }
}

fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn null() -> String {
    "null".to_owned()
}

fn or_null(value: Option<impl Display>) -> String {
    value.map_or_else(null, |value| value.to_string())
}
