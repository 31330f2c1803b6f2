//! Verbs about containers.

use super::arguments::{Provision, Recover};
use super::{Context, images, output, service};
use crate::error::{Error, Kind, Result};
use crate::provision::{ContainerId, Record, Wish};
use crate::reference::Reference;
use serde_json::json;

pub(super) fn provision(context: &Context, what: &Provision) -> Result<()> {
    if let Some(name) = &what.service {
        return service::provision(context, name);
    }
    let (Some(reference), Some(container)) = (&what.reference, &what.container) else {
        return Err(super::usage("an image and a container are needed"));
    };
    let reference: Reference = reference.parse()?;
    let id: ContainerId = container.parse()?;
    // What is found is not thrown away before it is in use.
    let _held = context.store.share()?;
    let image = images::find(context, &reference, what.again)?;
    let wish = Wish { backend: context.settings.backend, writable: what.writable, places: &[] };
    let made = context.containers.provision(&context.store, &id, &image, &wish)?;
    if context.json {
        return output::json(&json!({"root": made.root, "record": made.record}));
    }
    tell(context, &made.record);
    output::say(&made.root.display().to_string())
}

/// How a root was made, and why not otherwise.
pub(super) fn tell(context: &Context, record: &Record) {
    if !context.quiet {
        let backend = record.backend.as_deref().unwrap_or("none");
        output::complain(&format!("backend {backend}"));
        record.reasons.iter().for_each(|reason| {
            output::complain(&format!("not by {}", reason.trim_start_matches("backend ")));
        });
    }
}

pub(super) fn destroy(context: &Context, containers: &[String], force: bool) -> Result<()> {
    for container in containers {
        let id: ContainerId = container.parse()?;
        if let Some((service, pid)) =
            service::running(context)?.iter().find(|(service, _)| service.is_in(&id))
            && !force
        {
            return Err(Error::new(
                Kind::Busy,
                format!("service {service} runs in it as process {pid} (stop it first, or use --force)"),
            )
            .during(format_args!("unable to destroy {id}")));
        }
        let used = || !force && service::is_being_started(context, &id);
        if !context.containers.destroy_unless(&context.store, &id, used)? {
            return Err(if used() {
                let why = format!("service {id} is being started in it (stop it first, or use --force)");
                Error::new(Kind::Busy, why).during(format_args!("unable to destroy {id}"))
            } else {
                Error::missing(format!("there is no container {id}"))
            });
        }
    }
    Ok(())
}

pub(super) fn list(context: &Context) -> Result<()> {
    let mut rows = vec![["CONTAINER", "BACKEND", "IMAGE", "ROOT"].map(str::to_owned).to_vec()];
    let mut all = Vec::new();
    let mut containers = context.containers.list()?;
    containers.sort();
    for id in containers {
        let records = context.containers.records(&id)?;
        if records.is_empty() {
            rows.push(vec![id.to_string()]);
        }
        for record in &records {
            let root = context.containers.root(&id, record).map(|root| root.display().to_string());
            let backend = record.backend.clone().unwrap_or_else(|| "unfinished".to_owned());
            rows.push(vec![id.to_string(), backend, record.reference.clone(), root.unwrap_or_default()]);
        }
        all.push(json!({"container": id.to_string(), "roots": records}));
    }
    if context.json { output::json(&all) } else { output::table(&rows) }
}

pub(super) fn recover(context: &Context, what: &Recover) -> Result<()> {
    let mut known = what.known.iter().map(|name| name.parse()).collect::<Result<Vec<ContainerId>>>()?;
    if what.services {
        known.extend(service::prepared(context)?);
    }
    // Nobody means those that a process is in.
    known.extend(service::running(context)?.into_iter().map(|(service, _)| service));
    let used = |id: &ContainerId| service::is_being_started(context, id);
    let recovered = context.containers.recover_unless(&context.store, &known, used)?;
    let names = |ids: &[ContainerId]| ids.iter().map(ToString::to_string).collect::<Vec<String>>();
    if context.json {
        let failed: Vec<_> = recovered
            .failed
            .iter()
            .map(|(id, why)| json!({"container": id.to_string(), "why": why}))
            .collect();
        output::json(&json!({
            "destroyed": names(&recovered.destroyed), "kept": names(&recovered.kept), "failed": failed,
        }))?;
    } else {
        names(&recovered.destroyed).iter().try_for_each(|id| output::say(&format!("destroyed: {id}")))?;
    }
    for (id, why) in &recovered.failed {
        output::complain(&format!("unable to destroy {id}: {why} (tried again the next time)"));
    }
    if recovered.failed.is_empty() {
        Ok(())
    } else {
        Err(Error::new(Kind::System, "some containers are left"))
    }
}
