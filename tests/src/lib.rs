//! Black-box tests of the suite, and what they share: service directories made for one test, one supervisor
//! over them, a whole machine over them in a PID namespace of its own, and an observer of what happens.
//!
//! The programs are the static ones that the image gets; `make build` makes them. Every wait is for an event
//! or a fact and has a deadline; nothing is asserted about how long something took.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "what fails here fails a test"
)]

pub mod archive;
pub mod exposition;
pub mod fixture;
pub mod hostile;
pub mod http;
pub mod images;
pub mod layout;
pub mod machine;
pub mod observer;
pub mod oracle;
pub mod process;
pub mod programs;
pub mod protobuf;
pub mod registry;
pub mod supervised;
pub mod tasks;
pub mod tracer;
pub mod tree;
pub mod wait;

pub use fixture::Fixture;
pub use machine::{Boot, Ending, Machine, Outcome};
pub use observer::{Event, Observer};
pub use service::status::{State, Status, Want};
pub use service::{Pid, Signal, WaitStatus};
pub use supervised::Supervised;
pub use tasks::TaskLimit;
pub use tracer::Tracer;
pub use wait::{DEADLINE, eventually};
