//! `docs/edge-cases.md` names a test for each thing that it says is done. A name that no test has is a claim
//! that nothing shows.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::HashSet;
use std::fs;
use std::path::Path;

/// Every function that any source file of the repository declares, with the modules' names.
fn functions(directory: &Path, found: &mut HashSet<String>) {
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            functions(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let names = text.lines().filter_map(|line| line.trim_start().strip_prefix("fn "));
            found.extend(names.filter_map(|rest| rest.split(['(', '<']).next()).map(str::to_owned));
        }
    }
}

/// The words in backquotes of a cell.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn every_test_that_the_account_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut known = HashSet::new();
    functions(root, &mut known);
    let text = fs::read_to_string(root.join("docs/edge-cases.md")).unwrap();
    let rows: Vec<&str> =
        text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| --")).collect();
    assert!(rows.len() > 80, "the account has only {} rows", rows.len());
    let mut wrong = Vec::new();
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let last = cells.last().copied().unwrap_or_default();
        // The heading of a table, a row with tests, or one that says why there is none.
        if last == "shown by" || last.starts_with("left out: ") {
            continue;
        }
        let names: Vec<&str> = quoted(last).collect();
        if names.is_empty() {
            wrong.push(format!("no test and no reason: {row}"));
        }
        wrong.extend(
            names.iter().filter(|name| !known.contains(**name)).map(|name| format!("no such test: {name}")),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
