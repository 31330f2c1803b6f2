//! Whose directory it is: s6's or runit's, by the files that only one of them has, by what its `run` is
//! written in, and by the tools that it uses.

use super::super::diagnostic::{Diagnostic, Location, Severity};
use service::definition::Style;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

/// Files that mean something to s6-supervise and nothing to runsv.
const S6: [&str; 12] = [
    "notification-fd",
    "lock-fd",
    "timeout-kill",
    "timeout-finish",
    "flag-timeout-killpg",
    "flag-newpidns",
    "max-death-tally",
    "down-signal",
    "reload-signal",
    "instance",
    "instances",
    "event",
];
/// Files that mean something to runit, Debian's dh_runit or Void's runit-void, and nothing to s6.
const RUNIT: [&str; 6] = ["check", "control", "conf", ".meta", "supervise/ok", "log/conf"];
/// How much of a script is looked at.
const SCRIPT_MAX: u64 = 64 * 1024;

/// What speaks for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Evidence {
    None,
    S6,
    Runit,
    Both,
}

/// Whose directory it is; s6's when nothing tells.
pub(super) fn style(directory: &Path, diagnostics: &mut Vec<Diagnostic>) -> Style {
    match evidence(directory) {
        Evidence::None | Evidence::S6 => Style::S6,
        Evidence::Runit => Style::Runit,
        Evidence::Both => {
            let at = Location::whole(&directory.display().to_string());
            let message = "there are files of s6 and of runit: it is read as s6's (style in a \
                           service.d/*.toml says whose it is)";
            diagnostics.push(Diagnostic::new(&at, Severity::Warning, message, None));
            Style::S6
        }
    }
}

pub(super) fn evidence(directory: &Path) -> Evidence {
    let any = |files: &[&str]| files.iter().any(|file| directory.join(file).symlink_metadata().is_ok());
    // A link to where runsv keeps its state: runit's, whether or not it is there yet.
    let state = fs::read_link(directory.join("supervise"));
    let linked = state.is_ok_and(|target| target.as_os_str().to_string_lossy().contains("runit"));
    match (any(&S6), any(&RUNIT) || linked) {
        (true, true) => Evidence::Both,
        (true, false) => Evidence::S6,
        (false, true) => Evidence::Runit,
        (false, false) => script(&directory.join("run")),
    }
}

/// What a script is written in, and with.
fn script(run: &Path) -> Evidence {
    let mut bytes = Vec::new();
    // Not a pipe, which would wait for a writer.
    if !fs::metadata(run).is_ok_and(|metadata| metadata.is_file())
        || File::open(run).and_then(|file| file.take(SCRIPT_MAX).read_to_end(&mut bytes)).is_err()
    {
        return Evidence::None;
    }
    let text = String::from_utf8_lossy(&bytes);
    let Some(first) = text.lines().next().filter(|line| line.starts_with("#!")) else {
        return Evidence::None;
    };
    if first.contains("execlineb") {
        return Evidence::S6;
    }
    if first.contains("runit") {
        return Evidence::Runit;
    }
    let code = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let words: Vec<&str> =
        code.flat_map(|line| line.split(|c: char| c.is_whitespace() || c == '/')).collect();
    if words.iter().any(|word| matches!(*word, "chpst" | "svlogd" | "runsvdir" | "utmpset")) {
        return Evidence::Runit;
    }
    if words.iter().any(|word| word.starts_with("s6-")) { Evidence::S6 } else { Evidence::None }
}
