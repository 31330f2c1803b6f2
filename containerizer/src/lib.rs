//! A program for the external containerizer of Mesos 0.19 to 1.0: containers are transient services.
//!
//! The agent executes it for each thing that it wants, with one message on standard input, and takes one message from
//! standard output ([`framing`], [`wire`], [`messages`]). What is to be done ([`plan`]) is done by `svctl` ([`svctl`]), which
//! also keeps the account of what there is: this program has no state of its own, so it can be killed at any step.
//! Facts about the protocol are from `docs/external-containerizer.md`, `src/slave/containerizer/external_containerizer.cpp` and the
//! `.proto` files of Mesos.

pub mod delivery;
pub mod error;
pub mod framing;
pub mod limits;
pub mod messages;
pub mod names;
pub mod plan;
pub mod report;
pub mod sandbox;
pub mod svctl;
pub mod verbs;
pub mod wire;
