//! What is done before each start of a service that runs from an image.

use super::{Context, containers, images, settle};
use crate::backend::Backend;
use crate::error::{Context as _, Error, Result};
use crate::provision::{ContainerId, Provisioned, Wish};
use crate::reference::Reference;
use crate::runtime::{self, Command, Mount, Service};
use crate::settings::{self, Settings};
use crate::store::Image;
use ::service::definition::{self, Definition};
use std::path::{Path, PathBuf};

/// Options of `[image]` that the provisioner knows.
const ARGUMENT: &str = "argument";
const SHELL: &str = "shell";

fn directory(context: &Context, name: &str) -> PathBuf {
    context.run.join("service").join(name)
}

/// Makes a root for the next start, leaves it for the supervisor, and takes those away that came to nothing.
pub(super) fn provision(context: &Context, name: &str) -> Result<()> {
    let id = ContainerId::below(None, name)?;
    let definition = read(&context.run, name)?;
    let wanted = definition.image.as_ref();
    let wanted =
        wanted.ok_or_else(|| Error::refused(format!("service {name} does not run from an image")))?;
    let reference = named(context, wanted)?;
    // What is found is not thrown away before it is in use.
    let _held = context.store.share()?;
    let image = images::find(context, &reference, wanted.always_pull)?;
    let first = context.containers.next_number(&id)?;
    let made =
        make(context, &id, &definition, wanted, &image).and_then(|()| settle::made(context, &id, first));
    if made.is_err() {
        // Those that were made for this start are in nobody's use.
        context.containers.destroy_newer(&context.store, &id, first)?;
    }
    made.context(|| format!("service {name}"))
}

/// The image that a service names, or the one for services that name none.
fn named(context: &Context, wanted: &definition::Image) -> Result<Reference> {
    let default = context.settings.default_image.as_deref();
    let named = Some(wanted.reference.as_str()).filter(|text| !text.is_empty()).or(default);
    let missing =
        || Error::refused("no image is named, and there is no default image (setting default-image)");
    named.ok_or_else(missing)?.parse()
}

/// Leaves word, for the supervisor, of why nothing was made.
pub(super) fn leave_reason(run: &Path, name: &str, error: &Error) {
    let path = run.join("service").join(name).join("unprepared");
    // Without it there is still the exit status.
    let _ = crate::store::replace(&path, error.to_string().replace('\n', " ").as_bytes());
}

/// The settings of a service over those of the machine: those of its options that are the name of one.
pub(super) fn adjust(settings: &mut Settings, run: &Path, name: &str) -> Result<()> {
    ContainerId::below(None, name)?;
    for (key, value) in options(&read(run, name)?) {
        if is_setting(key) {
            settings.set(key, value)?;
        } else if key != ARGUMENT && key != SHELL {
            return Err(Error::refused(format!("there is no option {key:?} of [image]")));
        }
    }
    Ok(())
}

/// The same for what takes away what was made: a service can be gone whatever is wrong with its options.
pub(super) fn adjust_leniently(settings: &mut Settings, run: &Path, name: &str) -> Result<()> {
    ContainerId::below(None, name)?;
    apply_leniently(settings, &read(run, name)?);
    Ok(())
}

/// The same by a definition.
pub(super) fn apply_leniently(settings: &mut Settings, definition: &Definition) {
    for (key, value) in options(definition).filter(|(key, _)| is_setting(key)) {
        // Nothing can have been made by what is wrong: that was an error then.
        let _ = settings.set(key, value);
    }
}

fn options(definition: &Definition) -> impl Iterator<Item = &(String, String)> {
    definition.image.iter().flat_map(|image| &image.options)
}

fn is_setting(key: &str) -> bool {
    settings::ALL.iter().any(|setting| setting.name == key)
}

fn make(
    context: &Context,
    id: &ContainerId,
    definition: &Definition,
    wanted: &definition::Image,
    image: &Image,
) -> Result<()> {
    let backend = wanted.backend.as_deref().map(Backend::parse).transpose()?.or(context.settings.backend);
    let mut service = Service {
        definition,
        command: command(definition, wanted),
        ignore_runtime: wanted.ignore_runtime,
        writable: wanted.writable,
        mounts: Vec::new(),
    };
    for volume in &wanted.volumes {
        let source = if volume.image {
            volume_root(context, id, volume, backend)?.root.display().to_string()
        } else {
            volume.source.clone()
        };
        service.mounts.push(Mount { source, target: volume.target.clone(), writable: volume.writable });
    }
    let places = service.places(image);
    let wish = Wish { backend, writable: wanted.writable, places: &places };
    let made = context.containers.provision(&context.store, id, image, &wish)?;
    containers::tell(context, &made.record);
    let prepared = runtime::prepare(&service, image, &made)?;
    crate::fault::point("before-prepared");
    crate::store::replace(
        &directory(context, &definition.name).join("prepared"),
        prepared.encode().as_bytes(),
    )?;
    crate::fault::point("prepared");
    Ok(())
}

/// A root of another image, which is seen in the container.
fn volume_root(
    context: &Context,
    id: &ContainerId,
    volume: &definition::Volume,
    backend: Option<Backend>,
) -> Result<Provisioned> {
    let reference: Reference = volume.source.parse()?;
    let image = images::find(context, &reference, false)?;
    let wish = Wish { backend, writable: volume.writable, places: &[] };
    context.containers.provision(&context.store, id, &image, &wish)
}

/// The service's command, if it has one of its own, is what is run. Else its arguments are those of the image's.
fn command(definition: &Definition, wanted: &definition::Image) -> Command {
    let option = |wanted_key: &'static str| {
        wanted.options.iter().filter(move |(key, _)| key == wanted_key).map(|(_, value)| value.clone())
    };
    if let Some(text) = option(SHELL).next() {
        return Command { shell: true, value: Some(text), arguments: Vec::new() };
    }
    match definition.command.split_first() {
        Some((program, arguments)) => {
            Command { shell: false, value: Some(program.clone()), arguments: arguments.to_vec() }
        }
        None => Command { shell: false, value: None, arguments: option(ARGUMENT).collect() },
    }
}

fn read(run: &Path, name: &str) -> Result<Definition> {
    let path = run.join("service").join(name).join("definition");
    let what = || path.display().to_string();
    let text = std::fs::read_to_string(&path).context(what)?;
    Definition::decode(&text).map_err(|error| Error::refused(error.to_string()).during(what()))
}

/// The services of which a process runs in a root, as their supervisors say, and those processes.
pub(super) fn running(context: &Context) -> Result<Vec<(ContainerId, ::service::Pid)>> {
    let pid = |id: &ContainerId| {
        let text = std::fs::read_to_string(directory(context, &id.to_string()).join("status")).ok()?;
        let pid = ::service::status::Status::decode(&text)?.pid?;
        std::fs::exists(format!("/proc/{pid}")).unwrap_or(true).then_some(pid)
    };
    Ok(prepared(context)?.into_iter().filter_map(|id| Some((id.clone(), pid(&id)?))).collect())
}

/// Whether a service is about to run in what is made, or was made, for it: its supervisor says so before it begins.
pub(super) fn is_being_started(context: &Context, id: &ContainerId) -> bool {
    use ::service::status::{State, Status};
    let text = std::fs::read_to_string(directory(context, &id.to_string()).join("status")).ok();
    let status = text.and_then(|text| Status::decode(&text));
    let supervisor = |status: Status| status.supervisor.filter(|_| status.state == State::Starting);
    let lives = |pid: ::service::Pid| std::fs::exists(format!("/proc/{pid}")).unwrap_or(true);
    status.and_then(supervisor).is_some_and(lives)
}

/// The services that something was prepared for since the machine started.
pub(super) fn prepared(context: &Context) -> Result<Vec<ContainerId>> {
    let directory = context.run.join("service");
    let found = match std::fs::read_dir(&directory) {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::from(error).during(directory.display())),
    };
    let mut ids = Vec::new();
    for entry in found {
        let entry = entry?;
        let name = entry.file_name().into_string().unwrap_or_default();
        if entry.path().join("prepared").exists() {
            ids.extend(ContainerId::below(None, &name));
        }
    }
    Ok(ids)
}
