//! What the provisioner and the containerizer are linked with, and on what terms.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::process::Command;

/// Licences (by their SPDX names) that allow what ours do, and ask for no more than a notice.
const GOOD: [&str; 9] =
    ["MIT", "Apache-2.0", "ISC", "BSD-3-Clause", "Zlib", "bzip2-1.0.6", "0BSD", "Unlicense", "Unicode-3.0"];

/// The crates of ours that use the ecosystem freely.
const OURS: [&str; 2] = ["image", "containerizer"];

/// Whether an expression of SPDX can be met with those: one of several, or each of several.
fn is_good(expression: &str) -> bool {
    // An exception of a licence allows more, not less.
    let plain = expression.replace(" WITH LLVM-exception", "").replace('/', " OR ");
    plain
        .split(" AND ")
        .all(|part| part.trim_matches(['(', ')']).split(" OR ").any(|name| GOOD.contains(&name.trim())))
}

/// Every package that those crates are linked with, of those that `cargo metadata` tells.
fn linked(metadata: &Value) -> Vec<&Value> {
    let packages: HashMap<&str, &Value> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| (package["id"].as_str().unwrap(), package))
        .collect();
    let nodes: HashMap<&str, &Value> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| (node["id"].as_str().unwrap(), node))
        .collect();
    let mut open: Vec<&str> = packages
        .iter()
        .filter(|(_, package)| OURS.iter().any(|ours| package["name"] == *ours))
        .map(|(id, _)| *id)
        .collect();
    let mut seen = HashSet::new();
    while let Some(id) = open.pop() {
        if seen.insert(id) {
            let normal = |dependency: &&Value| {
                dependency["dep_kinds"].as_array().unwrap().iter().any(|kind| kind["kind"].is_null())
            };
            let dependencies = nodes[id]["deps"].as_array().unwrap().iter().filter(normal);
            open.extend(dependencies.map(|dependency| dependency["pkg"].as_str().unwrap()));
        }
    }
    seen.into_iter().map(|id| packages[id]).collect()
}

#[test]
fn every_library_has_a_licence_that_allows_what_ours_do() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked", "--offline"])
        .args(["--filter-platform", "x86_64-unknown-linux-musl"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let linked = linked(&metadata);
    assert!(linked.iter().any(|package| package["name"] == "ring"), "the libraries were not found");
    for package in linked {
        let licence = package["license"].as_str().unwrap_or("none");
        assert!(is_good(licence), "{}: {licence}", package["name"]);
    }
}

#[test]
fn an_expression_is_good_if_each_of_its_parts_offers_a_good_licence() {
    assert!(is_good("MIT/Apache-2.0"));
    assert!(is_good("(MIT OR GPL-3.0-only) AND Unicode-3.0"));
    assert!(!is_good("MIT AND GPL-3.0-only"));
    assert!(!is_good("none"));
}
