//! Logs: the order of files and services, the last lines, and following over rotations.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod common;

use common::Fixture;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Longer than anything here takes on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn stamp(second: u32) -> String {
    format!("2026-11-21T10:58:{second:02}.123456Z")
}

fn lines(seconds: &[u32]) -> String {
    seconds.iter().map(|second| format!("{} line {second}\n", stamp(*second))).collect()
}

fn fixture() -> Fixture {
    let fixture = Fixture::new();
    fixture.log("a", "20261121T105803.000000Z.log", &lines(&[1, 3]));
    fixture.log("a", "20261121T105806.000000Z.log", &lines(&[5]));
    fixture.log("a", "current", &lines(&[7, 9]));
    fixture.log("b", "current", &format!("{}  and more\n{}", lines(&[2]), lines(&[4, 7])));
    fixture.log("other", "README", "not a log\n");
    fixture
}

#[test]
fn one_log_is_shown_as_it_was_written_rotated_files_first() {
    let ran = fixture().run(&["logs", "a"]);
    assert_eq!((ran.code, ran.out), (0, lines(&[1, 3, 5, 7, 9])));
}

#[test]
fn several_logs_are_interleaved_by_their_stamps_and_named() {
    let ran = fixture().run(&["logs"]);
    let expected = [("a", 1), ("b", 2), ("b", 0), ("a", 3), ("b", 4), ("a", 5), ("a", 7), ("b", 7), ("a", 9)];
    let expected: String = expected
        .map(|(name, second)| match second {
            0 => "b:   and more\n".to_owned(),
            _ => format!("{} {name}: line {second}\n", stamp(second)),
        })
        .concat();
    assert_eq!((ran.code, ran.out), (0, expected));
}

#[test]
fn the_last_lines_are_found_over_files_and_services() {
    let fixture = fixture();
    assert_eq!(fixture.run(&["logs", "-n", "3", "a"]).out, lines(&[5, 7, 9]));
    assert_eq!(fixture.run(&["logs", "-n", "99", "a"]).out, lines(&[1, 3, 5, 7, 9]));
    assert_eq!(fixture.run(&["logs", "-n0", "a"]).out, "");
    let merged = fixture.run(&["logs", "-n", "2"]).out;
    assert_eq!(merged, format!("{} b: line 7\n{} a: line 9\n", stamp(7), stamp(9)));
    // Lines longer than what is read at a time.
    let long = format!("{}\n{}\n{}\n", "x".repeat(70_000), "y".repeat(140_000), "z");
    fixture.log("long", "current", &long);
    assert_eq!(fixture.run(&["logs", "-n", "2", "long"]).out, long[70_001..]);
}

#[test]
fn an_unfinished_line_is_shown_at_the_end() {
    let fixture = Fixture::new();
    fixture.log("a", "current", "one\ntwo");
    assert_eq!(fixture.run(&["logs", "a"]).out, "one\ntwo\n");
}

#[test]
fn a_service_without_a_log_has_no_lines() {
    let fixture = Fixture::new();
    fixture.define("a", "command = [\"x\"]");
    fixture.compile();
    let ran = fixture.run(&["logs", "a"]);
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, "", ""));
}

/// `svctl logs -f`, which is ended with it.
struct Follower {
    child: Child,
    lines: Receiver<String>,
}

impl Follower {
    fn new(fixture: &Fixture, names: &[&str]) -> Follower {
        let arguments = [&["logs", "-f"], names].concat();
        let mut child = fixture.command(&arguments).stdout(Stdio::piped()).spawn().unwrap();
        let out: ChildStdout = child.stdout.take().unwrap();
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        Follower { child, lines }
    }

    fn expect(&self, line: &str) {
        assert_eq!(self.lines.recv_timeout(PATIENCE).unwrap(), line);
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn following_goes_on_over_rotations_and_loses_and_doubles_nothing() {
    let fixture = Fixture::new();
    let directory = fixture.root.join("logs/a");
    fixture.log("a", "current", "old\n");
    let follower = Follower::new(&fixture, &["a"]);
    follower.expect("old");
    // The logger's way: write, rename, begin anew; quicker than anybody can look.
    for number in 0..300 {
        let mut current =
            fs::OpenOptions::new().create(true).append(true).open(directory.join("current")).unwrap();
        writeln!(current, "line {number}").unwrap();
        if number % 3 == 0 {
            fs::rename(
                directory.join("current"),
                directory.join(format!("20261121T{number:06}.000000Z.log")),
            )
            .unwrap();
        }
    }
    for number in 0..300 {
        follower.expect(&format!("line {number}"));
    }
}

#[test]
fn a_line_is_shown_when_it_is_whole() {
    let fixture = Fixture::new();
    fixture.log("a", "current", "begun\n");
    let follower = Follower::new(&fixture, &["a"]);
    follower.expect("begun");
    let mut current = fs::OpenOptions::new().append(true).open(fixture.root.join("logs/a/current")).unwrap();
    current.write_all(b"half").unwrap();
    current.write_all(b" and half\nnext\n").unwrap();
    follower.expect("half and half");
    follower.expect("next");
}

#[test]
fn a_service_that_comes_later_is_followed_too() {
    let fixture = Fixture::new();
    fixture.log("a", "current", "here\n");
    let follower = Follower::new(&fixture, &[]);
    follower.expect("a: here");
    fixture.log("b", "current", "there\n");
    follower.expect("b: there");
    fixture.define("c", "command = [\"x\"]");
    fixture.compile();
    let named = Follower::new(&fixture, &["a", "c"]);
    named.expect("a: here");
    fixture.log("c", "current", "first\n");
    named.expect("c: first");
    follower.expect("c: first");
}
