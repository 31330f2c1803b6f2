//! What is done before each start: a command makes what the process runs in, and leaves word of it in the service's
//! directory below `/run`. It runs as we do, not as the service; and it ends with us, since it is begun anew by the
//! supervisor after us, unless the process runs by then.

use crate::launch::{self, Surroundings};
use crate::supervisor::Supervisor;
use service::definition::{Definition, Prepared};
use service::machine::{Event, Task};
use service::{Pid, WaitStatus};
use std::borrow::Cow;
use std::os::fd::AsFd;
use std::path::PathBuf;

/// What a command that prepares a start leaves.
const PREPARED: &str = "prepared";
/// Why it could not, in a line.
const UNPREPARED: &str = "unprepared";
/// The longest reason that is shown, in bytes.
const REASON_MAX: usize = 1000;

impl Supervisor {
    fn beside_status(&self, name: &str) -> PathBuf {
        self.status_path.with_file_name(name)
    }

    /// Starts the command. For a process that runs already, and was not told of, there is nothing to be made.
    pub(crate) fn prepare(&mut self) {
        if self.leftovers.has_main() {
            return self.queue.push_front(Event::TaskEnded(Task::Prepare, true));
        }
        // That of an earlier try is not to be taken for this one's.
        let _ = std::fs::remove_file(self.beside_status(UNPREPARED));
        match self.run_aside(&self.definition.prepare_command) {
            Ok(pid) => *self.tasks.slot(Task::Prepare) = Some(pid),
            Err(problem) => {
                self.problem = format!("unable to prepare its start: {problem}");
                self.queue.push_front(Event::TaskEnded(Task::Prepare, false));
            }
        }
    }

    /// Starts a command as we are ourselves, for this supervisor alone.
    fn run_aside(&self, command: &[String]) -> Result<Pid, String> {
        let plain = Definition::new(&self.definition.name, &self.definition.directory);
        let variables = [("MAINSTAY_RUN", self.run.to_string_lossy().into_owned())];
        let surroundings = Surroundings {
            input: self.null.as_fd(),
            output: None,
            variables: &variables,
            ours_alone: true,
            ..self.surroundings()
        };
        self.launch(&plain, command, &surroundings).map(|child| child.pid)
    }

    /// The command has ended.
    pub(crate) fn prepare_ended(&mut self, status: WaitStatus) {
        if !status.success() {
            let told = std::fs::read_to_string(self.beside_status(UNPREPARED)).unwrap_or_default();
            let line = told.lines().next().unwrap_or_default();
            self.problem = match line.get(..REASON_MAX).unwrap_or(line) {
                "" => format!("unable to prepare its start: the command ended with {status}"),
                reason => format!("unable to prepare its start: {reason}"),
            };
        }
        self.queue.push_back(Event::TaskEnded(Task::Prepare, status.success()));
    }

    /// The definition of the start that was prepared for.
    pub(crate) fn prepared_definition(&self) -> Result<Cow<'_, Definition>, String> {
        // Only a root is told of.
        if self.definition.image.is_none() {
            return Ok(Cow::Borrowed(&self.definition));
        }
        self.prepared().map(|prepared| Cow::Owned(prepared.apply(&self.definition)))
    }

    fn prepared(&self) -> Result<Prepared, String> {
        let path = self.beside_status(PREPARED);
        let shown = path.display();
        let text = std::fs::read_to_string(&path)
            .map_err(|error| format!("unable to read {shown}: {}", launch::reason(&error)))?;
        Prepared::decode(&text).ok_or_else(|| format!("unable to read {shown}: another version wrote it"))
    }

    /// What was prepared may say how the service is stopped.
    pub(crate) fn heed_prepared(&mut self) {
        if let Ok(definition) = self.prepared_definition() {
            let signal = definition.stop.signal;
            self.machine.stop_by(signal);
        }
    }

    /// Once it is ready, what earlier starts ran in is of no more use. Nobody waits for that: what is left is taken
    /// away the next time.
    pub(crate) fn settle_down(&self) {
        if !self.definition.settle_command.is_empty()
            && let Err(problem) = self.run_aside(&self.definition.settle_command)
        {
            self.say(&format!(
                "warning: unable to take away what earlier starts ran in: {problem} (leaving it)"
            ));
        }
    }
}
