//! The verb `kexec` with a kernel: it is loaded here, since init reads no files that it is told of.

use crate::args::Places;
use crate::exit::{Exit, Failure};
use service::wire::Power;
use std::ffi::CString;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// The words that this kernel was given.
const OWN_WORDS: &str = "/proc/cmdline";

/// A kernel to load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// Its file.
    pub kernel: PathBuf,
    /// That of its initramfs.
    pub initramfs: Option<PathBuf>,
    /// Its command line; none is this one's.
    pub words: Option<String>,
}

/// Loads it, and has init start it after an orderly end.
///
/// # Errors
/// If it cannot be loaded, or init refuses: then nothing has changed but for what is loaded.
pub fn run(places: &Places, kernel: &Kernel) -> Result<Exit, Failure> {
    load(kernel)?;
    crate::power::run(places, Power::Kexec)
}

fn load(from: &Kernel) -> Result<(), Failure> {
    let words = match &from.words {
        Some(words) => words.clone(),
        None => std::fs::read_to_string(OWN_WORDS)
            .map_err(|error| Failure::system(&format!("unable to read {OWN_WORDS}"), &error))?,
    };
    let words =
        CString::new(words.trim_end()).map_err(|_| Failure::usage("a NUL byte in the command line"))?;
    let kernel = open(&from.kernel)?;
    let initramfs = from.initramfs.as_deref().map(open).transpose()?;
    let loaded = sys::power::load_kernel(kernel.as_fd(), initramfs.as_ref().map(AsFd::as_fd), &words);
    loaded.map_err(|error| {
        Failure::system(&format!("unable to load the kernel {}", from.kernel.display()), &error)
    })
}

fn open(path: &Path) -> Result<File, Failure> {
    File::open(path).map_err(|error| Failure::system(&format!("unable to open {}", path.display()), &error))
}
