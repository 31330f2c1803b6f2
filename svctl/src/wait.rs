//! The verb `wait`: for the boot, or for services to be somewhere.

mod boot;
mod names;

pub use boot::boot;
pub use names::{Aim, names};
