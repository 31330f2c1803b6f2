//! What can be asked for.

use crate::settings;
use clap::{Arg, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;

/// Keeps container images, and makes roots of them for services.
#[derive(Parser, Debug)]
#[command(name = "svctl image", version, after_help = CODES, subcommand_required = true)]
pub(super) struct Arguments {
    /// Read settings from this file instead of /etc/mainstay/image.toml
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) settings: Option<PathBuf>,
    /// The run directory of init
    #[arg(long, global = true, value_name = "DIR")]
    run: Option<PathBuf>,
    /// Say what came of it as JSON
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Do not say how far it has come
    #[arg(long, short, global = true)]
    pub(super) quiet: bool,
    #[command(subcommand)]
    pub(super) verb: Verb,
    /// Settings of the command line.
    #[arg(skip)]
    pub(super) set: Vec<(&'static str, String)>,
}

const CODES: &str = "Exit codes: 0 done; 1 refused: an image, an archive or the store is not as it should be; 3 there is no
such image or container; 4 the store is in use; 99 timed out; 100 wrong usage; 111 the system refused something.";

/// The verbs.
#[derive(Subcommand, Debug)]
pub(super) enum Verb {
    /// Bring an image into the store: from a file, a layout, the directory of local images or a registry
    #[command(visible_alias = "pull")]
    Import(Import),
    /// Show the images of the store
    List,
    /// Show all that is known of an image, as JSON
    Inspect {
        /// Its reference
        reference: String,
    },
    /// Forget images; gc throws their layers away
    Remove {
        /// Their references
        #[arg(required = true)]
        references: Vec<String>,
    },
    /// Throw away layers that no image and no container has
    Gc(Gc),
    /// Look whether all images and layers are as they were when they came
    Verify {
        /// Throw away what is damaged, so that it is brought in again
        #[arg(long)]
        repair: bool,
    },
    /// Make a root for a container
    Provision(Provision),
    /// Take away the roots of earlier starts of a service that is ready
    Settle {
        /// The service
        #[arg(long, value_name = "NAME")]
        service: String,
    },
    /// Take away containers, and those inside of them
    Destroy {
        /// Their names, as NAME or NAME/INSIDE
        #[arg(required_unless_present = "service", conflicts_with = "service")]
        names: Vec<String>,
        /// All that was made for this service, by the settings of its definition
        #[arg(long, value_name = "NAME")]
        service: Option<String>,
        /// Even if a service runs in one
        #[arg(long)]
        force: bool,
    },
    /// Take away the roots of services that init has forgotten, as init has it done
    Sweep,
    /// Show the containers and their roots
    Containers,
    /// Take away containers that nobody knows of, and what was left half done
    Recover(Recover),
}

/// What is brought in.
#[derive(Args, Debug)]
pub(super) struct Import {
    /// A reference; or the path of an archive or a layout
    pub(super) what: String,
    /// Which images of the archive; what is alone in it without a name may be called anything
    pub(super) references: Vec<String>,
    /// Bring it in although it is there
    #[arg(long)]
    pub(super) again: bool,
}

/// What is thrown away.
#[derive(Args, Debug)]
pub(super) struct Gc {
    /// Also images that no container is made from
    #[arg(long)]
    pub(super) unused: bool,
    /// But not this one
    #[arg(long, value_name = "REFERENCE")]
    pub(super) keep: Vec<String>,
    /// Wait until nobody uses the store
    #[arg(long)]
    pub(super) wait: bool,
}

/// A root that is to be made.
#[derive(Args, Debug)]
pub(super) struct Provision {
    /// The image
    #[arg(required_unless_present = "service", conflicts_with = "service")]
    pub(super) reference: Option<String>,
    /// The container that it is for
    #[arg(long, value_name = "NAME", required_unless_present = "service", conflicts_with = "service")]
    pub(super) container: Option<String>,
    /// The service that it is for: its definition says all, and what came of it is left for its supervisor
    #[arg(long, value_name = "NAME")]
    pub(super) service: Option<String>,
    /// It may be written to
    #[arg(long)]
    pub(super) writable: bool,
    /// Bring the image in although it is there
    #[arg(long)]
    pub(super) again: bool,
}

/// What is known.
#[derive(Args, Debug)]
pub(super) struct Recover {
    /// The containers that are known
    pub(super) known: Vec<String>,
    /// Those of the services of the run directory are known as well
    #[arg(long)]
    pub(super) services: bool,
}

impl Arguments {
    /// The run directory: what is said, what svctl says, else the usual one.
    pub(super) fn run(&self) -> PathBuf {
        let told = || std::env::var_os("MAINSTAY_RUN").map(PathBuf::from);
        self.run.clone().or_else(told).unwrap_or_else(|| ::service::RUN_DIRECTORY.into())
    }
}

impl Arguments {
    /// The service for which a root is made.
    pub(super) fn provisioned(&self) -> Option<&str> {
        if let Verb::Provision(what) = &self.verb { what.service.as_deref() } else { None }
    }

    /// The service that something is done for, which may have settings of its own.
    pub(super) fn of_service(&self) -> Option<&str> {
        if let Verb::Settle { service } = &self.verb { Some(service) } else { self.provisioned() }
    }

    /// The service of which all is to be taken away.
    pub(super) fn destroyed(&self) -> Option<&str> {
        if let Verb::Destroy { service, .. } = &self.verb { service.as_deref() } else { None }
    }
}

/// Understands a command line. Every setting is an option, by each of its names.
pub(super) fn parse(words: impl Iterator<Item = OsString>) -> Result<Arguments, clap::Error> {
    let mut command = Arguments::command();
    for setting in settings::ALL {
        command = command.arg(option(setting.name, setting).help(setting.help).help_heading("Settings"));
        for alias in setting.aliases {
            command = command.arg(option(alias, setting).hide(true));
        }
    }
    let mut matches = command.try_get_matches_from(words)?;
    let mut set = Vec::new();
    for name in settings::ALL.iter().flat_map(|setting| std::iter::once(&setting.name).chain(setting.aliases))
    {
        let found = matches.try_remove_many::<String>(name).ok().flatten();
        set.extend(found.into_iter().flatten().map(|value| (*name, value)));
    }
    let mut arguments = Arguments::from_arg_matches_mut(&mut matches)?;
    arguments.set = set;
    Ok(arguments)
}

fn option(name: &'static str, setting: &settings::Setting) -> Arg {
    Arg::new(name).long(name).value_name(setting.value).global(true).num_args(1)
}
