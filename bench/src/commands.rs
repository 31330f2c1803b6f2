//! Whole commands: from starting `svctl` to its end.

use crate::sample::Sample;
use crate::suite::{Group, Suite};
use crate::unable;
use std::time::Instant;

/// How long a command takes, in milliseconds; each of `lines` is one run.
pub(crate) fn measure(suite: &Suite, lines: &[Vec<&str>]) -> Result<Sample, String> {
    let mut times = Sample::default();
    for words in lines {
        let before = Instant::now();
        let status = suite.svctl(words).status().map_err(unable("run svctl"))?;
        times.add(before.elapsed().as_secs_f64() * 1e3);
        if !status.success() {
            return Err(format!("svctl {} ended with {status}", words.join(" ")));
        }
    }
    Ok(times)
}

/// The same command many times.
pub(crate) fn repeat(suite: &Suite, words: &[&str], times: usize) -> Result<Sample, String> {
    measure(suite, &vec![words.to_vec(); times])
}

/// `svctl restart` of each service of a group.
pub(crate) fn restarts(suite: &Suite, group: &Group) -> Result<Sample, String> {
    let lines: Vec<Vec<&str>> = group.names.iter().map(|name| vec!["restart", name.as_str()]).collect();
    measure(suite, &lines)
}
