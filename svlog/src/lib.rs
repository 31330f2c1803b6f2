//! The logger of all services: one process that reads every service's pipe, stamps each line, appends it
//! to `DIR/NAME/current`, and rotates that file by size.
//!
//! The order of work is what makes a crash harmless. A batch is copied out of the pipe with tee(2), which
//! takes nothing away, then written to the file, and only then drained from the pipe: whatever
//! instruction a SIGKILL hits, the lines are in the file or still in the pipe. The same lines can be in
//! both, so that the guarantee is *at least once*: after a kill between the write and the drain, the
//! last batch is in the file twice. Comparing the pipe with the end of the file could not tell that case from a
//! service that says the same thing again, and would trade a repetition for a loss.
//!
//! - [`stamp`], [`lines`], [`rotate`] and [`timers`] decide, and touch nothing.
//! - [`desk`] holds the buffers and the private pipe, [`file`] one log directory, [`log`] joins one pipe to
//!   one directory, [`logger`] is the loop over all of them.

#![forbid(unsafe_code)]

pub mod desk;
pub mod file;
pub mod lines;
pub mod log;
pub mod logger;
pub mod options;
pub mod report;
pub mod rotate;
pub mod stamp;
pub mod timers;
