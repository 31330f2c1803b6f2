//! The table in docs/foreign.md: every file of s6 and runit that it names is in a comparison.

use std::fs;
use std::path::{Path, PathBuf};

fn place(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The text of every comparison, but for this file.
fn comparisons() -> String {
    let files = |directory: &str| {
        let entries = fs::read_dir(place(directory)).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.is_file()).collect::<Vec<_>>()
    };
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    let mut found = files("tests/oracle_s6");
    found.extend(files("tests").into_iter().filter(|path| name(path).starts_with("oracle_")));
    found.retain(|path| name(path) != "table.rs");
    found.iter().map(|path| fs::read_to_string(path).unwrap()).collect()
}

/// The files that a row is about, if s6 or runit has them.
fn files(row: &str) -> Vec<String> {
    let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
    let [file, s6, runit, ..] = cells[..] else { return Vec::new() };
    if s6 == "–" && runit == "–" {
        return Vec::new();
    }
    let quoted = file.split('`').skip(1).step_by(2);
    quoted.map(|name| name.trim_end_matches("LETTER").trim_end_matches('/').to_owned()).collect()
}

#[test]
fn every_file_of_s6_and_runit_in_the_table_is_in_a_comparison() {
    let (table, comparisons) = (fs::read_to_string(place("../docs/foreign.md")).unwrap(), comparisons());
    let files_table = table.split("\n## ").find(|section| section.starts_with("One table")).unwrap();
    let rows = files_table.lines().filter(|line| line.starts_with("| `"));
    let names: Vec<String> = rows.flat_map(files).collect();
    assert!(names.len() > 20, "the table has been read: {names:?}");
    let is_in = |name: &String| ["\"", "/"].iter().any(|end| comparisons.contains(&format!("\"{name}{end}")));
    let missing: Vec<&String> = names.iter().filter(|name| !is_in(name)).collect();
    assert!(missing.is_empty(), "in docs/foreign.md, and in no comparison: {missing:?}");
}
