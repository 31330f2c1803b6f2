//! Requests to init: what concerns a service together with what it requires, or what requires it.

use super::client::{Connection, Line};
use super::direct::reply;
use super::follow::{Goal, Progress, Verdict};
use super::{Outcome, Wish, resolve};
use crate::args::{Patience, Places};
use crate::exit::{Exit, Failure};
use crate::plan::Plan;
use service::definition::valid_name;
use service::wire::{Command, InitCommand, Report};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long init may take to answer what it answers at once.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// One name on the command line.
struct Request {
    name: String,
    /// The services that it stands for.
    members: Vec<Member>,
    answer: Option<Result<(), String>>,
}

/// One service that is waited for.
struct Member {
    progress: Progress,
    asked_again: bool,
    outcome: Option<Outcome>,
}

/// What is still to be answered, in the order in which it was sent.
enum Pending {
    Events,
    Request(usize),
}

/// Asks, and waits if that is wished; the outcomes are in the order of the names.
pub(super) fn ask(places: &Places, wish: Wish, names: &[String], patience: Patience) -> Vec<Outcome> {
    let plan = Plan::read(&places.run);
    let mut strangers: Vec<(usize, Outcome)> = Vec::new();
    let mut requests: Vec<Request> = Vec::new();
    for (at, name) in names.iter().enumerate() {
        match resolve(places, &plan, name) {
            Ok(members) => requests.push(Request::new(name, &members)),
            // Only init can tell whether there is such a template.
            Err(_) if wish != Wish::Stop && may_be_instance(name) => {
                let mut request = Request::new(name, std::slice::from_ref(name));
                request.members.iter_mut().for_each(|member| member.progress.expect_nothing());
                requests.push(request);
            }
            Err(failure) => strangers.push((at, failure.into())),
        }
    }
    if !requests.is_empty()
        && let Err(failure) = converse(places, wish, &mut requests, patience)
    {
        for request in &mut requests {
            request.fail(&failure);
        }
    }
    let mut outcomes: Vec<Vec<Outcome>> = requests.into_iter().map(Request::outcomes).collect();
    for (at, outcome) in strangers {
        outcomes.insert(at.min(outcomes.len()), vec![outcome]);
    }
    outcomes.into_iter().flatten().collect()
}

/// Whether it can be the name of an instance.
pub(super) fn may_be_instance(name: &str) -> bool {
    valid_name(name) && name.split_once('@').is_some_and(|(_, instance)| !instance.is_empty())
}

fn converse(
    places: &Places,
    wish: Wish,
    requests: &mut [Request],
    patience: Patience,
) -> Result<(), Failure> {
    let begun = Instant::now();
    let mut connection = open(places)?;
    let mut pending = send_all(&mut connection, wish, requests, patience)?;
    let goal = match wish {
        Wish::Start => Goal::Up,
        Wish::Once => Goal::Once,
        Wish::Stop => Goal::Down,
        Wish::Restart => Goal::NewRun,
    };
    let timeout = if patience.wait { patience.timeout } else { ANSWER_TIME };
    while !pending.is_empty() || (patience.wait && requests.iter().any(|request| !request.is_settled())) {
        match connection.line(Some(begun + timeout))? {
            Line::Text(line) => match reply(&line) {
                Some(answer) => match pending.pop_front() {
                    Some(Pending::Request(at)) => {
                        if let Some(request) = requests.get_mut(at) {
                            request.answer = Some(answer);
                        }
                    }
                    Some(Pending::Events) => answer.map_err(|reason| Failure::new(Exit::Failed, reason))?,
                    None => {}
                },
                None => take(requests, &line),
            },
            // Another init takes its place: what was not answered is asked again.
            Line::End if connection.reopen()? => {
                pending = send_all(&mut connection, wish, requests, patience)?;
            }
            Line::End => return Err(Failure::new(Exit::NotSupervised, "init closed the connection")),
            Line::TimedOut if !patience.wait => {
                return Err(Failure::new(Exit::TimedOut, "init does not answer"));
            }
            Line::TimedOut => {
                requests.iter_mut().for_each(|request| request.time_out(begun.elapsed()));
                return Ok(());
            }
        }
        let again = requests.iter_mut().any(|request| request.judge(goal, begun.elapsed()));
        if patience.wait && again {
            connection.send(InitCommand::Events)?;
            pending.push_back(Pending::Events);
        }
    }
    Ok(())
}

/// Sends what has no answer yet; returns what is to be answered, in order.
fn send_all(
    connection: &mut Connection,
    wish: Wish,
    requests: &[Request],
    patience: Patience,
) -> Result<VecDeque<Pending>, Failure> {
    let mut pending = VecDeque::new();
    if patience.wait {
        connection.send(InitCommand::Events)?;
        pending.push_back(Pending::Events);
    }
    for (at, request) in requests.iter().enumerate().filter(|(_, request)| request.answer.is_none()) {
        match wish {
            Wish::Start => connection.send(InitCommand::Start(&request.name))?,
            Wish::Stop => connection.send(InitCommand::Stop(&request.name))?,
            Wish::Once => connection.send(InitCommand::Once(&request.name))?,
            Wish::Restart => connection.send(InitCommand::Restart(&request.name))?,
        }
        pending.push_back(Pending::Request(at));
    }
    Ok(pending)
}

/// Has init pass a command on to a service's supervisor, whose own socket is its owner's alone.
pub(super) fn tell(places: &Places, name: &str, command: Command) -> Result<Outcome, Failure> {
    let line = match command {
        Command::Reload => InitCommand::ReloadService(name),
        Command::Kill(signal) => InitCommand::Kill(name, signal),
        Command::Pause => InitCommand::Pause(name),
        Command::Continue => InitCommand::Continue(name),
        Command::Start
        | Command::Once
        | Command::Stop
        | Command::Restart
        | Command::Halt
        | Command::Exit
        | Command::Reexec
        | Command::Status
        | Command::Events
        | Command::Died(..)
        | Command::Connect(_)
        | Command::Disconnect => {
            return Err(Failure::new(Exit::Failed, format!("init does not pass on {command}")));
        }
    };
    let mut connection = open(places)?;
    connection.send(line)?;
    let deadline = Instant::now() + ANSWER_TIME;
    loop {
        match connection.line(Some(deadline))? {
            Line::Text(line) => match reply(&line) {
                Some(Ok(())) => return Ok(Outcome::good(String::new())),
                Some(Err(reason)) => return Err(Failure::new(Exit::Failed, reason)),
                None => {}
            },
            Line::End => return Err(Failure::new(Exit::NotSupervised, "init closed the connection")),
            Line::TimedOut => return Err(Failure::new(Exit::TimedOut, "init does not answer")),
        }
    }
}

pub(super) fn open(places: &Places) -> Result<Connection, Failure> {
    let path = places.run.join("init/control");
    let nobody = || {
        Failure::new(
            Exit::NotSupervised,
            format!("unable to reach init: nobody listens at {}", path.display()),
        )
    };
    Connection::open(&path)?.ok_or_else(nobody)
}

fn take(requests: &mut [Request], line: &str) {
    let Some(report) = Report::parse(line) else { return };
    for member in requests.iter_mut().flat_map(|request| &mut request.members) {
        if member.progress.name == report.name {
            member.progress.take(&report);
        }
    }
}

impl Request {
    fn new(name: &str, members: &[String]) -> Request {
        let member =
            |name: &String| Member { progress: Progress::new(name), asked_again: false, outcome: None };
        Request { name: name.to_owned(), members: members.iter().map(member).collect(), answer: None }
    }

    fn is_settled(&self) -> bool {
        matches!(self.answer, Some(Err(_))) || self.members.iter().all(|member| member.outcome.is_some())
    }

    /// Notes which members are settled; tells whether init has to be asked again how they are.
    fn judge(&mut self, goal: Goal, took: Duration) -> bool {
        if !matches!(self.answer, Some(Ok(()))) {
            return false;
        }
        let mut again = false;
        for member in self.members.iter_mut().filter(|member| member.outcome.is_none()) {
            let verdict = member.progress.verdict(goal);
            match verdict {
                Verdict::Wait => {}
                // What was heard since then is the state that the request has left it in.
                Verdict::Unsure if member.asked_again && member.progress.last.is_some() => {
                    member.outcome = Some(member.progress.outcome(&Verdict::Met, took));
                }
                Verdict::Unsure if member.asked_again => {}
                Verdict::Unsure => {
                    member.asked_again = true;
                    again = true;
                }
                Verdict::Met | Verdict::Failed => {
                    member.outcome = Some(member.progress.outcome(&verdict, took));
                }
            }
        }
        again
    }

    fn time_out(&mut self, took: Duration) {
        for member in self.members.iter_mut().filter(|member| member.outcome.is_none()) {
            member.outcome = Some(member.progress.timed_out(took));
        }
    }

    fn fail(&mut self, failure: &Failure) {
        if self.answer.is_none() || !self.is_settled() {
            self.answer = None;
            let message = format!("{}: {}", self.name, failure.message);
            self.members.clear();
            let outcome = Some(Outcome::failed(failure.exit, message));
            let progress = Progress::new(&self.name);
            self.members.push(Member { progress, asked_again: false, outcome });
        }
    }

    fn outcomes(self) -> Vec<Outcome> {
        match self.answer {
            Some(Err(reason)) => vec![Outcome::failed(Exit::Failed, format!("{}: {reason}", self.name))],
            Some(Ok(())) | None => self.members.into_iter().filter_map(|member| member.outcome).collect(),
        }
    }
}
