//! What is to be executed, and in what.

use super::{broken, demanded, missing, text};
use crate::error::Result;
use crate::wire::Fields;

/// `CommandInfo`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command {
    /// What is brought into the sandbox before.
    pub uris: Vec<Uri>,
    /// Variables, the later of the same name counts.
    pub environment: Vec<(String, String)>,
    /// A command line for the shell, or a program. Required in 0.19.
    pub value: Option<String>,
    /// The image, up to 0.26.
    pub image: Option<String>,
    /// More about the container, up to 0.26; what it means is the containerizer's to say.
    pub options: Vec<String>,
    /// Whose the process is to be.
    pub user: Option<String>,
    /// Whether `value` is for the shell: yes, unless it says otherwise. Since 0.20; in 0.19 field 6 was a message.
    pub shell: bool,
    /// The program's arguments, of which the first is its name. Since 0.20.
    pub arguments: Vec<String>,
}

/// `CommandInfo.URI`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uri {
    /// What is fetched.
    pub value: String,
    /// Whether it is made executable.
    pub executable: bool,
    /// Whether it is unpacked, if it is an archive: yes, unless it says otherwise.
    pub extract: bool,
    /// What its file is called. Since 1.0.
    pub output_file: Option<String>,
}

/// What is used of `ContainerInfo`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerInfo {
    /// The image, as the provisioner calls it.
    pub image: Option<String>,
    /// What of the machine is seen in it.
    pub volumes: Vec<Volume>,
}

/// `Volume`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Where in the container.
    pub container: String,
    /// Where on the machine, if it is something there.
    pub host: Option<String>,
    /// Whether it may not be written.
    pub read_only: bool,
}

pub(super) fn command(fields: &Fields<'_>) -> Result<Command> {
    let container = fields.message(4).map_err(broken)?;
    let (image, options) = match &container {
        Some(fields) => {
            (Some(demanded(fields, 1, "the container's image")?), fields.strings(2).map_err(broken)?)
        }
        None => (None, Vec::new()),
    };
    let uris = fields.messages(1).map_err(broken)?;
    let environment = fields.message(2).map_err(broken)?;
    Ok(Command {
        uris: uris.iter().map(uri).collect::<Result<_>>()?,
        environment: environment.as_ref().map(variables).transpose()?.unwrap_or_default(),
        value: text(fields, 3)?,
        image,
        options,
        user: text(fields, 5)?,
        shell: fields.bool(6).unwrap_or(true),
        arguments: fields.strings(7).map_err(broken)?,
    })
}

fn uri(fields: &Fields<'_>) -> Result<Uri> {
    Ok(Uri {
        value: demanded(fields, 1, "a URI's value")?,
        executable: fields.bool(2).unwrap_or(false),
        extract: fields.bool(3).unwrap_or(true),
        output_file: text(fields, 5)?,
    })
}

fn variables(fields: &Fields<'_>) -> Result<Vec<(String, String)>> {
    let variable = |fields: &Fields<'_>| {
        Ok((demanded(fields, 1, "a variable's name")?, demanded(fields, 2, "a variable's value")?))
    };
    fields.messages(1).map_err(broken)?.iter().map(variable).collect()
}

pub(super) fn container(fields: &Fields<'_>) -> Result<ContainerInfo> {
    fields.number(1).ok_or_else(|| missing("a container's type"))?;
    let docker = fields.message(3).map_err(broken)?;
    let mesos = fields.message(5).map_err(broken)?;
    let image = match (docker, mesos) {
        (Some(docker), _) => Some(demanded(&docker, 1, "a Docker container's image")?),
        (None, Some(mesos)) => mesos.message(1).map_err(broken)?.map(|fields| image(&fields)).transpose()?,
        (None, None) => None,
    };
    let volumes = fields.messages(2).map_err(broken)?;
    Ok(ContainerInfo { image, volumes: volumes.iter().map(volume).collect::<Result<_>>()? })
}

/// `Image`: of field 2 an App Container Image, of field 3 one of Docker.
fn image(fields: &Fields<'_>) -> Result<String> {
    fields.number(1).ok_or_else(|| missing("an image's type"))?;
    if let Some(docker) = fields.message(3).map_err(broken)? {
        return demanded(&docker, 1, "an image's name");
    }
    let appc = fields.message(2).map_err(broken)?.ok_or_else(|| missing("an image's name"))?;
    let mut reference = format!("appc:{}", demanded(&appc, 1, "an image's name")?);
    if let Some(labels) = appc.message(3).map_err(broken)? {
        for label in labels.messages(1).map_err(broken)? {
            let key = demanded(&label, 1, "a label's name")?;
            reference += &format!(",{key}={}", text(&label, 2)?.unwrap_or_default());
        }
    }
    if let Some(id) = text(&appc, 2)? {
        reference += &format!(",id={id}");
    }
    Ok(reference)
}

fn volume(fields: &Fields<'_>) -> Result<Volume> {
    const READ_ONLY: u64 = 2;
    Ok(Volume {
        container: demanded(fields, 1, "a volume's path")?,
        host: text(fields, 2)?,
        read_only: fields.number(3).ok_or_else(|| missing("a volume's mode"))? == READ_ONLY,
    })
}
