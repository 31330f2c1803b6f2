//! Images from registries.

use crate::error::{Error, Result};
use crate::reference::Docker;
use crate::settings::Settings;
use crate::source::Source;

/// The image as a registry has it.
///
/// # Errors
/// It cannot be had.
pub fn source(_settings: &Settings, reference: &Docker) -> Result<Box<dyn Source>> {
    Err(Error::missing(format!("docker://{reference} is not here, and registries are not asked")))
}
