//! What concerns many services together: a switch to a bundle, a reload of the tree; and the plan of anything, shown
//! and not carried out.

use super::client::{Connection, Line};
use super::direct::reply;
use super::follow::{Goal, Progress, Verdict};
use super::{Outcome, init, report, resolve};
use crate::args::{Patience, Places};
use crate::exit::{Exit, Failure};
use crate::output;
use crate::plan::Plan;
use service::graph::{PlannedStep, Verb};
use service::status::{State, Want};
use service::wire::{InitCommand, Planned, Report};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long init may take to answer what it answers at once.
const ANSWER_TIME: Duration = Duration::from_secs(10);
/// How long it may take to compile the definitions twice: another's reload may be under way.
const COMPILE_TIME: Duration = Duration::from_secs(150);

/// Shows what requests would do.
///
/// # Errors
/// If init cannot be asked, or standard output cannot be written.
pub fn plan(places: &Places, wanted: &[Planned<'_>], json: bool) -> Result<Exit, Failure> {
    let known = Plan::read(&places.run);
    let (mut steps, mut exit): (Vec<PlannedStep>, Exit) = (Vec::new(), Exit::Ok);
    for planned in wanted {
        // Only init can tell whether there is a template.
        let made = |name| !matches!(planned, Planned::Stop(_)) && init::may_be_instance(name);
        if let Some(name) = InitCommand::Plan(*planned).name()
            && let Err(failure) = resolve(places, &known, name)
            && !made(name)
        {
            output::complain(&format!("svctl: {failure}"));
            exit = failure.exit;
            continue;
        }
        let mut connection = init::open(places)?;
        connection.send(InitCommand::Plan(*planned))?;
        let compiled = *planned == Planned::Reload || InitCommand::Plan(*planned).name().is_some_and(made);
        let deadline = Instant::now() + if compiled { COMPILE_TIME } else { ANSWER_TIME };
        loop {
            let line = match connection.line(Some(deadline))? {
                Line::Text(line) => line,
                Line::End => return Err(Failure::new(Exit::NotSupervised, "init closed the connection")),
                Line::TimedOut => return Err(Failure::new(Exit::TimedOut, "init does not answer")),
            };
            match reply(&line) {
                Some(Ok(())) => break,
                Some(Err(reason)) => {
                    output::complain(&format!("svctl: {planned}: {reason}"));
                    exit = Exit::Failed;
                    break;
                }
                None => steps.extend(PlannedStep::parse(&line).filter(|step| !steps.contains(step))),
            }
        }
    }
    output::print(&if json { as_json(&steps) } else { as_text(&steps) })?;
    Ok(exit)
}

fn as_text(steps: &[PlannedStep]) -> String {
    if steps.is_empty() {
        return "nothing to do\n".to_owned();
    }
    steps.iter().map(|step| format!("{:<8} {}\n", step.verb.word(), step.name)).collect()
}

/// Names need no escapes: see `service::definition::valid_name`.
fn as_json(steps: &[PlannedStep]) -> String {
    let object = |step: &PlannedStep| format!(r#"{{"verb":"{}","name":"{}"}}"#, step.verb.word(), step.name);
    format!("[{}]\n", steps.iter().map(object).collect::<Vec<_>>().join(","))
}

/// Switches to a bundle.
///
/// # Errors
/// If standard output cannot be written.
pub fn switch(places: &Places, name: &str, patience: Patience) -> Result<Exit, Failure> {
    let resolved = resolve(places, &Plan::read(&places.run), name).map(|_| ANSWER_TIME);
    // Only init can tell whether there is a template.
    let resolved =
        resolved.or_else(|failure| init::may_be_instance(name).then_some(COMPILE_TIME).ok_or(failure));
    // Nothing comes between the plan and its being carried out: init reads both at once.
    let commands = [InitCommand::Plan(Planned::Switch(name)), InitCommand::Switch(name)];
    let outcomes = resolved.and_then(|limit| carry_out(places, &commands, patience, limit));
    report(places, &outcomes.unwrap_or_else(|failure| vec![failure.into()]))
}

/// Has init read the tree of definitions again.
///
/// # Errors
/// If standard output cannot be written.
pub fn reload(places: &Places, patience: Patience) -> Result<Exit, Failure> {
    let outcomes = carry_out(places, &[InitCommand::Reload], patience, COMPILE_TIME);
    let outcomes = outcomes.unwrap_or_else(|failure| vec![failure.into()]);
    if outcomes.is_empty() {
        output::print("nothing has changed\n")?;
    }
    report(places, &outcomes)
}

/// What is waited for, of one service.
struct Member {
    goal: Goal,
    progress: Progress,
    outcome: Option<Outcome>,
}

/// Sends these commands, and waits for the steps that the answers tell.
fn carry_out(
    places: &Places,
    commands: &[InitCommand<'_>],
    patience: Patience,
    answer_time: Duration,
) -> Result<Vec<Outcome>, Failure> {
    let begun = Instant::now();
    let mut connection = init::open(places)?;
    let mut answers = send(&mut connection, commands, patience)?;
    let mut before: BTreeMap<String, Progress> = BTreeMap::new();
    let mut steps: Vec<PlannedStep> = Vec::new();
    let deadline = begun + if patience.wait { patience.timeout.max(answer_time) } else { answer_time };
    while answers > 0 {
        match connection.line(Some(deadline))? {
            Line::Text(line) => match reply(&line) {
                Some(Ok(())) => answers -= 1,
                Some(Err(reason)) => return Err(Failure::new(Exit::Failed, reason)),
                None => match PlannedStep::parse(&line) {
                    Some(step) => steps.push(step),
                    None => note(&mut before, &line),
                },
            },
            // Another init goes on in its place. What was asked for may be done by now; asked for again it comes to
            // the same.
            Line::End if connection.reopen()? => {
                steps.clear();
                answers = send(&mut connection, commands, patience)?;
            }
            Line::End => return Err(Failure::new(Exit::NotSupervised, "init closed the connection")),
            Line::TimedOut => return Err(Failure::new(Exit::TimedOut, "init does not answer")),
        }
    }
    let mut outcomes: Vec<Outcome> = steps.iter().filter_map(told).collect();
    if !patience.wait {
        return Ok(outcomes);
    }
    let mut members = members(&steps, before);
    loop {
        judge(&mut members, begun);
        if members.iter().all(|member| member.outcome.is_some()) {
            break;
        }
        match connection.line(Some(begun + patience.timeout))? {
            Line::Text(line) => hear(&mut members, &line),
            Line::End if connection.reopen()? => connection.send(InitCommand::Events)?,
            Line::End => return Err(Failure::new(Exit::NotSupervised, "init closed the connection")),
            Line::TimedOut => {
                for member in members.iter_mut().filter(|member| member.outcome.is_none()) {
                    member.outcome = Some(member.progress.timed_out(begun.elapsed()));
                }
            }
        }
    }
    outcomes.extend(members.into_iter().filter_map(|member| member.outcome));
    Ok(outcomes)
}

/// Sends these commands, and returns how many answers there will be.
fn send(
    connection: &mut Connection,
    commands: &[InitCommand<'_>],
    patience: Patience,
) -> Result<usize, Failure> {
    if patience.wait {
        connection.send(InitCommand::Events)?;
    }
    for command in commands {
        connection.send(command)?;
    }
    Ok(commands.len() + usize::from(patience.wait))
}

/// What is done as soon as it is said.
fn told(step: &PlannedStep) -> Option<Outcome> {
    let what = match step.verb {
        Verb::Add => "added",
        Verb::Change => "changed",
        Verb::Remove => "removed",
        Verb::Break => {
            let message =
                format!("{}: its definition is broken now, and what runs goes on (svctl check)", step.name);
            return Some(Outcome::failed(Exit::Failed, message));
        }
        Verb::Start | Verb::Stop | Verb::Restart => return None,
    };
    Some(Outcome::good(format!("{}: {what}", step.name)))
}

/// What the steps come to for each service, in their order.
fn members(steps: &[PlannedStep], mut before: BTreeMap<String, Progress>) -> Vec<Member> {
    let mut members: Vec<Member> = Vec::new();
    for step in steps {
        let goal = match step.verb {
            Verb::Start => Goal::Up,
            Verb::Stop => Goal::Down,
            Verb::Restart => Goal::NewRun,
            Verb::Add | Verb::Change | Verb::Break | Verb::Remove => continue,
        };
        if let Some(member) = members.iter_mut().find(|member| member.progress.name == step.name) {
            member.goal = if goal == Goal::Up { Goal::NewRun } else { goal };
            continue;
        }
        let progress = before.remove(&step.name).unwrap_or_else(|| unheard(&step.name));
        members.push(Member { goal, progress, outcome: None });
    }
    members
}

/// A service that was not known when we came.
fn unheard(name: &str) -> Progress {
    let mut progress = Progress::new(name);
    progress.take(&Report {
        name,
        state: State::Down,
        want: Want::Down,
        overdue: false,
        pid: None,
        starts: 0,
        reason: "",
    });
    progress
}

fn note(before: &mut BTreeMap<String, Progress>, line: &str) {
    if let Some(report) = Report::parse(line) {
        // Until the request is taken, all is how it was before.
        let mut progress = Progress::new(report.name);
        progress.take(&report);
        before.insert(report.name.to_owned(), progress);
    }
}

fn hear(members: &mut [Member], line: &str) {
    let Some(report) = Report::parse(line) else { return };
    for member in members.iter_mut().filter(|member| member.progress.name == report.name) {
        member.progress.take(&report);
    }
}

fn judge(members: &mut [Member], begun: Instant) {
    for member in members.iter_mut().filter(|member| member.outcome.is_none()) {
        let verdict = member.progress.verdict(member.goal);
        if matches!(verdict, Verdict::Met | Verdict::Failed) {
            member.outcome = Some(member.progress.outcome(&verdict, begun.elapsed()));
        }
    }
}
