//! The operator's tool as a library: the compiler and checker of definitions, and every verb.

pub mod args;
pub mod calls;
pub mod check;
pub mod compile;
pub mod control;
pub mod events;
pub mod exit;
pub mod exposure;
pub mod help;
pub mod image;
pub mod kexec;
pub mod loaded;
pub mod logs;
pub mod metrics;
pub mod output;
pub mod places;
pub mod plan;
pub mod power;
pub mod probe;
pub mod reexec;
pub mod reports;
pub mod status;
pub mod suggest;
pub mod wait;
pub mod why;
