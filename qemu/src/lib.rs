//! Boots an image in QEMU and talks to it: console, ssh, power. A library for tests, and a command for people.
//!
//! ```no_run
//! use std::time::Duration;
//! use qemu::{Machine, Ports};
//!
//! # fn main() -> Result<(), qemu::Error> {
//! let machine = Machine::builder("target/image").ports(Ports::free()).boot()?;
//! machine.wait_until_up(Duration::from_secs(120))?;
//! assert!(machine.ssh("svctl status")?.success());
//! machine.power_off()?;
//! # Ok(())
//! # }
//! ```
//!
//! Nothing outlives a [`Machine`]: dropping it kills qemu, and the kernel kills qemu and ssh with this process.
//! There are no files: qemu's monitor is an inherited socket, ssh is told to remember nothing.

mod accel;
mod builder;
pub mod cli;
mod console;
mod error;
mod image;
mod machine;
mod ports;
mod power;
mod probe;
mod process;
mod progress;
mod qmp;
mod ssh;
mod terminal;

pub use accel::{Accelerator, Choice};
pub use builder::{Builder, OnReboot};
pub use console::Console;
pub use error::Error;
pub use machine::Machine;
pub use ports::{AGENT, EXPORTER, MASTER, Ports, SSH};
pub use power::Ended;
pub use ssh::Output;
