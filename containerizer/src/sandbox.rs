//! What is in a sandbox before its container starts: the files that it writes to, and what is fetched.

use crate::error::{Error, Result};
use crate::messages::Uri;
use crate::plan::Plan;
use rustix::fs::{Mode, OFlags};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};

/// Opens a file of the sandbox to append to. One that is a link is nobody's whose output is to go there.
fn append(sandbox: &str, name: &str) -> Result<File> {
    let path = format!("{sandbox}/{name}");
    let flags = OFlags::WRONLY
        | OFlags::CREATE
        | OFlags::APPEND
        | OFlags::NOFOLLOW
        | OFlags::CLOEXEC
        | OFlags::NONBLOCK;
    let file = rustix::fs::open(&path, flags, Mode::from_raw_mode(0o644))
        .map(File::from)
        .map_err(|error| Error::during(format_args!("open {path}"), error))?;
    let kind = file.metadata().map_err(|error| Error::during(format_args!("look at {path}"), error))?;
    if kind.is_file() { Ok(file) } else { Err(Error::new(format!("open {path}: it is no file"))) }
}

/// Makes `stdout` and `stderr`, which belong to whom the sandbox belongs.
fn files(sandbox: &str) -> Result<[File; 2]> {
    let owner = std::fs::metadata(sandbox)
        .map_err(|error| Error::during(format_args!("look at the sandbox {sandbox}"), error))?;
    if !owner.is_dir() {
        return Err(Error::new(format!("use {sandbox} as the sandbox: it is no directory")));
    }
    let file = |name: &str| {
        let file = append(sandbox, name)?;
        // Without the right to do so they stay ours.
        let _ = std::os::unix::fs::fchown(&file, Some(owner.uid()), Some(owner.gid()));
        Ok(file)
    };
    Ok([file("stdout")?, file("stderr")?])
}

/// Makes the sandbox ready.
///
/// # Errors
///
/// What could not be made or fetched.
pub fn prepare(plan: &Plan, variables: &BTreeMap<String, String>) -> Result<()> {
    let [output, error] = files(&plan.sandbox)?;
    if plan.uris.is_empty() {
        return Ok(());
    }
    let libexec = variables.get("MESOS_LIBEXEC_DIRECTORY");
    let libexec = libexec.ok_or_else(|| Error::new("fetch: MESOS_LIBEXEC_DIRECTORY is not set"))?;
    let program = format!("{libexec}/mesos-fetcher");
    let mut command = Command::new(&program);
    command.envs(fetcher(plan, variables)).current_dir(&plan.sandbox);
    command.stdin(Stdio::null()).stdout(output).stderr(error);
    let status = command.status().map_err(|error| Error::during(format_args!("execute {program}"), error))?;
    // What it fetched may have put links in their place.
    files(&plan.sandbox)?;
    if status.success() {
        Ok(())
    } else {
        Err(Error::new(format!(
            "fetch what the container is to have: {program}: {status} (see stderr in the sandbox)"
        )))
    }
}

/// What the fetcher is told: up to 0.21 by variables, in 0.22 by one with a document that has the command, and from 0.23 on
/// by the same with another document. What one does not know, it passes over.
fn fetcher(plan: &Plan, variables: &BTreeMap<String, String>) -> Vec<(&'static str, String)> {
    let old = |uri: &Uri| {
        let (executable, extract) =
            (if uri.executable { "1" } else { "0" }, if uri.extract { "X" } else { "N" });
        format!("{}+{executable}{extract}", uri.value)
    };
    let uri = |uri: &Uri| {
        let mut value =
            serde_json::json!({"value": uri.value, "executable": uri.executable, "extract": uri.extract});
        if let (Some(map), Some(file)) = (value.as_object_mut(), &uri.output_file) {
            map.insert("output_file".to_owned(), file.clone().into());
        }
        value
    };
    let uris: Vec<serde_json::Value> = plan.uris.iter().map(uri).collect();
    let items: Vec<serde_json::Value> =
        uris.iter().map(|uri| serde_json::json!({"uri": uri, "action": "BYPASS_CACHE"})).collect();
    let mut told = serde_json::json!({
        "sandbox_directory": plan.sandbox,
        "items": items,
        "work_directory": plan.sandbox,
        "command_info": {"value": "", "uris": uris},
    });
    let old: Vec<String> = plan.uris.iter().map(old).collect();
    let mut environment =
        vec![("MESOS_EXECUTOR_URIS", old.join(" ")), ("MESOS_WORK_DIRECTORY", plan.sandbox.clone())];
    let home = variables.get("MESOS_FRAMEWORKS_HOME");
    if let Some(map) = told.as_object_mut() {
        let more = [("user", plan.user.as_ref()), ("frameworks_home", home)];
        map.extend(more.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.clone().into()))));
    }
    environment.extend(plan.user.iter().map(|user| ("MESOS_USER", user.clone())));
    environment.push(("MESOS_FETCHER_INFO", told.to_string()));
    environment
}
