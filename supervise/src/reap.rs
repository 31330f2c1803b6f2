//! Children that have ended. Each is reaped only when what follows from its end is on disk: if we are killed
//! before that, init reaps it, and tells the supervisor after us how it ended.

use crate::supervisor::Supervisor;
use service::machine::Event;

impl Supervisor {
    /// Deals with the next child that has ended; false if there is none.
    pub(crate) fn next_death(&mut self) -> bool {
        self.reap_last();
        let Some((pid, status)) = sys::process::peek() else { return false };
        self.unreaped = Some(pid);
        if self.replacement_answered(pid, status) || self.control_ended(pid, status) {
            return true;
        }
        if let Some(task) = self.tasks.ended(pid) {
            self.task_ended(task, status);
        } else {
            self.queue.push_back(Event::Died(pid, status));
        }
        true
    }

    /// Reaps the child that was dealt with last.
    pub(crate) fn reap_last(&mut self) {
        if let Some(pid) = self.unreaped.take() {
            sys::process::reap_one(pid);
        }
    }
}
