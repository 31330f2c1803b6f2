//! Each setting of `[sandbox]`: what it forbids is tried, fails, and succeeds without the setting. Real services of a real
//! supervisor; what takes a privilege is passed over by those who have none.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what fails here fails a test"
)]

#[path = "sandbox/calls.rs"]
mod calls;
#[path = "sandbox/files.rs"]
mod files;
#[path = "sandbox/lacking.rs"]
mod lacking;
#[path = "sandbox/life.rs"]
mod life;
#[path = "sandbox/machine.rs"]
mod machine;
#[path = "sandbox/namespaces.rs"]
mod namespaces;
#[path = "sandbox/rights.rs"]
mod rights;
#[path = "sandbox/table.rs"]
mod table;

use std::sync::atomic::{AtomicUsize, Ordering};
use tests::{Fixture, Supervised};

/// Whether the tests may do what a machine's supervisor may.
fn privileged() -> bool {
    tests::process::own_user() == 0
}

/// A service that is a shell script with these settings. It says what it has to say in lines that begin with `> `.
fn service(settings: &str, script: &str) -> Fixture {
    let script = script.replace('\n', " ").replace('\\', "\\\\").replace('"', "\\\"");
    let toml = format!(
        "command = [\"/bin/sh\", \"-c\", \"{script}\"]\n[restart]\nwhen = \"never\"\n[sandbox]\n{settings}"
    );
    Fixture::new().service("a", &toml)
}

/// What the script has said by the time it has ended.
fn said(service: &Supervised) -> String {
    service.wait_for("it has ended", |status| status.last_exit.is_some());
    let log = service.log();
    let lines = log.lines().filter_map(|line| line.strip_prefix("> "));
    lines.collect::<Vec<_>>().join(" ")
}

/// What a script says with these settings.
#[track_caller]
fn outcome(settings: &str, script: &str) -> String {
    said(&service(settings, script).start())
}

/// Holds a setting against what the script says with it and without it.
#[track_caller]
fn forbids(setting: &str, script: &str, with: &str, without: &str) {
    assert_eq!(outcome("", script), without, "without {setting}: {script}");
    assert_eq!(outcome(setting, script), with, "with {setting}: {script}");
}

/// A directory of one test's own, outside what the settings concern, that is gone afterwards.
struct Place(std::path::PathBuf);

impl Place {
    fn new() -> Place {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let place = std::path::PathBuf::from(format!("/var/lib/sandbox-{}-{number}", std::process::id()));
        for directory in ["open", "closed"] {
            std::fs::create_dir_all(place.join(directory)).unwrap();
            std::fs::write(place.join(directory).join("file"), "text\n").unwrap();
        }
        Place(place)
    }

    fn text(&self, text: &str) -> String {
        text.replace("@P", self.0.to_str().unwrap())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
