//! The agent's side of its connection to the master.

use std::sync::Arc;
use std::time::Duration;

use crate::agent::Agent;
use crate::http::{field, post, thread};
use crate::{launch, recovery};

/// Registers, and again whenever the master has been away, for ever.
pub(crate) fn start(agent: &Arc<Agent>) {
    let agent = Arc::clone(agent);
    thread("registration", move || {
        // As Mesos: doubled each time. It tries once without delay, so that a boot waits for nothing.
        let first = agent.flags.duration("registration_backoff_factor") / 8;
        let longest = agent.flags.duration("registration_backoff_factor") * 8;
        let mut delay = first;
        info!("New master detected at master@{}", agent.master);
        while !agent.state().draining {
            match register(&agent) {
                Ok(()) => delay = first,
                Err(message) => {
                    info!("Failed to register with master@{}: {message}; again in {delay:?}", agent.master);
                    std::thread::sleep(delay.max(Duration::from_millis(1)));
                    delay = (delay * 2).min(longest);
                }
            }
        }
    });
}

/// Registers and stays until the master is gone.
fn register(agent: &Arc<Agent>) -> Result<(), String> {
    let known = agent.state().info.as_ref().map(|info| info.id.clone());
    let (id, hostname) = (known.clone().unwrap_or_default(), &agent.address.hostname);
    let body = format!("id={id}\nhostname={hostname}\naddress={}\n", agent.address.advertised);
    let mut connection =
        post(&agent.master, "/master/standin/register", &body).map_err(|error| error.to_string())?;
    let mut answer = String::new();
    for _ in 0..2 {
        answer.push_str(&connection.line().ok_or("the connection was lost")?);
        answer.push('\n');
    }
    let from = field(&answer, "from").ok_or("the answer has no sender")?;
    let expected = format!("master@{}", agent.master);
    if from != expected {
        return Err(format!(
            "Ignoring registration message from {from} because it is not the expected master: {expected}"
        ));
    }
    let id = field(&answer, "id").ok_or("the answer has no id")?;
    let word = if known.is_some() { "Re-registered" } else { "Registered" };
    if known.is_none() {
        let info = recovery::current(agent, id.to_owned());
        agent.meta.checkpoint(&info).map_err(|error| format!("Failed to checkpoint: {error}"))?;
        agent.state().info = Some(info);
    }
    launch::first_executors(agent, id);
    {
        let mut state = agent.state();
        state.link = connection.reader.get_ref().try_clone().ok();
        state.registered = true;
    }
    info!("{word} with master {from}; given agent ID {id}");
    while connection.line().is_some() {}
    let mut state = agent.state();
    state.registered = false;
    state.link = None;
    if !state.draining {
        warning!("Master disconnected! Waiting for a new master to be elected");
    }
    Ok(())
}
