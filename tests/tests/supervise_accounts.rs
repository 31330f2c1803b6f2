//! Supervisors that are killed all the time, with nothing lost, doubled or misjudged. In a process of its own, which
//! takes in the orphans as init does.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;
use tests::{Fixture, Pid, State, eventually};

/// The supervisor, which the test waits for itself.
static SUPERVISOR: AtomicI32 = AtomicI32::new(0);

/// Reaps every orphan as soon as it has ended.
fn reap_orphans(supervisor: Pid) {
    SUPERVISOR.store(supervisor.number(), Ordering::Relaxed);
    sys::process::become_subreaper().unwrap();
    std::thread::spawn(|| {
        loop {
            match sys::process::peek() {
                Some((pid, _)) if pid.number() != SUPERVISOR.load(Ordering::Relaxed) => {
                    sys::process::reap_one(pid);
                }
                _ => std::thread::sleep(Duration::from_micros(100)),
            }
        }
    });
}

/// A service of which every run is told once by itself and once by its finish script, with its exit code.
fn accountable() -> Fixture {
    let toml = "[restart]\ndelay = \"1ms\"\nmax-delay = \"1ms\"";
    let script = "exec 9> @T/lock\nflock -n 9 || { echo doubled >> @T/trace; exit 99; }\n\
                  echo run $$ >> @T/trace\nsleep 0.00$(($$ % 5)) 9>&-\nexit $(($$ % 97))";
    Fixture::new().service("a", toml).run(script).finish("echo end $4 $1 >> @T/trace")
}

/// How many lines there are for each process.
fn accounts(trace: &[String]) -> BTreeMap<String, (usize, Vec<String>)> {
    let mut all: BTreeMap<String, (usize, Vec<String>)> = BTreeMap::new();
    for line in trace {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["run", pid] => all.entry((*pid).to_owned()).or_default().0 += 1,
            ["end", pid, code] => all.entry((*pid).to_owned()).or_default().1.push((*code).to_owned()),
            _ => all.entry(line.clone()).or_default().0 += 1000,
        }
    }
    all
}

#[test]
fn every_run_is_counted_once_and_finished_once_whenever_supervisors_are_killed() {
    let mut service = accountable().start();
    reap_orphans(service.supervisor());
    eventually("it was started", || service.try_status().is_some_and(|status| status.started.is_some()));
    for round in 0..300_u64 {
        // Pseudo-random moments: a few instructions up to a few milliseconds after the start.
        let moment = round.wrapping_mul(2_654_435_761) % 9_000;
        std::thread::sleep(Duration::from_micros(moment));
        service.kill_supervisor();
        service.start_again(&["--resume", "--wanted", "start"]);
        SUPERVISOR.store(service.supervisor().number(), Ordering::Relaxed);
    }
    let new = Some(service.supervisor());
    service.wait_for("the last one has taken over", |status| status.supervisor == new);
    service.tell("stop");
    let status = service.until(State::Down);
    let trace = service.fixture.trace();
    let runs = trace.iter().filter(|line| line.starts_with("end")).count();
    assert!(runs > 20, "{runs}");
    for (pid, (count, ends)) in accounts(&trace) {
        let number: i32 = pid.parse().unwrap();
        let code = (number % 97).to_string();
        // Without init nobody knows how one ended while there was no supervisor: that is told as 256, as a signal is.
        let right = ends == [code] || ends == ["256"];
        // The last one may have been stopped before it said a word.
        assert!(
            (count == 1 || (count == 0 && ends == ["256"])) && right,
            "{pid}: {count} runs, ends {ends:?}, of {runs}\n{}",
            service.log()
        );
    }
    assert_eq!(usize::try_from(status.restarts).unwrap() + 1, runs);
}
