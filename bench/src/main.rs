//! `bench`: measures the suite beside a bare loop, and beside s6 and runit where they are installed.
//!
//! Everything runs in a PID namespace of its own, on a tmpfs of its own, with the measuring program as the first
//! process: whatever happens, the kernel ends all of it with that process, and nothing is left on disk.
#![allow(clippy::print_stderr, reason = "a command that a person runs")]

mod bare;
mod commands;
mod fifo;
mod idle;
mod inside;
mod kills;
mod machine;
mod memory;
mod namespace;
mod peers;
mod processes;
mod sample;
mod sleeper;
mod suite;
mod table;

use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;

/// Measures the suite beside a bare loop, and beside s6 and runit where their programs are installed.
///
/// Needs root, or the right to make user namespaces. Takes less than a minute, and leaves nothing behind.
#[derive(Clone, Debug, Parser)]
#[command(name = "bench", version)]
struct Options {
    /// Where init, supervise, svlog and svctl are
    #[arg(long, value_name = "DIRECTORY", default_value = "target/x86_64-unknown-linux-musl/release")]
    programs: PathBuf,
    /// How many services the large tree has
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(4..=1000))]
    services: u16,
    /// How many services the small tree has
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(2..=1000))]
    few: u16,
    /// For how many seconds everybody is watched doing nothing
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    idle: u64,
    /// Measures, in a namespace that this program has made
    #[arg(long, hide = true, value_name = "DIRECTORY")]
    inside: Option<PathBuf>,
    /// Runs the bare loop over so many of a program
    #[arg(long, hide = true, num_args = 2, value_names = ["PROGRAM", "COUNT"])]
    bare: Option<Vec<String>>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let result = match (&options.bare, &options.inside) {
        (Some(words), _) => bare::run(words),
        (None, Some(directory)) => inside::run(&options, directory),
        (None, None) => return namespace::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("bench: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// A failure of the system in words, for `map_err`.
fn unable(what: &str) -> impl FnOnce(std::io::Error) -> String + use<> {
    let what = what.to_owned();
    move |error| {
        let cause = error.raw_os_error().map_or_else(|| error.to_string(), |n| sys::errno_text(n).to_owned());
        format!("unable to {what}: {cause}")
    }
}
