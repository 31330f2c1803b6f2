//! A directory as s6-supervise or runsv run it: `run`, `finish`, and the files that tune them.

use super::super::program::is_executable;
use super::Foreign;
use super::files::Files;
use service::definition::{Apart, Definition, ReadyMethod, Restart, Scope, Style};
use service::setup::Namespace;
use std::path::Path;
use std::time::Duration;

/// The wait between two restarts: a second for both of them. The first restart waits for nothing here.
const RESTART_DELAY: Duration = Duration::from_secs(1);
/// Neither of them ever kills what does not stop. A machine that is to go down cannot wait for it.
pub(super) const STOP_TIMEOUT: Duration = Duration::from_secs(60);
/// runsv lets a finish script hang for ever.
const RUNIT_FINISH_TIMEOUT: Duration = Duration::from_secs(60);
/// How long sv waits for `check` to succeed.
const CHECK_TIMEOUT: Duration = Duration::from_secs(7);
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// How long a logger may take to write what is left after its last line.
pub(super) const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// Descriptors above this are not given to a child.
const DESCRIPTOR_MAX: u32 = 63;
/// What s6-supervise keeps at most.
const TALLY_MAX: u32 = 4096;
/// The characters for which runsv looks for a program (runsv(8), CUSTOMIZE CONTROL).
const CONTROLS: [&str; 14] = ["1", "2", "a", "c", "d", "h", "i", "k", "o", "p", "q", "t", "u", "x"];

/// Reads the directory of a longrun; `argument` is the name that s6 gives its scripts.
pub(super) fn read(foreign: &mut Foreign, directory: &Path, argument: &str) {
    let mut files = Files::new(directory);
    let definition = &mut foreign.definition;
    definition.working_directory.clone_from(&definition.directory);
    if is_executable(&directory.join("run")) {
        definition.command = vec!["./run".to_owned()];
        if definition.style == Style::S6 {
            definition.command.push(argument.to_owned());
        }
    }
    definition.finish = files.executable("finish");
    definition.restart = Restart {
        delay: RESTART_DELAY,
        max_delay: RESTART_DELAY,
        reset_after: RESTART_DELAY,
        ..definition.restart
    };
    definition.stop.timeout = Some(STOP_TIMEOUT);
    match definition.style {
        Style::Runit => runit(definition, &mut files),
        Style::S6 | Style::Mainstay => s6(definition, &mut files),
    }
    foreign.diagnostics.append(&mut files.diagnostics);
}

fn s6(definition: &mut Definition, files: &mut Files<'_>) {
    let milliseconds = |number: u32| Some(Duration::from_millis(number.into())).filter(|d| !d.is_zero());
    if let Some(number) = descriptor(files, "notification-fd") {
        definition.ready.method = ReadyMethod::Descriptor(number);
    }
    definition.lock_descriptor = descriptor(files, "lock-fd");
    if let ReadyMethod::Descriptor(number) = definition.ready.method
        && definition.lock_descriptor == Some(number)
    {
        // s6-supervise does not start it either.
        files.error("lock-fd", &format!("{number} is the notification-fd already"));
    }
    let kill = files.number("timeout-kill");
    if let Some(number) = kill {
        definition.stop.timeout = milliseconds(number);
    }
    if files.exists("flag-timeout-killpg") && kill.is_some_and(|number| number > 0) {
        definition.stop.kill_scope = Scope::Group;
    }
    if let Some(number) = files.number("timeout-finish") {
        definition.finish_timeout = milliseconds(number);
    }
    if let Some(signal) = files.signal("down-signal") {
        definition.stop.signal = signal;
    }
    if let Some(signal) = files.signal("reload-signal") {
        definition.stop.reload_signal = signal;
    }
    if files.exists("flag-newpidns") {
        definition.process.namespaces = vec![Apart { kind: Namespace::Pid, lenient: false }];
    }
    if files.number("max-death-tally").is_some_and(|number| number > TALLY_MAX) {
        files.warning("max-death-tally", "more than 4096 deaths are never counted");
    }
}

/// A descriptor that is given to the service.
fn descriptor(files: &mut Files<'_>, file: &str) -> Option<i32> {
    let number = files.number(file)?;
    match number {
        0 => files.warning(file, "0 is not the number of such a descriptor: it is ignored"),
        1..=DESCRIPTOR_MAX => return i32::try_from(number).ok(),
        _ => files.error(file, "descriptors above 63 are not supported"),
    }
    None
}

fn runit(definition: &mut Definition, files: &mut Files<'_>) {
    definition.finish_timeout = Some(RUNIT_FINISH_TIMEOUT);
    if files.executable("check") {
        definition.ready.method =
            ReadyMethod::Command { command: vec!["./check".to_owned()], interval: CHECK_INTERVAL };
        definition.ready.timeout = Some(CHECK_TIMEOUT);
    }
    for letter in CONTROLS {
        if files.executable(&format!("control/{letter}")) {
            definition.controls.push(letter.to_owned());
        }
    }
}
