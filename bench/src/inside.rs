//! The inner half: measures one thing after the other, and tells.

use crate::kills::Victim;
use crate::memory::Memory;
use crate::peers::Peer;
use crate::sample::Sample;
use crate::suite::Suite;
use crate::{Options, commands, idle, kills, machine, peers, processes, table, unable};
use nix::mount::{MsFlags, mount};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Runs of a command whose time does not depend on the service.
const REPEATS: usize = 30;

/// Services of a peer that wait a second after a run shorter than this, which is their rule.
const SETTLING: Duration = Duration::from_millis(2200);

/// Measures, as the first process of a PID namespace.
pub(crate) fn run(options: &Options, directory: &Path) -> Result<(), String> {
    // Out of the way of any disk, and gone with the namespace.
    mount(Some("tmpfs"), directory, Some("tmpfs"), MsFlags::empty(), Some("mode=0700"))
        .map_err(|errno| unable("mount a tmpfs")(errno.into()))?;
    table::line(&format!("Mainstay {} on {}", env!("CARGO_PKG_VERSION"), machine::describe()));
    table::line(
        "times in ms, memory in kB; medians; \"high\" is what nine of ten stay below; \"aim\" is ours",
    );

    if machine::is_busy() {
        table::line("This machine is busy with something else: the times below mean little.");
    }
    let programs = copy_programs(&options.programs, &directory.join("programs"))?;
    let few = small(options, &programs, &directory.join("few"))?;
    let mut suite = start(&programs, &directory.join("many"), options.services)?;
    let many = Memory::of(&suite.processes());
    // The last words of the start are still on their way.
    std::thread::sleep(Duration::from_millis(500));
    let woken = idle::measure(&suite.processes(), Duration::from_secs(options.idle));
    kill_services(options, &mut suite, directory)?;
    let used = Memory::of(&suite.processes());

    table::heading("private memory per service, logger included", ["all", "data", "", "aim"]);
    tell_memory(options.few, "", &few.memory, "");
    tell_memory(options.services, "", &many, "24");
    tell_memory(options.services, ", each restarted once", &used, "24");
    for (label, name) in [("s6, without a logger", "s6-supervise"), ("runit, without a logger", "runsv")] {
        tell_peer_memory(label, name);
    }
    commands_of(options, &suite, &few.status)?;
    tell_idle(options, &suite, &woken);
    suite.stop()
}

/// Copies, so that they cannot change meanwhile, and no page of theirs is shared with what runs elsewhere.
fn copy_programs(from: &Path, to: &Path) -> Result<PathBuf, String> {
    fs::create_dir_all(to).map_err(unable("make a directory"))?;
    for program in ["init", "supervise", "svlog", "svctl"] {
        let problem = unable(&format!("copy {}", from.join(program).display()));
        fs::copy(from.join(program), to.join(program)).map_err(problem)?;
    }
    Ok(to.to_owned())
}

fn start(programs: &Path, directory: &Path, services: u16) -> Result<Suite, String> {
    fs::create_dir_all(directory).map_err(unable("make a directory"))?;
    Suite::start(programs, directory, services)
}

/// What is measured on the small tree.
struct Few {
    memory: Memory,
    status: Sample,
}

fn small(options: &Options, programs: &Path, directory: &Path) -> Result<Few, String> {
    let suite = start(programs, directory, options.few)?;
    let memory = Memory::of(&suite.processes());
    let status = commands::repeat(&suite, &["status"], REPEATS)?;
    suite.stop()?;
    Ok(Few { memory, status })
}

/// Kills every service of everybody once.
fn kill_services(options: &Options, suite: &mut Suite, directory: &Path) -> Result<(), String> {
    let count = usize::from(options.services / 2);
    let mut all = [
        peers::bare(directory, count)?,
        peers::installed("s6-supervise, says ready", "s6-supervise", directory, count)?,
        peers::installed("runsv", "runsv", directory, count)?,
    ];
    std::thread::sleep(SETTLING);
    let mut victims: Vec<Victim<'_>> = all.iter_mut().filter_map(victim_of).collect();
    for (label, group) in [("mainstay", &mut suite.plain), ("mainstay, says ready", &mut suite.ready)] {
        let (fifo, pids) = (&mut group.fifo, group.pids.as_mut_slice());
        victims.push(Victim { label, fifo, pids, times: Sample::default() });
    }
    kills::measure(&mut victims, count)?;
    table::heading("SIGKILL of a service to its next start", ["median", "high", "ratio", "aim"]);
    let limit = victims.first().map(|victim| victim.times.median());
    for victim in &victims {
        let aim = if victim.label.starts_with("mainstay") { "1.6" } else { "" };
        table::times(victim.label, &victim.times, limit, aim);
    }
    for peer in all.iter().filter(|peer| peer.running.is_none()) {
        table::absent(peer.label);
    }
    Ok(())
}

fn victim_of(peer: &mut Peer) -> Option<Victim<'_>> {
    let label = peer.label;
    let running = peer.running.as_mut()?;
    Some(Victim { label, fifo: &mut running.fifo, pids: &mut running.pids, times: Sample::default() })
}

fn tell_memory(services: u16, when: &str, memory: &Memory, aim: &str) {
    let [private, data] = memory.per(usize::from(services));
    let label = format!("mainstay, {services} services{when}");
    table::row(&label, [private, data, String::new(), aim.to_owned()]);
    table::note(&format!("each: {}", memory.parts()));
}

fn tell_peer_memory(label: &str, name: &str) {
    let supervisors = processes::named(name);
    if supervisors.is_empty() {
        return table::absent(label);
    }
    let [private, data] = Memory::of(&supervisors).per(supervisors.len());
    table::row(label, [private, data, String::new(), String::new()]);
}

fn commands_of(options: &Options, suite: &Suite, few: &Sample) -> Result<(), String> {
    table::heading("svctl, the whole command", ["median", "high", "ratio", "aim"]);
    let version = commands::repeat(suite, &["version"], REPEATS)?;
    let limit = Some(version.median());
    table::times("version: no more than its start", &version, limit, "");
    let plain = commands::restarts(suite, &suite.plain)?;
    table::times("restart of one that is ready at once", &plain, limit, "1.0 ms");
    table::times(
        "restart of one that says ready",
        &commands::restarts(suite, &suite.ready)?,
        limit,
        "1.0 ms",
    );
    table::times(&format!("status of {}", options.few), few, limit, "");
    let many = commands::repeat(suite, &["status"], REPEATS)?;
    table::times(&format!("status of {}", options.services), &many, limit, "");
    Ok(())
}

fn tell_idle(options: &Options, suite: &Suite, woken: &[(String, u64)]) {
    let times: u64 = woken.iter().map(|(_, times)| times).sum();
    table::heading(&format!("wake-ups in {} s without work", options.idle), ["all", "", "", "aim"]);
    let label = format!("the {} processes of mainstay", suite.processes().len());
    table::row(&label, [times.to_string(), String::new(), String::new(), "0".to_owned()]);
    for (name, times) in woken {
        table::note(&format!("{name}: {times}"));
    }
}
