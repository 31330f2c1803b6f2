//! `rootfs`: builds the image, a kernel and an initramfs, from a declarative recipe.
//!
//! Nothing is installed and nothing runs as root: files are taken out of packages, put into a tree in memory,
//! and written as an archive. The same inputs give the same bytes.
#![allow(
    clippy::exit,
    clippy::print_stderr,
    reason = "a command that a person runs on the machine that builds"
)]

mod accounts;
mod apt;
mod assemble;
mod build;
mod check;
mod compress;
mod cpio;
mod digest;
mod elf;
mod error;
mod key;
mod libraries;
mod manifest;
mod mesos;
mod modules;
mod recipe;
mod tree;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Says what the builder is doing.
macro_rules! say {
    ($($words:tt)*) => { eprintln!("rootfs: {}", format_args!($($words)*)) };
}
pub(crate) use say;

/// Builds the image from a declarative recipe.
#[derive(Debug, Parser)]
#[command(name = "rootfs")]
struct Arguments {
    #[command(subcommand)]
    command: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Builds the image: vmlinuz, initramfs, manifest.json and image.json. Does nothing when it is up to date.
    Build(Box<Options>),
}

/// What an image is built from, and where to.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// The recipe
    #[arg(long, value_name = "FILE", default_value = "rootfs/image.toml")]
    pub(crate) recipe: PathBuf,
    /// The directory to build into
    #[arg(long, value_name = "DIRECTORY", default_value = "target/image")]
    pub(crate) out: PathBuf,
    /// Where the programs of the suite are, compiled for the image
    #[arg(long, value_name = "DIRECTORY", default_value = "target/x86_64-unknown-linux-musl/release")]
    pub(crate) programs: PathBuf,
    /// A directory of service directories; may be repeated, and later ones win [default: services.d]
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) services: Vec<PathBuf>,
    /// A tree to lay over the image; may be repeated
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) extra: Vec<PathBuf>,
    /// The ssh key that may log in as root, either half [default: yours in ~/.ssh, else one made for images]
    #[arg(long, value_name = "FILE", env = "SSH_KEY")]
    pub(crate) ssh_key: Option<PathBuf>,
    /// Mesos: an install prefix, a .deb, or what `docker save` wrote [default: a stand-in]
    #[arg(long, value_name = "PATH", env = "MESOS")]
    pub(crate) mesos: Option<PathBuf>,
    /// The cache of packages
    #[arg(long, value_name = "DIRECTORY", default_value = "target/packages")]
    pub(crate) packages: PathBuf,
    /// Take services as they are: do not have svctl check them
    #[arg(long)]
    pub(crate) no_check: bool,
}

fn main() -> ExitCode {
    let Verb::Build(mut options) = Arguments::parse().command;
    // A variable that is set to nothing is one that is not set.
    options.ssh_key = options.ssh_key.filter(|path| !path.as_os_str().is_empty());
    options.mesos = options.mesos.filter(|path| !path.as_os_str().is_empty());
    if options.services.is_empty() {
        options.services.push("services.d".into());
    }
    match build::build(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say!("{error} (no image was written)");
            ExitCode::FAILURE
        }
    }
}
