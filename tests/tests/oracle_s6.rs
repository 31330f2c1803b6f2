//! Service directories of s6, beside Debian's s6: every file of the contract (servicedir), and every command in
//! every state. Where we differ on purpose the scenario says why.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr, reason = "tests")]

#[path = "oracle_s6/commands.rs"]
mod commands;
#[path = "oracle_s6/copies.rs"]
mod copies;
#[path = "oracle_s6/execline.rs"]
mod execline;
#[path = "oracle_s6/exit.rs"]
mod exit;
#[path = "oracle_s6/finish.rs"]
mod finish;
#[path = "oracle_s6/finishing.rs"]
mod finishing;
#[path = "oracle_s6/logger.rs"]
mod logger;
#[path = "oracle_s6/readiness.rs"]
mod readiness;
#[path = "oracle_s6/refused.rs"]
mod refused;
#[path = "oracle_s6/run.rs"]
mod run;
#[path = "oracle_s6/stopping.rs"]
mod stopping;
#[path = "oracle_s6/table.rs"]
mod table;
#[path = "oracle_s6/tally.rs"]
mod tally;
