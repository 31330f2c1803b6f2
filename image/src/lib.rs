//! The provisioner: takes container images in, keeps their layers, and makes root filesystems of them for services.
//!
//! An image comes from a [`source`], named by a [`reference`]. Its layers are unpacked by [`unpack`] into the
//! [`store`], each once. A [`backend`] makes a root of them, which [`provision`] keeps account of. What the image says
//! of its process is merged with what the service says by [`runtime`].

pub mod appc;
pub mod backend;
pub mod cli;
pub mod config;
pub mod digest;
pub mod discovery;
pub mod error;
pub mod fault;
pub mod oci;
pub mod platform;
pub mod progress;
pub mod provision;
pub mod pull;
pub mod reference;
pub mod runtime;
pub mod settings;
pub mod source;
pub mod store;
pub mod tarball;
#[cfg(test)]
mod testing;
pub mod unpack;
