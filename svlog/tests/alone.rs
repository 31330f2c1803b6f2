//! `svlog DIRECTORY` as a person runs it.

mod common;

use common::{SVLOG, Scratch, alone, archives, ended, eventually, lines, names, pipe, raw, signal};
use nix::sys::signal::Signal;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

#[test]
fn every_line_is_stamped_and_the_last_one_gets_the_newline_that_it_lacks() {
    let scratch = Scratch::new();
    let directory = scratch.join("log");
    assert_eq!(alone(&[], &directory, b"one\n\ntwo\r\nthree"), (Some(0), String::new()));
    assert_eq!(lines(&directory), ["one\n", "\n", "two\r\n", "three\n"]);
    let mode = |path: &str| std::fs::metadata(scratch.join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("log"), mode("log/current")), (0o750, 0o640));
}

#[test]
fn no_input_makes_an_empty_log() {
    let scratch = Scratch::new();
    assert_eq!(alone(&[], &scratch.join("log"), b""), (Some(0), String::new()));
    assert!(raw(&scratch.join("log")).is_empty());
}

#[test]
fn bytes_that_are_no_text_are_written_as_they_came_and_long_lines_are_split() {
    let scratch = Scratch::new();
    let directory = scratch.join("log");
    let mut input = b"\xff\0\xfe\n".to_vec();
    input.extend([b'x'; 8192 * 2 + 5]);
    alone(&[], &directory, &input);
    let raw = raw(&directory);
    let texts: Vec<&[u8]> = raw.split_inclusive(|b| *b == b'\n').map(|line| &line[28..]).collect();
    assert_eq!(texts[0], b"\xff\0\xfe\n");
    assert_eq!(texts[1..].iter().map(|text| text.len()).collect::<Vec<_>>(), [8193, 8193, 6]);
}

#[test]
fn input_from_a_file_is_logged_like_that_of_a_pipe() {
    let scratch = Scratch::new();
    let text: String = (0..50_000).map(|n| format!("line {n}\n")).collect();
    std::fs::write(scratch.join("input"), &text).unwrap();
    let input = std::fs::File::open(scratch.join("input")).unwrap();
    let mut child = Command::new(SVLOG).arg(scratch.join("log")).stdin(input).spawn().unwrap();
    assert_eq!(ended(&mut child).code(), Some(0));
    assert_eq!(lines(&scratch.join("log")).concat(), text);
}

#[test]
fn a_signal_finishes_with_what_the_pipe_holds() {
    for number in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let scratch = Scratch::new();
        let directory = scratch.join("log");
        let (read, mut write) = pipe();
        let mut child = Command::new(SVLOG).arg(&directory).stdin(read).spawn().unwrap();
        eventually("the log is there", || directory.join("current").exists());
        signal(&child, Signal::SIGSTOP);
        write.write_all(b"one\ntwo").unwrap();
        signal(&child, number);
        signal(&child, Signal::SIGCONT);
        assert_eq!(ended(&mut child).code(), Some(0));
        assert_eq!(lines(&directory), ["one\n", "two\n"]);
    }
}

#[test]
fn a_second_logger_on_the_same_directory_is_refused() {
    let scratch = Scratch::new();
    let directory = scratch.join("log");
    let (read, write) = pipe();
    let mut first = Command::new(SVLOG).arg(&directory).stdin(read).spawn().unwrap();
    eventually("the log is there", || directory.join("current").exists());
    let (code, said) = alone(&[], &directory, b"");
    assert_eq!(code, Some(111));
    assert_eq!(said, format!("svlog: unable to lock {}: another svlog writes to it\n", directory.display()));
    drop(write);
    assert_eq!(ended(&mut first).code(), Some(0));
}

#[test]
fn files_are_rotated_at_their_size_and_the_newest_are_kept() {
    let scratch = Scratch::new();
    let directory = scratch.join("log");
    let input: Vec<String> = (0..2000).map(|n| format!("{n:05} {}\n", "y".repeat(n % 90))).collect();
    assert_eq!(alone(&["--size", "4KiB", "--keep", "3"], &directory, input.concat().as_bytes()).0, Some(0));
    assert_eq!(archives(&directory).len(), 3);
    for archive in archives(&directory) {
        let bytes = std::fs::read(directory.join(archive)).unwrap();
        let last = bytes[..bytes.len() - 1].iter().rposition(|b| *b == b'\n').unwrap();
        // It was not due before its last line, and it was due behind it.
        assert!(last + 1 < 4096 && bytes.len() >= 4096, "{last} {}", bytes.len());
    }
    let kept = lines(&directory);
    assert!(kept.len() > 100);
    assert_eq!(kept, input[input.len() - kept.len()..]);
}

#[test]
fn with_nothing_to_keep_only_the_current_file_remains() {
    let scratch = Scratch::new();
    let directory = scratch.join("log");
    let input = "a line of some length\n".repeat(1000);
    alone(&["--size", "4096", "--keep", "0"], &directory, input.as_bytes());
    assert_eq!(names(&directory), ["current"]);
}

#[test]
fn names_sort_in_order_of_writing_when_the_clock_has_stepped_back() {
    let scratch = Scratch::new();
    let directory = scratch.join("log");
    std::fs::create_dir(&directory).unwrap();
    std::fs::write(directory.join("29991231T235959.999999Z.log"), b"").unwrap();
    alone(&["--size", "4096", "--keep", "9"], &directory, &b"a line of some length\n".repeat(200));
    assert_eq!(
        archives(&directory),
        ["29991231T235959.999999Z.log", "30000101T000000.000000Z.log", "30000101T000000.000001Z.log"]
    );
}

#[test]
fn a_line_that_a_crash_has_cut_off_is_ended_before_the_next() {
    let scratch = Scratch::new();
    let directory = scratch.join("log");
    std::fs::create_dir(&directory).unwrap();
    std::fs::write(directory.join("current"), b"2026-11-21T10:58:37.123456Z cut o").unwrap();
    alone(&[], &directory, b"next\n");
    assert_eq!(lines(&directory), ["cut o\n", "next\n"]);
}

#[test]
fn a_stamp_without_its_line_is_removed() {
    for (before, expected) in [("", 0), ("2026-11-21T10:58:37.123456Z whole\n", 1)] {
        for length in 1..28 {
            let scratch = Scratch::new();
            let directory = scratch.join("log");
            std::fs::create_dir(&directory).unwrap();
            let torn = format!("{before}{}", &"2026-11-21T10:58:37.123456Z "[..length]);
            std::fs::write(directory.join("current"), torn).unwrap();
            alone(&[], &directory, b"next\n");
            assert_eq!(lines(&directory)[expected..], ["next\n"]);
        }
    }
}

#[test]
fn a_kill_within_rotation_leaves_states_that_are_starts_like_any_other() {
    let scratch = Scratch::new();
    let directory = scratch.join("log");
    std::fs::create_dir(&directory).unwrap();
    let old = b"2026-11-21T10:58:37.123456Z a line of some length\n".repeat(100);
    // Before the rename: due, and rotated with the next line.
    std::fs::write(directory.join("current"), &old).unwrap();
    alone(&["--size", "4096"], &directory, b"next\n");
    assert_eq!((archives(&directory).len(), lines(&directory).len()), (1, 101));
    // Behind the rename: `current` is missing; and there is a file more than are to be kept.
    std::fs::remove_file(directory.join("current")).unwrap();
    std::fs::write(directory.join("20200101T000000.000000Z.log"), b"").unwrap();
    alone(&["--size", "4096", "--keep", "1"], &directory, b"last\n");
    assert_eq!(archives(&directory).len(), 1);
    assert_ne!(archives(&directory), ["20200101T000000.000000Z.log"]);
    assert_eq!(lines(&directory).last().unwrap(), "last\n");
}

#[test]
fn foreign_files_are_never_touched() {
    let scratch = Scratch::new();
    let directory = scratch.join("log");
    std::fs::create_dir_all(directory.join("20260101T000000.000000Z.log.d")).unwrap();
    let foreign = ["notes", "20260101T000000.000000Z.log.gz", "20261301T000000.000000Z.log", "current.old"];
    for name in foreign {
        std::fs::write(directory.join(name), name).unwrap();
    }
    alone(&["--size", "4096", "--keep", "1"], &directory, &b"a line of some length\n".repeat(1000));
    for name in foreign {
        assert_eq!(std::fs::read_to_string(directory.join(name)).unwrap(), name);
    }
    assert_eq!(names(&directory).len(), foreign.len() + 3);
}

#[test]
fn a_directory_that_cannot_be_made_is_reported_with_its_reason() {
    let scratch = Scratch::new();
    std::fs::write(scratch.join("file"), b"").unwrap();
    let directory = scratch.join("file/log");
    let (code, said) = alone(&[], &directory, b"");
    assert_eq!(
        (code, said),
        (Some(111), format!("svlog: unable to lock {}: Not a directory\n", directory.display()))
    );
}

#[test]
fn help_and_version_answer_and_mistakes_are_told_with_code_100() {
    let run = |arguments: &[&str]| Command::new(SVLOG).args(arguments).stdin(Stdio::null()).output().unwrap();
    let help = run(&["--help"]);
    assert!(help.status.success() && help.stdout.starts_with(b"usage: svlog "));
    assert_eq!(run(&["--version"]).stdout, format!("svlog {}\n", env!("CARGO_PKG_VERSION")).as_bytes());
    let wrong = run(&["--colour"]);
    assert_eq!(wrong.status.code(), Some(100));
    assert_eq!(wrong.stderr, b"svlog: there is no option --colour (see svlog --help)\n");
}
