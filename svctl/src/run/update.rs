//! `svctl update`: limits of a control group changed while the service runs. They stand in a file of their own that is
//! laid over the definition, so that they are in force again whoever is killed; the supervisor writes them.

use super::settings::Settings;
use super::{COMPILE_TIME, directory, ended, tried};
use crate::args::Places;
use crate::compile::Trial;
use crate::control;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::plan::Plan;
use nix::fcntl::{Flock, FlockArg};
use serde_json::{Value, json};
use service::Definition;
use service::definition::Kind;
use service::wire::InitCommand;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What is laid over a definition; nobody else writes it.
const FILE: &str = "50-update.toml";
/// How long a supervisor may take to read its definition again and write the limits.
const APPLY_TIME: Duration = Duration::from_secs(10);
/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// What is to be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The service.
    pub name: String,
    /// The limits.
    pub settings: Settings,
    /// Whether what was changed so far is forgotten.
    pub reset: bool,
    /// For programs.
    pub json: bool,
}

/// A limit, and what has become of it.
struct Limit {
    key: String,
    wanted: String,
    set: Option<String>,
    good: bool,
}

/// Changes the limits of a service.
///
/// # Errors
/// A limit makes no sense, the service has no group to set it in, or the system refuses.
pub fn run(places: &Places, request: &Request) -> Result<Exit, Failure> {
    let name = &request.name;
    let plan = Plan::read(&places.run);
    match plan.get(name) {
        None => return Err(plan.no_such(name)),
        Some(entry) if entry.kind == Kind::Bundle => {
            return Err(Failure::new(Exit::Failed, format!("{name}: a bundle has no limits")));
        }
        Some(_) => {}
    }
    let file = directory::of(places, name).join("service.d").join(FILE);
    let directory = file.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(directory).map_err(|error| unable("make", directory, &error))?;
    let opened = File::open(directory).map_err(|error| unable("open", directory, &error))?;
    // One at a time: the next adds to what this one writes.
    let _alone = Flock::lock(opened, FlockArg::LockExclusive);
    let settings = if request.reset { Settings::default() } else { earlier(&file).and(&request.settings) };
    let changed = change(places, request, &file, &settings);
    if request.reset || changed.is_err() {
        // What has nothing in it need not be there.
        let _ = fs::remove_dir(directory);
        let _ = directory.parent().map(fs::remove_dir);
    }
    show(request, &changed?)
}

/// What was changed before.
fn earlier(file: &Path) -> Settings {
    Settings::decode(&fs::read_to_string(file).unwrap_or_default())
}

/// Writes the file, and has it applied. Returns whether the service runs, and its limits.
fn change(
    places: &Places,
    request: &Request,
    file: &Path,
    settings: &Settings,
) -> Result<(bool, Vec<Limit>), Failure> {
    let name = &request.name;
    let text = settings.encode();
    let service = tried(places, name, Trial { file: file.to_owned(), text: text.clone() }, settings)?;
    let path = places.run.join("service").join(name).join("definition");
    let current = fs::read_to_string(path).ok().and_then(|text| Definition::decode(&text).ok());
    let status = ended::status(places, name).filter(|status| status.pid.is_some());
    if let (Some(current), Some(_)) = (&current, &status)
        && current.run_digest() != service.definition.run_digest()
    {
        return Err(Failure::new(Exit::Failed, format!("{name}: {}", why_not(current, &service.definition))));
    }
    let written = if request.reset {
        fs::remove_file(file)
            .or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })
    } else {
        sys::fs::replace(file, text.as_bytes(), 0o644)
    };
    written.map_err(|error| unable("write", file, &error))?;
    control::request(places, InitCommand::Refresh(name), Instant::now() + COMPILE_TIME)?;
    let group = status.as_ref().map(|status| PathBuf::from(&status.group));
    let mut wanted = service.definition.process.group.files;
    // What is limited no longer has to be so before we say that it is.
    let before = current.map(|current| current.process.group.files).unwrap_or_default();
    let mut freed = service::limits::change(&before, &wanted);
    freed.retain(|(key, _)| !wanted.iter().any(|(other, _)| other == key));
    wanted.extend(freed.iter().cloned());
    let mut limits = watch(group.as_deref(), &wanted);
    // Where the kernel has no such limit there is none left.
    limits.retain(|limit| limit.set.is_some() || !freed.iter().any(|(key, _)| *key == limit.key));
    let mine = |limit: &Limit| {
        request.reset || request.settings.iter().any(|setting| setting.key == format!("limits.{}", limit.key))
    };
    Ok((status.is_some(), limits.into_iter().filter(mine).collect()))
}

/// Why it could not be done without a restart.
fn why_not(current: &Definition, new: &Definition) -> &'static str {
    if current.process.group.wanted == new.process.group.wanted {
        "its definition has changed on disk, so that it would be restarted (svctl reload)"
    } else {
        "it runs without a control group of its own: [stop] kill-scope = \"cgroup\", or a limit, in its definition \
         gives it one at its next start"
    }
}

/// Waits until the group has what is wanted of it, or for as long as that may take.
fn watch(group: Option<&Path>, wanted: &[(String, String)]) -> Vec<Limit> {
    let deadline = Instant::now() + APPLY_TIME;
    loop {
        let look = |(key, wanted): &(String, String)| {
            let text = group.and_then(|group| fs::read_to_string(group.join(key)).ok());
            let set = text.map(|text| text.trim().replace('\n', "; "));
            // Without a process there is nothing to be set now.
            let good = group.is_none() || set.as_deref().is_some_and(|set| is_set(key, wanted, set));
            Limit { key: key.clone(), wanted: wanted.clone(), set, good }
        };
        let limits: Vec<Limit> = wanted.iter().map(look).collect();
        let hopeless = |limit: &Limit| limit.good || !could_be(group, &limit.key);
        if limits.iter().all(hopeless) || Instant::now() >= deadline {
            return limits;
        }
        std::thread::sleep(PAUSE);
    }
}

/// Whether the kernel has what was written; it rounds sizes down to pages.
fn is_set(key: &str, wanted: &str, set: &str) -> bool {
    const PAGE: u64 = 4096;
    if wanted == set || set.split("; ").any(|line| line == wanted) {
        return true;
    }
    match (wanted.parse::<u64>(), set.parse::<u64>()) {
        (Ok(wanted), Ok(set)) if key.starts_with("memory.") => set <= wanted && wanted - set < 16 * PAGE,
        // It has its own ways to write lists, and what is not limited.
        _ => match key {
            "cpu.max" => set.split(' ').next() == Some(wanted),
            "cpuset.cpus" | "cpuset.mems" => set.is_empty() == wanted.trim().is_empty(),
            "io.max" => wanted.ends_with("=max") || !set.is_empty(),
            _ => false,
        },
    }
}

/// Whether this kernel has the controller of a file at all.
fn could_be(group: Option<&Path>, key: &str) -> bool {
    let Some(group) = group else { return false };
    let root = group.ancestors().take_while(|place| place.join("cgroup.controllers").exists()).last();
    let text = root.and_then(|root| fs::read_to_string(root.join("cgroup.controllers")).ok());
    let controller = service::limits::controller(key);
    text.is_some_and(|text| text.split_whitespace().any(|word| word == controller))
}

fn show(request: &Request, (running, limits): &(bool, Vec<Limit>)) -> Result<Exit, Failure> {
    let name = &request.name;
    if request.json {
        let one = |limit: &Limit| json!({"key": limit.key, "wanted": limit.wanted, "set": limit.set, "ok": limit.good});
        let limits: Vec<Value> = limits.iter().map(one).collect();
        output::print(&format!("{}\n", json!({"name": name, "running": running, "limits": limits})))?;
    } else if !running {
        output::print(&format!("{name}: not running: in force from its next start on\n"))?;
    }
    for Limit { key, wanted, set, .. } in limits.iter().filter(|limit| !limit.good) {
        let has = set.as_deref().unwrap_or("not there: the kernel has no such controller here");
        output::complain(&format!(
            "svctl: {name}: {key} is to be {wanted}, and is {has} (it is written all the same)"
        ));
    }
    Ok(if limits.iter().all(|limit| limit.good) { Exit::Ok } else { Exit::Failed })
}

fn unable(verb: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::system(&format!("unable to {verb} {}", path.display()), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_rounds_is_set_and_what_it_has_not_taken_is_not() {
        for (key, wanted, set, expected) in [
            ("memory.max", "67108864", "67108864", true),
            ("memory.max", "67108865", "67108864", true),
            ("memory.max", "67108864", "max", false),
            ("memory.max", "max", "max", true),
            ("memory.max", "67108864", "134217728", false),
            ("pids.max", "20", "19", false),
            ("cpu.max", "50000 100000", "50000 100000", true),
            ("io.weight", "default 50", "default 50; 8:0 100", true),
            ("cpuset.cpus", "0,1", "0-1", true),
            ("cpuset.cpus", "\n", "", true),
            ("cpuset.cpus", "\n", "0-1", false),
            ("cpu.max", "max", "max 100000", true),
            ("cpu.max", "max", "50000 100000", false),
            ("io.max", "8:0 rbps=max wbps=max riops=max wiops=max", "", true),
            ("io.max", "8:0 rbps=5", "", false),
        ] {
            assert_eq!(is_set(key, wanted, set), expected, "{key} {wanted} {set}");
        }
    }
}
