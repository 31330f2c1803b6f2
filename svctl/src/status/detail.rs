//! Everything about one service.

use super::{Row, at, usage};
use crate::args::Places;
use crate::compile::units::show;
use crate::logs;
use service::Tick;
use service::definition::Definition;
use std::fmt::Write;
use std::fs;

/// How many of its last log lines are shown.
const LOG_LINES: usize = 5;

/// Appends a paragraph.
pub(super) fn write(text: &mut String, row: &Row, supervised: bool, places: &Places, now: Tick) {
    let status = &row.status;
    let _ = writeln!(text, "\n{}: {}", status.name, headline(row, now));
    let mut line = |key: &str, value: &str| {
        if !value.is_empty() {
            let mut lines = value.lines();
            let _ = writeln!(text, "  {key:<12} {}", lines.next().unwrap_or_default());
            for more in lines {
                let _ = writeln!(text, "  {:<12} {more}", "");
            }
        }
    };
    let directory = places.run.join("service").join(&status.name);
    let definition = fs::read_to_string(directory.join("definition")).unwrap_or_default();
    if let Ok(definition) = Definition::decode(&definition) {
        line("description", &definition.description);
        line("command", &definition.command.join(" "));
    }
    for socket in &row.sockets {
        line("socket", &socket.line());
    }
    line("reason", &status.reason);
    line("says", &status.text);
    line("want", status.want.word());
    if status.unhealthy > 0 {
        line("unhealthy", &format!("health checks failed in a row: {}", status.unhealthy));
    }
    if let Some(started) = status.started {
        line("started", &format!("{} ({} ago)", at(now, started), show(now.since(started))));
    }
    if let (Some(started), Some(ready)) =
        (status.started, status.ready_since.filter(|_| status.has_readiness))
    {
        line("ready", &format!("{} (after {})", at(now, ready), show(ready.since(started))));
    }
    if status.restarts > 0 {
        line("restarts", &status.restarts.to_string());
    }
    if let Some(exit) = status.last_exit {
        let ago = status.last_exit_at.map(|tick| format!(" ({} ago)", show(now.since(tick))));
        line("last exit", &format!("{exit}{}", ago.unwrap_or_default()));
    }
    if let Some(next) = status.next_start {
        line("next start", &format!("in {}", show(next.since(now))));
    }
    for (key, value) in usage::read(&status.group).iter().flat_map(usage::Usage::lines) {
        line(key, &value);
    }
    line("unlimited", &status.unlimited);
    if status.oom_kills > 0 {
        line("oom kills", &status.oom_kills.to_string());
    }
    match status.supervisor {
        Some(supervisor) if row.unsupervised => {
            line("supervisor", &format!("pid {supervisor}, which is gone"));
        }
        Some(supervisor) if supervised => {
            line("supervisor", &format!("pid {supervisor}"));
        }
        None if row.unsupervised => line("supervisor", "none, though the service runs"),
        Some(_) | None => {}
    }
    let lines = logs::tail(&places.logs, &status.name, LOG_LINES);
    if !lines.is_empty() {
        line("log", &format!("{}/{}/current", places.logs.display(), status.name));
        for logged in lines {
            let _ = writeln!(text, "    {logged}");
        }
    }
}

fn headline(row: &Row, now: Tick) -> String {
    let status = &row.status;
    let mut text = status.state.word().to_owned();
    if row.ready() == Some(true) && status.has_readiness {
        text.push_str(" and ready");
    }
    if let Some(pid) = status.pid {
        let _ = write!(text, ", pid {pid}");
    }
    if status.since.0 != 0 {
        let _ = write!(text, ", for {}", show(now.since(status.since)));
    }
    for (holds, word) in
        [(status.paused, ", paused"), (status.reloading, ", reloading"), (status.preparing, " (preparing)")]
    {
        text.push_str(if holds { word } else { "" });
    }
    if row.unsupervised {
        text.push_str(", unsupervised");
    }
    text
}
