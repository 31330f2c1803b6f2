//! The command lines of the verbs for transient services.

use super::given::Given;
use super::verbs::{patience, some};
use super::{Patience, Verb};
use crate::compile::units;
use crate::exit::Failure;
use crate::run::settings::{Setting, Settings};
use crate::run::{Request, destroy, update};
use service::definition::valid_name;
use service::limits::FILES;
use std::time::Duration;

/// How long a start may take: an image may have to be fetched for it.
const TIMEOUT: Duration = Duration::from_secs(20 * 60);

pub(super) fn run(given: &Given) -> Result<Verb, Failure> {
    let name = given.text("name")?.map(str::to_owned);
    if let Some(name) = name.as_ref().filter(|name| !valid_name(name) || name.ends_with('@')) {
        return Err(Failure::usage(format!("\"{}\" cannot be the name of a service", name.escape_debug())));
    }
    let (wait, remove) = (given.has("wait"), given.has("rm"));
    if remove && !wait {
        return Err(Failure::usage("--rm is for what is waited for: --wait --rm"));
    }
    let timeout = if given.has("timeout") { patience(given)?.timeout } else { TIMEOUT };
    Ok(Verb::Run(Box::new(Request {
        name,
        settings: settings(given)?,
        labels: labels(given)?,
        wait,
        remove,
        patience: Patience { wait: !given.has("no-wait"), timeout },
        json: given.has("json"),
    })))
}

/// What the options say, in the words of a definition.
fn settings(given: &Given) -> Result<Settings, Failure> {
    let mut settings = Settings::default();
    if let Some(image) = given.text("image")? {
        settings.add(Setting::text("image.reference", image, "--image"));
    } else if given.has("volume") {
        return Err(Failure::usage("--volume is for an image: --image"));
    }
    settings.add_list("image.volumes", &given.texts("volume")?, "--volume");
    settings.add_list("environment.files", &given.texts("env-file")?, "--env-file");
    for variable in given.texts("env")? {
        let (key, value) = pair(variable, "env", "NAME=VALUE")?;
        settings.add(Setting::text(&format!("environment.{}", Setting::key(key)), value, "--env"));
    }
    if let Some(user) = given.text("as-user")? {
        let (user, group) = user.split_once(':').map_or((user, None), |(user, group)| (user, Some(group)));
        settings.add(Setting::text("user.name", user, "--user"));
        settings.extend(group.map(|group| Setting::text("user.group", group, "--user")));
    }
    if let Some(directory) = given.text("directory")? {
        settings.add(Setting::text("working-directory", directory, "--directory"));
    }
    settings.add(Setting::text("restart.when", given.text("restart")?.unwrap_or("never"), "--restart"));
    for limit in given.texts("limit")? {
        settings.add(limit_of(limit, "--limit ")?);
    }
    for property in given.texts("property")? {
        let (key, value) = pair(property, "property", "SECTION.KEY=VALUE")?;
        settings.add(Setting::guess(key, value, &format!("--property {property}")));
    }
    if !given.names.is_empty() {
        let words: Vec<&str> = given.names.iter().map(String::as_str).collect();
        settings.add_list("command", &words, "COMMAND");
    }
    Ok(settings)
}

/// `memory.max=64MiB`: what looks like a number may have to be text.
fn limit_of(limit: &str, option: &str) -> Result<Setting, Failure> {
    let (key, value) = pair(limit, option.trim(), "KEY=VALUE")?;
    let (name, origin) = (format!("limits.{key}"), format!("{option}{limit}"));
    Ok(if key.starts_with("cpuset.") {
        Setting::text(&name, value, &origin)
    } else {
        Setting::guess(&name, value, &origin)
    })
}

fn labels(given: &Given) -> Result<Vec<(String, String)>, Failure> {
    let texts = given.texts("label")?;
    let pairs = texts.into_iter().map(|label| pair(label, "label", "KEY=VALUE"));
    pairs.map(|pair| pair.map(|(key, value)| (key.to_owned(), value.to_owned()))).collect()
}

fn pair<'a>(text: &'a str, option: &str, form: &str) -> Result<(&'a str, &'a str), Failure> {
    let found = text.split_once('=').filter(|(key, _)| !key.is_empty());
    found.ok_or_else(|| {
        let option = option.trim_start_matches("--");
        let option = if option.is_empty() { String::new() } else { format!("--{option} needs ") };
        Failure::usage(format!("{option}{form}, not \"{}\"", text.escape_debug()))
    })
}

pub(super) fn update(given: &Given) -> Result<Verb, Failure> {
    let (reset, json) = (given.has("reset"), given.has("json"));
    let Some((name, limits)) = given.names.split_first() else {
        return Err(Failure::usage("update which service? NAME KEY=VALUE…"));
    };
    if limits.is_empty() != reset {
        return Err(Failure::usage("update what? KEY=VALUE…, or --reset"));
    }
    let mut settings = Settings::default();
    for limit in limits {
        let setting = limit_of(limit, "")?;
        let key = setting.key.trim_start_matches("limits.");
        if !FILES.contains(&key) {
            let known = FILES.join(", ");
            let key = key.escape_debug();
            return Err(Failure::usage(format!("\"{key}\" cannot be changed while it runs: {known}")));
        }
        settings.add(setting);
    }
    Ok(Verb::Update(update::Request { name: name.clone(), settings, reset, json }))
}

pub(super) fn destroy(given: &Given) -> Result<Verb, Failure> {
    Ok(Verb::Destroy(destroy::Request {
        names: some(given)?,
        now: given.has("now"),
        with_log: given.has("with-log"),
        timeout: patience(given)?.timeout,
        json: given.has("json"),
    }))
}

/// `wait --ended`: as long as it takes, unless a time is given.
pub(super) fn ended(given: &Given) -> Result<Verb, Failure> {
    let timeout = given.text("timeout")?.map(units::duration).transpose().map_err(Failure::usage)?;
    Ok(Verb::WaitEnded(some(given)?, timeout, given.has("json")))
}
