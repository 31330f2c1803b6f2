//! What the log of a service has on record of who asked for what.

use crate::logs::tail;
use std::path::Path;

/// How far back that is looked for, in lines.
const LINES: usize = 2000;

/// The verbs that decide whether a service runs.
const VERBS: [&str; 6] = ["start", "once", "stop", "restart", "halt", "exit"];

/// The last request that decided whether it runs, if that was to stop it; with its stamp.
pub(super) fn last_request(logs: &Path, name: &str) -> Option<String> {
    let lines = tail(logs, name, LINES);
    let (stamp, verb, by) = lines.iter().rev().find_map(|line| parse(line, name))?;
    matches!(verb, "stop" | "halt" | "exit").then(|| format!("{verb}: asked for by {by} at {stamp}"))
}

/// A line of a supervisor or of init with its stamp: `STAMP init: stop NAME: asked for by WHO`.
fn parse<'a>(line: &'a str, name: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let (stamp, text) = line.split_once(' ')?;
    let request = text
        .strip_prefix("init: ")
        .map_or_else(|| text.strip_prefix("supervise ")?.strip_prefix(name)?.strip_prefix(": "), Some)?;
    let (what, by) = request.split_once(": asked for by ")?;
    let verb = what.split(' ').next()?;
    VERBS.contains(&verb).then_some((stamp, verb, by))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_found_in_a_line_of_init_and_of_the_supervisor() {
        let who = "process 1 (svctl) of user 0";
        for (line, expected) in [
            (format!("T init: stop a: asked for by {who}"), Some(("T", "stop", who))),
            (format!("T supervise a: restart: asked for by {who}"), Some(("T", "restart", who))),
            (format!("T supervise b: restart: asked for by {who}"), None),
            (format!("T supervise a: kill TERM: asked for by {who}"), None),
            ("T stop: asked for by me".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(parse(&line, "a"), expected, "{line}");
        }
    }
}
