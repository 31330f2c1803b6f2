//! Whole files and trees: a golden one, damaged ones, and those that others ship.

use super::super::{Options, Severity, compile, read_toml};
use super::trees::Tree;
use proptest::prelude::*;
use service::definition::Style;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn a_file_with_many_mistakes_is_told_all_of_them() {
    let text = include_str!("golden/mistakes.toml");
    let mut told = read_toml("a", "/d", "mistakes.toml", text, "/p").diagnostics;
    told.sort_by_key(|diagnostic| diagnostic.place);
    let told: String = told.iter().map(|diagnostic| format!("{diagnostic}\n")).collect();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/compile/tests/golden/mistakes.out");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&golden, &told).unwrap();
    }
    assert_eq!(told, fs::read_to_string(golden).unwrap());
}

/// The texts of all `service.toml` of the image.
fn shipped() -> Vec<String> {
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("../services.d");
    let files = fs::read_dir(tree).unwrap().map(|entry| entry.unwrap().path().join("service.toml"));
    let mut files: Vec<PathBuf> = files.filter(|file| file.is_file()).collect();
    files.sort();
    files.iter().map(|file| fs::read_to_string(file).unwrap()).collect()
}

/// One change to a text.
#[derive(Clone, Debug)]
enum Damage {
    Cut(usize, usize),
    Insert(usize, String),
    Repeat(usize, usize),
    Swap(usize, usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let any_text = prop_oneof![
        proptest::sample::select(vec![
            "\"",
            "[",
            "]",
            "{",
            "}",
            "=",
            "\n",
            "\"\"\"",
            "'",
            "#",
            ".",
            ",",
            "0x",
            "inf",
            "%i",
            "\0",
            "\u{feff}",
            "[[",
            "a.b.c = 1\n",
        ])
        .prop_map(str::to_owned),
        any::<String>(),
    ];
    prop_oneof![
        (any::<usize>(), 0usize..200).prop_map(|(at, length)| Damage::Cut(at, length)),
        (any::<usize>(), any_text).prop_map(|(at, text)| Damage::Insert(at, text)),
        (any::<usize>(), 0usize..300).prop_map(|(at, length)| Damage::Repeat(at, length)),
        (any::<usize>(), any::<usize>()).prop_map(|(one, other)| Damage::Swap(one, other)),
    ]
}

fn apply(text: &str, damage: &Damage) -> String {
    let characters: Vec<char> = text.chars().collect();
    let bounded = |at: usize| at % (characters.len() + 1);
    let end = |at: usize, length: usize| (at + length).min(characters.len());
    let mut changed = characters.clone();
    match damage {
        Damage::Cut(at, length) => drop(changed.drain(bounded(*at)..end(bounded(*at), *length))),
        Damage::Insert(at, text) => drop(changed.splice(bounded(*at)..bounded(*at), text.chars())),
        Damage::Repeat(at, length) => {
            let piece = characters[bounded(*at)..end(bounded(*at), *length)].to_vec();
            let to = bounded(at / 3);
            drop(changed.splice(to..to, piece));
        }
        Damage::Swap(one, other) if !characters.is_empty() => {
            changed.swap(one % characters.len(), other % characters.len());
        }
        Damage::Swap(..) => {}
    }
    changed.into_iter().collect()
}

proptest! {
    #[test]
    fn a_damaged_definition_is_read_or_told_and_nothing_else(
        file in any::<prop::sample::Index>(),
        changes in proptest::collection::vec(damage(), 1..6),
    ) {
        let shipped = shipped();
        let text = changes.iter().fold(file.get(&shipped).clone(), |text, damage| apply(&text, damage));
        let service = read_toml("a", "/d", "F", &text, "/p");
        prop_assert_eq!(service.invalid, service.diagnostics.iter().any(|d| d.severity == Severity::Error));
        // What is valid comes back from its compiled form.
        let definition = service.definition;
        prop_assert_eq!(service::Definition::decode(&definition.encode()), Ok(definition));
    }

    #[test]
    fn no_files_of_a_foreign_directory_make_the_compiler_panic(
        files in proptest::collection::vec(
            (
                proptest::sample::select(vec![
                    "notification-fd", "lock-fd", "timeout-kill", "timeout-finish", "down-signal", "reload-signal",
                    "max-death-tally", "type", "up", "down", "reload", "dependencies", "contents", "producer-for",
                    "consumer-for", "pipeline-name", "timeout-up", "timeout-down", "check", "log/run", "run",
                    "service.d/a.toml",
                ]),
                prop_oneof![
                    any::<String>(),
                    "(oneshot|longrun|bundle|a|3|[{}\"#! a]{0,9})\n?",
                ],
            ),
            0..6,
        ),
    ) {
        let tree = Tree::new("fuzz", &[]);
        tree.file("a/data/x", "");
        for (file, text) in &files {
            tree.executable(&format!("a/{file}"), text);
        }
        for diagnostic in tree.told(None) {
            prop_assert!(!diagnostic.contains(char::is_control));
        }
    }
}

/// A tree that is only there where its package is.
fn packaged(variable: &str, place: &str) -> Option<PathBuf> {
    let tree = std::env::var_os(variable).map_or_else(|| PathBuf::from(place), PathBuf::from);
    tree.is_dir().then_some(tree)
}

#[test]
fn the_directories_of_debians_runit_services_are_without_mistakes() {
    let Some(services) = packaged("RUNIT_SERVICES", "/usr/share/runit/sv") else { return };
    let compiled = compile(&Options { services, prober: "/p".to_owned(), ..Options::default() }).unwrap();
    let errors: Vec<String> = compiled
        .diagnostics()
        .iter()
        .filter(|found| found.severity == Severity::Error)
        .map(ToString::to_string)
        .collect();
    assert_eq!(errors, [""; 0]);
    let style = |service: &super::super::Service| service.definition.style;
    assert!(compiled.services.len() > 20 && compiled.services.iter().all(|s| style(s) == Style::Runit));
}
