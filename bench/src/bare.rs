//! The limit: a loop that starts a program again when it ends, and knows nothing else.

use crate::unable;
use std::process::{Child, Command};

/// Keeps so many of a program running, until it is killed.
pub(crate) fn run(words: &[String]) -> Result<(), String> {
    let [program, count] = words else { return Err("--bare needs a program and a count".to_owned()) };
    let count: usize = count.parse().map_err(|_| "--bare needs a count")?;
    for _ in 0..count {
        start(program)?;
    }
    loop {
        nix::sys::wait::wait().map_err(|errno| unable("wait")(errno.into()))?;
        start(program)?;
    }
}

fn start(program: &str) -> Result<Child, String> {
    Command::new(program).spawn().map_err(unable(&format!("run {program}")))
}
