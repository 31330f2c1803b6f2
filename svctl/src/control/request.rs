//! One command for init whose answer is all that is waited for.

use super::client::Line;
use super::direct::reply;
use super::init;
use crate::args::Places;
use crate::exit::{Exit, Failure};
use service::wire::InitCommand;
use std::time::Instant;

/// Has init take a command. It is asked again if another init takes its place before it has answered.
///
/// # Errors
/// Init refuses, cannot be reached, or does not answer by then.
pub fn request(places: &Places, command: InitCommand<'_>, deadline: Instant) -> Result<(), Failure> {
    let mut connection = init::open(places)?;
    connection.send(command)?;
    loop {
        match connection.line(Some(deadline))? {
            Line::Text(line) => match reply(&line) {
                Some(Ok(())) => return Ok(()),
                Some(Err(reason)) => return Err(Failure::new(Exit::Failed, reason)),
                None => {}
            },
            Line::End if connection.reopen()? => connection.send(command)?,
            Line::End => return Err(Failure::new(Exit::NotSupervised, "init closed the connection")),
            Line::TimedOut => return Err(Failure::new(Exit::TimedOut, "init does not answer")),
        }
    }
}
