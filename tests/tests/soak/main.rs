//! The soak: fifty services under everything that may happen to them at once, for `SOAK` seconds (20), by a random
//! sequence that `SOAK_SEED` repeats. In the end every one is where it is wanted, none ever ran twice at a time, no
//! line is missing from any log, and nothing has grown.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "what fails here fails a test"
)]

mod account;
mod chaos;
mod model;
mod random;
mod resources;

use chaos::Chaos;
use random::Random;
use resources::Resources;
use std::time::{Duration, Instant};
use tests::Fixture;

/// How long things go on, and the seed of it.
fn settings() -> (Duration, u64) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let now = || u64::try_from(sys::clock::wall().as_micros()).unwrap();
    (Duration::from_secs(number("SOAK").unwrap_or(20)), number("SOAK_SEED").unwrap_or_else(now))
}

#[test]
fn fifty_services_come_through_whatever_happens_to_them() {
    let (time, seed) = settings();
    eprintln!("soak: {} seconds, SOAK_SEED={seed}", time.as_secs());
    let mut random = Random::new(seed);
    let (fixture, model) = model::build(Fixture::new());
    for directory in ["held", "counts", "sunk"] {
        std::fs::create_dir_all(fixture.path(directory)).unwrap();
    }
    let mut chaos = Chaos::new(fixture.boot(), model);
    let begun = Instant::now();
    chaos.go_on(&mut random, begun + time.mul_f64(0.5), true);
    // What grows until everything has happened once is not a leak; and a new execution of init would hide one.
    let before = chaos.at_rest(|chaos| Resources::take(&chaos.machine, &chaos.model));
    chaos.go_on(&mut random, begun + time, false);
    // The runs are counted while nothing dies by itself: else a count that is wrong could be right for a moment.
    let after = chaos.at_rest(|chaos| {
        account::check_runs(chaos);
        Resources::take(&chaos.machine, &chaos.model)
    });
    eprintln!("soak: {}", chaos.summary());
    eprintln!("soak: {before}\nsoak: {after}");
    after.assert_no_growth_since(&before);
    // What is still in the pipe to a reader that is not wanted would be read by nobody.
    let started = chaos.machine.svctl(&["start", "sink-0"]);
    assert_eq!(started.code, 0, "{started:?}");
    chaos.power_off();
    let Chaos { machine, model, logger_deaths, .. } = chaos;
    account::check_logs(&machine, &model, logger_deaths);
    assert_eq!(machine.fixture.read("violations"), "");
}
