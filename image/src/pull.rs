//! Images from registries, and files from web servers.
//!
//! A registry and its mirrors are asked in turn ([`registry`]). Layers are fetched a few at once ([`prefetch`]) into
//! files without names ([`blob`]), which nobody reads before their digests are found to be right. What may pass is
//! tried again ([`retry`]); who we are is told to nobody but the registry itself ([`session`]).

pub mod address;
pub mod appc;
pub mod blob;
pub mod challenge;
pub mod credentials;
pub mod endpoint;
pub mod helper;
pub mod http;
pub mod page;
pub mod prefetch;
pub mod registry;
pub mod report;
pub mod retry;
pub mod session;

use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Context, Error, Result};
use crate::reference::Docker;
use crate::settings::Settings;
use crate::source::{Oci, Source};
use credentials::File;
use endpoint::{Endpoint, HUB};
use http::Http;
use registry::{Registry, Remote};
use report::{Manner, Report};
use session::Session;

/// What is set about registries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Asked before the registry that is asked by default, in this order; `REGISTRY=MIRROR` is one of another registry.
    pub mirrors: Vec<String>,
    /// Registries that are spoken to without TLS: `HOST` or `HOST:PORT`. Those of this machine need not be named.
    pub insecure: Vec<String>,
    /// A file of certificates to trust besides the system's.
    pub ca: Option<PathBuf>,
    /// The `config.json` with our credentials.
    pub credentials: Option<PathBuf>,
    /// The largest blob or archive that is fetched, in bytes.
    pub largest: u64,
    /// How long nothing may be heard before a connection counts as broken.
    pub silence: Duration,
    /// Whether nothing is told of how far it has come.
    pub quiet: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            mirrors: Vec::new(),
            insecure: Vec::new(),
            ca: None,
            credentials: None,
            largest: 16 << 30,
            silence: Duration::from_secs(30),
            quiet: false,
        }
    }
}

/// The image as a registry has it. Nothing is asked yet.
///
/// # Errors
/// What is set is wrong.
pub fn source(settings: &Settings, reference: &Docker) -> Result<Box<dyn Source>> {
    let remote = remote(settings, reference).context(|| format!("unable to pull {reference}"))?;
    Ok(Box::new(Oci(Registry::new(remote))))
}

/// A repository, and who is asked for it.
fn remote(settings: &Settings, reference: &Docker) -> Result<Remote> {
    let options = &settings.pull;
    let named = reference.registry.as_deref();
    let parse = |text: &str| {
        Endpoint::parse(text, &options.insecure)
            .map_err(|cause| Error::refused(format!("registry {text:?}: {cause}")))
    };
    let origin = parse(named.unwrap_or(&settings.registry))?;
    let mut endpoints = Vec::new();
    for mirror in &options.mirrors {
        let (of, mirror) =
            mirror.split_once('=').map_or((None, mirror.as_str()), |(of, mirror)| (Some(of), mirror));
        if of == named || of.is_some_and(|of| named.is_none() && origin.is_hub() && is_hub(of)) {
            endpoints.push(parse(mirror)?);
        }
    }
    let file = credentials(options)?;
    let repository = origin.repository(&reference.repository);
    endpoints.push(origin);
    let last = endpoints.len().saturating_sub(1);
    let sessions = endpoints.into_iter().enumerate().map(|(at, endpoint)| {
        let found = file
            .find(&endpoint, helper::ask)
            .map_err(|cause| Error::refused(format!("registry {endpoint}: {cause}")))?;
        Ok(Session::new(endpoint, found, at == last))
    });
    Ok(Remote {
        sessions: sessions.collect::<Result<_>>()?,
        repository,
        staging: staging(settings),
        largest: options.largest,
        http: Http::new(options.ca.clone(), options.silence),
        report: report(options, &reference.name()),
    })
}

fn is_hub(name: &str) -> bool {
    Endpoint::parse(name, &[]).is_ok_and(|endpoint| endpoint.is_hub()) || name == HUB
}

/// The file that Docker's own programs write for whoever runs us, if it is there.
fn own_credentials() -> Option<PathBuf> {
    let named = std::env::var_os("DOCKER_CONFIG").filter(|name| !name.is_empty()).map(PathBuf::from);
    let home =
        || Some(PathBuf::from(std::env::var_os("HOME").filter(|home| !home.is_empty())?).join(".docker"));
    Some(named.or_else(home)?.join("config.json")).filter(|path| path.is_file())
}

fn credentials(options: &Options) -> Result<File> {
    let path = match (&options.credentials, own_credentials()) {
        (Some(path), _) => path.clone(),
        (None, Some(path)) => path,
        (None, None) => return Ok(File::default()),
    };
    let text = std::fs::read_to_string(&path).context(|| format!("credentials in {}", path.display()))?;
    File::parse(&text).map_err(|cause| Error::refused(format!("credentials in {}: {cause}", path.display())))
}

/// Where files without names are made: on the filesystem that what they hold is unpacked to.
fn staging(settings: &Settings) -> PathBuf {
    settings.store.join("staging")
}

fn report(options: &Options, name: &str) -> Report {
    let manner = if options.quiet { Manner::Silent } else { Manner::fitting() };
    Report::new(manner, format!("pull {name}"))
}
