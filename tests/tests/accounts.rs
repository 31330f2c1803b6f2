//! `docs/edge-cases.md` and `docs/provisioner-tests.md` name a test for each thing that they say is done. A name that no
//! test has is a claim that nothing shows.

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

/// In the account of the provisioner each test stands behind the file that it is in.
#[test]
fn every_test_of_the_provisioners_account_is_in_its_file() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let text = fs::read_to_string(root.join("docs/provisioner-tests.md")).unwrap();
    let mut groups = Vec::new();
    let mut wrong = Vec::new();
    let rows = text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| --"));
    for row in rows.filter(|row| !row.ends_with("shown by |")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let (first, last) =
            (cells.first().copied().unwrap_or_default(), cells.last().copied().unwrap_or_default());
        groups.extend(first.split_once(". ").and_then(|(number, _)| number.parse::<u32>().ok()));
        for part in last.split("; ") {
            let file = part.split(' ').next().unwrap_or_default();
            let found = fs::read_to_string(root.join(file)).unwrap_or_default();
            let is_test = |name: &str| found.contains(&format!("fn {name}("));
            let names: Vec<&str> = quoted(part).collect();
            if names.is_empty() || found.is_empty() {
                wrong.push(format!("no file and test: {part}"));
            }
            wrong.extend(names.iter().filter(|name| !is_test(name)).map(|name| format!("{file}: no {name}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(groups, (1..=27).collect::<Vec<u32>>(), "the groups that Mesos has");
}
