//! Whole machines: the image in QEMU, asked over ssh and through its ports, and listened to on its console.
//! Only what needs a kernel of its own is tested here.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what fails here fails a test"
)]

#[path = "vm/apart.rs"]
mod apart;
#[path = "vm/broken.rs"]
mod broken;
#[path = "vm/debian.rs"]
mod debian;
#[path = "vm/disks.rs"]
mod disks;
#[path = "vm/exporter.rs"]
mod exporter;
#[path = "vm/faults.rs"]
mod faults;
#[path = "vm/guard.rs"]
mod guard;
#[path = "vm/guest.rs"]
mod guest;
#[path = "vm/images.rs"]
mod images;
#[path = "vm/images_run.rs"]
mod images_run;
#[path = "vm/kernel.rs"]
mod kernel;
#[path = "vm/limits.rs"]
mod limits;
#[path = "vm/mesos.rs"]
mod mesos;
#[path = "vm/power.rs"]
mod power;
#[path = "vm/sandbox.rs"]
mod sandbox;
#[path = "vm/services.rs"]
mod services;
#[path = "vm/stuck.rs"]
mod stuck;
