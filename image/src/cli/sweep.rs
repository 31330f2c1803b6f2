//! Roots of services that init has forgotten: it keeps what their definitions said until they are taken away.

use super::{Context, output, service};
use crate::error::{Context as _, Error, Kind, Result};
use crate::provision::{ContainerId, Containers};
use crate::settings::Settings;
use crate::store::Store;
use ::service::definition::Definition;
use rustix::fs::FlockOperation;
use std::path::Path;

/// Takes them away. One that is in the way of none other is tried again the next time.
pub(super) fn sweep(context: &Context, settings: &Settings) -> Result<()> {
    let place = context.run.join("init/forgotten");
    if !place.exists() {
        return Ok(());
    }
    // One at a time.
    let lock = context.run.join("init/forgotten.lock");
    std::fs::File::create(&lock).context(|| lock.display().to_string())?;
    let _alone = crate::store::lock(&lock, FlockOperation::LockExclusive)?;
    let mut failed = false;
    for entry in std::fs::read_dir(&place).context(|| place.display().to_string())? {
        let directory = entry?.path();
        if let Err(error) = one(context, settings, &directory) {
            output::complain(&format!("{}: {error} (tried again the next time)", directory.display()));
            failed = true;
        }
    }
    if failed { Err(Error::new(Kind::System, "some roots are left")) } else { Ok(()) }
}

fn one(context: &Context, settings: &Settings, directory: &Path) -> Result<()> {
    let path = directory.join("definition");
    let text = std::fs::read_to_string(&path).context(|| path.display().to_string())?;
    let definition = Definition::decode(&text).map_err(|error| Error::refused(error.to_string()))?;
    let mut settings = settings.clone();
    service::apply_leniently(&mut settings, &definition);
    let id = ContainerId::below(None, &definition.name)?;
    if !settings.containers.join(&definition.name).exists() {
        // Nothing was made for it, be it because the store could not be had.
        return crate::unpack::make::remove_all(directory);
    }
    let (store, containers) = (Store::open(&settings.store)?, Containers::open(&settings.containers)?);
    // A new service of the same name takes the roots of the one before away by itself.
    let again = context.run.join("service").join(&definition.name).join("definition");
    containers.destroy_unless(&store, &id, || again.exists())?;
    crate::fault::point("swept");
    crate::unpack::make::remove_all(directory)
}
