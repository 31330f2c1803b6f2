//! The verb `exposure`: what a service could still do to the machine, by its compiled definition. It looks at the steps that
//! the supervisor takes, and asks the filter itself what it answers, rather than believe the words they came from.

mod checks;
mod look;
#[cfg(test)]
mod tests;

use crate::args::Places;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::plan::Plan;
use checks::{CHECKS, Check};
use look::Look;
use serde_json::{Value, json};
use service::Definition;
use service::definition::Kind;
use std::fmt::Write;

/// How something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It cannot be done.
    Closed,
    /// It cannot be done if the kernel can see to it: the service is started without, if not.
    Unsure,
    /// It can be done.
    Open,
}

impl Standing {
    fn word(self) -> &'static str {
        match self {
            Standing::Closed => "closed",
            Standing::Unsure => "unsure",
            Standing::Open => "open",
        }
    }

    /// Two for what is open, so that what is unsure is half of it.
    fn halves(self) -> u32 {
        match self {
            Standing::Closed => 0,
            Standing::Unsure => 1,
            Standing::Open => 2,
        }
    }
}

/// What no setting closes.
const BEYOND: &str = "Not weighed, since nothing here closes it: the kernel that it shares with everybody; sockets and descriptors
that it is given; what other services do for it when it asks them; the scripts and checks that serve it, which
run outside of its sandbox; what it may use up; which single devices and addresses it reaches. service.toml(5) has what
takes the place of each of systemd's settings, and why some have none.\n";

/// Tells how exposed services are: a table of all, or a list of what is open for those that are named.
///
/// # Errors
/// If a name is unknown, a definition cannot be read, or standard output cannot be written.
pub fn run(places: &Places, names: &[String], json: bool) -> Result<Exit, Failure> {
    let plan = if names.is_empty() { Plan::found(&places.run)? } else { Plan::read(&places.run) };
    let all: Vec<String>;
    let chosen = if names.is_empty() {
        let entries =
            plan.entries.iter().filter(|entry| entry.kind != Kind::Bundle && entry.problem.is_none());
        all = entries.map(|entry| entry.name.clone()).collect();
        &all
    } else {
        names
    };
    let mut definitions = Vec::new();
    for name in chosen {
        if !plan.knows(&places.run, name) {
            return Err(plan.no_such(name));
        }
        definitions.push(read(places, name)?);
    }
    let text = match (json, names.is_empty()) {
        (true, _) => objects(&definitions),
        (false, true) => table(&definitions),
        (false, false) => definitions.iter().map(list).collect::<Vec<_>>().join("\n") + "\n" + BEYOND,
    };
    output::print(&text)?;
    Ok(Exit::Ok)
}

fn read(places: &Places, name: &str) -> Result<Definition, Failure> {
    let file = places.run.join("service").join(name).join("definition");
    let text = std::fs::read_to_string(&file)
        .map_err(|error| Failure::system(&format!("unable to read {}", file.display()), &error))?;
    Definition::decode(&text)
        .map_err(|error| Failure::new(Exit::System, format!("{}: {error}", file.display())))
}

/// What becomes of each check.
fn standings(definition: &Definition) -> Vec<(&'static Check, Standing)> {
    let look = Look::new(definition);
    CHECKS.iter().map(|check| (check, (check.standing)(&look))).collect()
}

/// How exposed it is, in tenths: 0 is not at all, 100 is as if there were no settings.
#[must_use]
pub fn tenths(definition: &Definition) -> u32 {
    let standings = standings(definition);
    let open: u32 = standings.iter().map(|(check, standing)| check.weight * standing.halves()).sum();
    let all: u32 = standings.iter().map(|(check, _)| check.weight * 2).sum();
    (open * 100).div_ceil(all.max(1))
}

/// What that is called.
fn word(tenths: u32) -> &'static str {
    match tenths {
        0..20 => "well closed",
        20..45 => "mostly closed",
        45..75 => "half open",
        _ => "open",
    }
}

fn number(tenths: u32) -> String {
    format!("{}.{}", tenths / 10, tenths % 10)
}

fn table(definitions: &[Definition]) -> String {
    let widest = definitions.iter().map(|one| one.name.len()).chain([7]).max().unwrap_or(7);
    let mut rows: Vec<(u32, &str)> = definitions.iter().map(|one| (tenths(one), one.name.as_str())).collect();
    rows.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
    let mut text = format!("{:widest$}  EXPOSURE\n", "SERVICE");
    for (tenths, name) in rows {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:widest$}  {:>8}  {}", number(tenths), word(tenths));
    }
    text
}

fn list(definition: &Definition) -> String {
    let mut text = String::new();
    let mut subject = "";
    for (check, standing) in standings(definition) {
        if subject != check.subject {
            subject = check.subject;
            let _ = writeln!(text, "{subject}");
        }
        let advice = if standing == Standing::Closed { "" } else { check.closed_by };
        let line = format!("  {:6} {:2}  {:52}  {advice}", standing.word(), check.weight, check.what);
        let _ = writeln!(text, "{}", line.trim_end());
    }
    let tenths = tenths(definition);
    let _ = writeln!(text, "{}: exposure {} of 10, {}", definition.name, number(tenths), word(tenths));
    text
}

fn objects(definitions: &[Definition]) -> String {
    let object = |definition: &Definition| -> Value {
        let checks = standings(definition).into_iter().map(|(check, standing)| {
            json!({
                "subject": check.subject,
                "what": check.what,
                "standing": standing.word(),
                "weight": check.weight,
                "closed_by": check.closed_by,
            })
        });
        let tenths = tenths(definition);
        json!({
            "name": definition.name,
            "exposure": f64::from(tenths) / 10.0,
            "called": word(tenths),
            "checks": checks.collect::<Vec<_>>(),
        })
    };
    let all: Vec<Value> = definitions.iter().map(object).collect();
    format!("{:#}\n", Value::from(all))
}
