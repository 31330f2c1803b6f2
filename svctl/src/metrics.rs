//! The verb `metrics`: how services are, for Prometheus, in its text format. Reads files and asks nobody, as `status` does.

mod families;
mod group;
mod listen;
#[cfg(test)]
mod tests;
mod text;

use crate::args::Places;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::plan::Plan;
use crate::status::{Files, Row, names};
use group::Group;
use service::Tick;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the metrics go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To {
    /// To standard output.
    Output,
    /// To a file, as a whole.
    File(PathBuf),
    /// To whoever asks at the sockets that we are given, until nobody has for so long.
    Askers(Duration),
}

/// A service as it is counted.
struct Seen {
    row: Row,
    group: Group,
    /// What its log takes on the disk, in bytes.
    log: Option<u64>,
}

/// The moment at which everything is looked at.
#[derive(Clone, Copy)]
struct Moment {
    now: Tick,
    /// The time since 1970.
    wall: Duration,
}

impl Moment {
    /// A time since 1970.
    fn at(self, tick: Tick) -> Duration {
        self.wall.saturating_sub(self.now.since(tick))
    }
}

/// Tells the metrics.
///
/// # Errors
/// If they cannot be written, or there is no socket to be asked at.
pub fn run(places: &Places, to: &To) -> Result<Exit, Failure> {
    if !matches!(to, To::Askers(_)) {
        // An empty file would say that there is no service.
        Plan::found(&places.run)?;
    }
    match to {
        To::Output => output::print(&collect(places))?,
        To::File(file) => replace(file, &collect(places))?,
        To::Askers(idle) => listen::serve(*idle, &|| collect(places))?,
    }
    Ok(Exit::Ok)
}

/// All metrics as they are now.
fn collect(places: &Places) -> String {
    let moment = Moment { now: sys::clock::now(), wall: sys::clock::wall() };
    let plan = Plan::read(&places.run);
    let mut files = Files::new();
    let seen = |name: String| {
        let row = files.row(&places.run, &plan, &name);
        Seen { group: Group::read(&row.status.group), log: size_of_log(&places.logs.join(name)), row }
    };
    let seen: Vec<Seen> = names(&places.run, &plan).into_iter().map(seen).collect();
    families::write(crate::reexec::read(&places.run).as_ref(), &seen, moment)
}

/// The size of all files of a log together.
fn size_of_log(directory: &Path) -> Option<u64> {
    let entries = fs::read_dir(directory).ok()?.flatten();
    Some(
        entries
            .filter_map(|entry| entry.metadata().ok())
            .filter(fs::Metadata::is_file)
            .map(|file| file.len())
            .sum(),
    )
}

/// Puts a file in another's place: whoever reads it sees all of the one or of the other.
fn replace(file: &Path, text: &str) -> Result<(), Failure> {
    let told =
        |error: &std::io::Error| Failure::system(&format!("unable to write {}", file.display()), error);
    let name = file.file_name().ok_or_else(|| told(&std::io::ErrorKind::IsADirectory.into()))?;
    // A directory of our own, so that nobody who may write beside the file is followed, and no half is taken for metrics.
    let aside = file.with_file_name(format!(".{}.{}", name.to_string_lossy(), std::process::id()));
    fs::DirBuilder::new().mode(0o700).create(&aside).map_err(|error| told(&error))?;
    let new = aside.join("new");
    let replaced = fs::write(&new, text).and_then(|()| fs::rename(&new, file));
    let _ = fs::remove_file(&new);
    let _ = fs::remove_dir(&aside);
    replaced.map_err(|error| told(&error))
}
