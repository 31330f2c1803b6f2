//! The options that name a tree of definitions, and how it is to be read.

use super::given::Given;
use super::{Tree, Verb};
use crate::exit::Failure;
use std::ffi::OsString;
use std::path::PathBuf;

pub(super) fn check(given: &Given) -> Result<Verb, Failure> {
    let directory = given.names.first().map(PathBuf::from).or_else(|| given.path("services"));
    if let Some(word) = given.names.get(1) {
        return Err(Failure::usage(format!("unexpected argument \"{}\"", word.escape_debug())));
    }
    // An image's own tree is the one to check in it.
    let inside =
        given.path("root").map(|root| root.join(service::SERVICES_DIRECTORY.trim_start_matches('/')));
    Ok(Verb::Check(tree(given, directory.or(inside))?))
}

pub(super) fn tree(given: &Given, directory: Option<PathBuf>) -> Result<Tree, Failure> {
    let instances = given.options.iter().filter(|(option, _)| *option == "instance");
    let name = |(_, value): &(_, OsString)| {
        let name =
            value.to_str().filter(|name| service::definition::valid_name(name) && !name.ends_with('@'));
        let shown = value.to_string_lossy();
        name.map(str::to_owned).ok_or_else(|| {
            Failure::usage(format!("\"{}\" cannot be the name of an instance", shown.escape_debug()))
        })
    };
    Ok(Tree {
        root: root(given)?,
        directory,
        prober: prober(given)?,
        settings: given.path("settings"),
        instances: instances.map(name).collect::<Result<_, _>>()?,
    })
}

fn root(given: &Given) -> Result<Option<PathBuf>, Failure> {
    match (given.path("root"), given.has("no-programs")) {
        (Some(_), true) => {
            Err(Failure::usage("--root says where to look for programs, --no-programs not to"))
        }
        (None, true) => Ok(None),
        (root, false) => Ok(Some(root.unwrap_or_else(|| "/".into()))),
    }
}

fn prober(given: &Given) -> Result<Option<String>, Failure> {
    Ok(given.text("prober")?.map(str::to_owned))
}
