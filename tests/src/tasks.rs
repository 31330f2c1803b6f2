//! How many processes there may be, as the kernel's `pids` controller has it (its documentation of cgroup-v2 and of
//! cgroup-v1/pids).

use service::Pid;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A control group that limits the number of processes in it. It goes away with this, once it is empty.
#[derive(Debug)]
pub struct TaskLimit {
    place: PathBuf,
}

impl TaskLimit {
    /// One that limits nothing yet; none where such groups cannot be made.
    #[must_use]
    pub fn new() -> Option<TaskLimit> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("mainstay-tasks-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"].into_iter().find_map(|root| {
            let place = Path::new(root).join(&name);
            std::fs::create_dir(&place).ok()?;
            let limit = TaskLimit { place };
            std::fs::write(limit.place.join("pids.max"), "max").ok().map(|()| limit)
        })
    }

    /// Where processes are added to it.
    #[must_use]
    pub fn members(&self) -> PathBuf {
        self.place.join("cgroup.procs")
    }

    /// Moves a process into it, which is allowed whatever the limit.
    ///
    /// # Panics
    /// If it cannot be moved.
    #[track_caller]
    pub fn add(&self, pid: Pid) {
        std::fs::write(self.members(), pid.to_string()).unwrap();
    }

    /// No more processes than so many; none is ended for it.
    ///
    /// # Panics
    /// If it cannot be set.
    #[track_caller]
    pub fn set(&self, limit: u32) {
        std::fs::write(self.place.join("pids.max"), limit.to_string()).unwrap();
    }

    /// Any number of processes.
    ///
    /// # Panics
    /// If it cannot be set.
    #[track_caller]
    pub fn lift(&self) {
        std::fs::write(self.place.join("pids.max"), "max").unwrap();
    }

    /// How many forks it has refused.
    ///
    /// # Panics
    /// If that cannot be read.
    #[must_use]
    pub fn refused(&self) -> u64 {
        let text = std::fs::read_to_string(self.place.join("pids.events")).unwrap();
        let count = text.lines().find_map(|line| line.strip_prefix("max "));
        count.and_then(|count| count.parse().ok()).unwrap()
    }
}

impl Drop for TaskLimit {
    fn drop(&mut self) {
        let begun = std::time::Instant::now();
        while std::fs::remove_dir(&self.place).is_err() && begun.elapsed() < crate::DEADLINE {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }
}
