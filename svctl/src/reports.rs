//! Init's reports as one stream, also over a new execution of init.

use crate::control::{Connection, Line};
use crate::exit::{Exit, Failure};
use service::wire::{InitCommand, Report};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long init may be away: a new execution of it listens again at once.
const AWAY: Duration = Duration::from_secs(5);
/// The pause between two tries to reach it meanwhile.
const PAUSE: Duration = Duration::from_millis(20);

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// A line with a [`Report`].
    Report(String),
    /// Init was away, and begins again with a report of every service.
    Again,
    /// The deadline has passed.
    TimedOut,
}

/// A subscription. It begins with a report of every service, and does so again when init was away.
#[derive(Debug)]
pub struct Reports {
    path: PathBuf,
    connection: Connection,
}

impl Reports {
    /// Subscribes.
    ///
    /// # Errors
    /// If init cannot be reached.
    pub fn open(run: &Path) -> Result<Reports, Failure> {
        let path = run.join("init/control");
        let connection = subscribe(&path)?.ok_or_else(|| {
            let place = path.display();
            Failure::new(Exit::NotSupervised, format!("unable to reach init: nobody listens at {place}"))
        })?;
        Ok(Reports { path, connection })
    }

    /// The next report. Without a deadline it waits for ever.
    ///
    /// # Errors
    /// If init refuses, or is gone and does not come back.
    pub fn next(&mut self, deadline: Option<Instant>) -> Result<Next, Failure> {
        loop {
            match self.connection.line(deadline)? {
                Line::Text(line) if Report::parse(&line).is_some() => return Ok(Next::Report(line)),
                Line::Text(line) => {
                    if let Some(reason) = line.strip_prefix("error ") {
                        return Err(Failure::new(Exit::Failed, reason));
                    }
                }
                Line::TimedOut => return Ok(Next::TimedOut),
                Line::End => {
                    let there = self.reach_again(deadline)?;
                    return Ok(if there { Next::Again } else { Next::TimedOut });
                }
            }
        }
    }

    /// False if the deadline has passed.
    fn reach_again(&mut self, deadline: Option<Instant>) -> Result<bool, Failure> {
        let begun = Instant::now();
        loop {
            if let Some(connection) = subscribe(&self.path)? {
                self.connection = connection;
                return Ok(true);
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Ok(false);
            }
            if begun.elapsed() > AWAY {
                return Err(Failure::new(Exit::NotSupervised, "init closed the connection, and is gone"));
            }
            std::thread::sleep(PAUSE);
        }
    }
}

fn subscribe(path: &Path) -> Result<Option<Connection>, Failure> {
    let Some(mut connection) = Connection::open(path)? else { return Ok(None) };
    connection.send(InitCommand::Events)?;
    Ok(Some(connection))
}
