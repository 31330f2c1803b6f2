//! Following logs: the kernel tells which directory has changed (inotify(7)), and nothing is polled.

use super::source::Source;
use super::{Exit, Failure, Printer, is_log, list, warn};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};
use std::io;
use std::path::{Path, PathBuf};

/// The watched directories.
pub(super) struct Watch {
    inotify: Inotify,
    logs: PathBuf,
    /// The names that were asked for.
    names: Vec<String>,
    /// Whether services that come later are followed as well.
    all: bool,
    /// What is watched for whom.
    watched: Vec<(WatchDescriptor, String)>,
}

impl Watch {
    /// Begins to watch the logs of these services, and the directory of all logs for those that have none
    /// yet.
    pub(super) fn new(logs: &Path, names: &[String], all: bool) -> Result<Watch, Failure> {
        let refused = |error: nix::Error| Failure::system("unable to watch for changes", &error.into());
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC).map_err(refused)?;
        let flags = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
        inotify.add_watch(logs, flags).map_err(|error| {
            Failure::system(&format!("unable to watch {}", logs.display()), &io::Error::from(error))
        })?;
        let mut watch =
            Watch { inotify, logs: logs.to_owned(), names: names.to_vec(), all, watched: Vec::new() };
        for name in names {
            watch.add(name);
        }
        Ok(watch)
    }

    /// Watches a service's directory, if it is there.
    fn add(&mut self, name: &str) {
        let flags = AddWatchFlags::IN_MODIFY
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_ONLYDIR;
        if let Ok(descriptor) = self.inotify.add_watch(&self.logs.join(name), flags) {
            self.watched.retain(|(other, _)| *other != descriptor);
            self.watched.push((descriptor, name.to_owned()));
        }
    }

    /// Prints what is logged, until the reader goes away.
    pub(super) fn run(mut self, mut sources: Vec<Source>, printer: &mut Printer) -> Result<Exit, Failure> {
        loop {
            let events = match self.inotify.read_events() {
                Ok(events) => events,
                Err(nix::Error::EINTR) => continue,
                Err(error) => return Err(Failure::system("unable to watch for changes", &error.into())),
            };
            let changed = self.changed(&events, &mut sources);
            let mut lines = Vec::new();
            for source in
                sources.iter_mut().filter(|source| changed.iter().any(|name| **name == *source.name))
            {
                let mut read = || -> io::Result<()> {
                    source.refill()?;
                    while let Some(line) = source.next_line()? {
                        lines.push(line);
                    }
                    Ok(())
                };
                if let Err(error) = read() {
                    warn(&source.name, &error);
                }
            }
            // Sorting is stable, and the lines of one service are in order.
            lines.sort_by(|a, b| a.stamp.cmp(&b.stamp));
            lines.iter().try_for_each(|line| printer.line(line))?;
            printer.flush()?;
        }
    }

    /// The services whose directories have changed; new ones are taken in.
    fn changed(&mut self, events: &[InotifyEvent], sources: &mut Vec<Source>) -> Vec<String> {
        let everything = events.iter().any(|event| event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW));
        let mut changed: Vec<String> = self
            .watched
            .iter()
            .filter(|(descriptor, _)| everything || events.iter().any(|event| event.wd == *descriptor))
            .map(|(_, name)| name.clone())
            .collect();
        let top =
            events.iter().any(|event| !self.watched.iter().any(|(descriptor, _)| event.wd == *descriptor));
        if !top {
            return changed;
        }
        // A directory that has come: that of a name which was asked for, or anybody's.
        let mut fresh: Vec<String> = self.names.clone();
        if self.all {
            fresh.extend(self.newcomers(events));
        }
        fresh.retain(|name| !self.watched.iter().any(|(_, watched)| watched == name));
        for name in fresh {
            self.add(&name);
            if sources.iter().any(|source| *source.name == *name) {
                changed.push(name);
                continue;
            }
            match Source::open(&self.logs, &name) {
                Ok(source) => {
                    sources.push(source);
                    changed.push(name);
                }
                Err(error) => warn(&name, &error),
            }
        }
        changed
    }

    /// The services that have a log by now, and those whose directory has just come and may get one.
    fn newcomers(&self, events: &[InotifyEvent]) -> Vec<String> {
        let named = events.iter().filter_map(|event| event.name.as_ref()?.to_str().map(str::to_owned));
        let mut names: Vec<String> = named.filter(|name| self.logs.join(name).is_dir()).collect();
        names.extend(
            list(&self.logs).unwrap_or_default().into_iter().filter(|name| is_log(&self.logs.join(name))),
        );
        names.sort();
        names.dedup();
        names.retain(|name| service::definition::valid_name(name));
        names
    }
}
