//! Afterwards: every run and every line is accounted for.

use crate::chaos::Chaos;
use crate::model::{Model, Spec};
use std::time::{Duration, Instant};
use tests::{DEADLINE, Machine};

/// How many lines each run of a service has written, by its own count.
fn counts(machine: &Machine, name: &str) -> Vec<u64> {
    let bytes = std::fs::read(machine.fixture.path(&format!("counts/{name}"))).unwrap_or_default();
    let (chunks, rest) = bytes.as_chunks::<8>();
    assert!(rest.is_empty());
    chunks.iter().map(|chunk| u64::from_le_bytes(*chunk)).collect()
}

/// The suite must have counted as many runs as there were; of those that were ended in their first moments the
/// service itself may have counted none. One that was taken out of the tree was counted anew.
#[track_caller]
pub(crate) fn check_runs(chaos: &Chaos) {
    let begun = Instant::now();
    loop {
        let wrong = wrong_runs(chaos);
        if wrong.is_empty() {
            return;
        }
        // One that has just begun has yet to count itself.
        assert!(begun.elapsed() < DEADLINE, "{}", wrong.join("\n"));
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn wrong_runs(chaos: &Chaos) -> Vec<String> {
    let mut wrong = Vec::new();
    for spec in chaos.model.specs.iter().filter(|spec| !spec.oneshot && !spec.comes_and_goes) {
        let own = u64::try_from(counts(&chaos.machine, &spec.name).len()).unwrap();
        let Some(status) = chaos.machine.try_status(&spec.name) else { continue };
        let restarts = u64::from(status.restarts);
        let ended = chaos.ended.get(&spec.name).copied().unwrap_or(0);
        if restarts + 1 < own || restarts + 1 > own + ended {
            let evidence = chaos.evidence(&spec.name);
            wrong.push(format!("{}: {restarts} restarts, {own} runs, {ended} ended\n{evidence}", spec.name));
        }
    }
    wrong
}

/// What a service has written, by its log or by what read it.
fn lines(machine: &Machine, spec: &Spec) -> Vec<String> {
    let Some(sink) = &spec.sink else { return machine.log(&spec.name) };
    machine.fixture.read(&format!("sunk/{sink}")).lines().map(str::to_owned).collect()
}

/// No line is missing, and what is there twice was written again by a logger that took over from a killed one.
#[track_caller]
pub(crate) fn check_logs(machine: &Machine, model: &Model, logger_deaths: u64) {
    let mut repeats_in_all = 0;
    for spec in &model.specs {
        let counts = counts(machine, &spec.name);
        let mut seen: Vec<u64> = vec![0; counts.len()];
        let mut repeats = 0;
        let mut last = (0, 0);
        for line in lines(machine, spec) {
            let Some(rest) = line.strip_prefix("L ") else { continue };
            let words: Vec<&str> = rest.split(' ').collect();
            let [name, run, number] = words[..] else { panic!("{}: torn: {line:?}", spec.name) };
            assert_eq!(name, spec.name, "a line in the wrong log");
            let (run, number): (usize, u64) = (run.parse().unwrap(), number.parse().unwrap());
            if (run, number) <= last {
                repeats += u64::from((run, number) < last);
            } else {
                let expected = if run == last.0 { last.1 + 1 } else { 1 };
                assert_eq!(number, expected, "{}: run {run}: after line {last:?}", spec.name);
            }
            last = (run, number);
            seen[run] = seen[run].max(number);
        }
        for (run, (count, seen)) in counts.iter().zip(&seen).enumerate() {
            let name = &spec.name;
            assert!(seen >= count, "{name}: run {run}: lines from {seen} to {count} are missing");
            assert!(*seen <= count + 1, "{name}: run {run}: {seen} lines where {count} were written");
        }
        let deaths = if spec.sink.is_some() { 0 } else { logger_deaths };
        assert!(repeats <= deaths, "{}: {repeats} repetitions, {logger_deaths} deaths", spec.name);
        repeats_in_all += repeats;
    }
    eprintln!("soak: {repeats_in_all} batches were written twice after {logger_deaths} deaths of the logger");
}
