//! A file that cannot be written: it is said once, no service waits for it, and what is lost is counted.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

mod common;

use common::{Logger, Scratch, archives, eventually, lines, pipe, raw};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use std::fs::File;
use std::io::Write;
use std::path::Path;

const MIB: u64 = 1 << 20;

/// Gives this thread, and what it starts, a file system of its own of `size` at `path`. That takes root.
fn small_disk(path: &Path, size: &str) -> bool {
    std::fs::create_dir_all(path).unwrap();
    let private = || {
        unshare(CloneFlags::CLONE_NEWNS)?;
        mount::<str, _, str, str>(None, "/", None, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None)?;
        mount(Some("tmpfs"), path, Some("tmpfs"), MsFlags::empty(), Some(format!("size={size}").as_str()))
    };
    let result = private();
    if let Err(error) = result {
        eprintln!("SKIPPED, NOTHING TESTED: no file system of my own ({error}); run me as root");
    }
    result.is_ok()
}

/// What a service writes to its pipe, if the logger does not let it wait for ever.
fn unblocked(mut write: File, says: impl FnOnce(&mut File) + Send + 'static) -> File {
    let writer = std::thread::spawn(move || {
        says(&mut write);
        write
    });
    eventually("the service has got rid of its lines", || writer.is_finished());
    writer.join().unwrap()
}

/// How many lines the notices count as lost, and how many of the service's own lines there are.
fn account(lines: &[String]) -> (usize, usize) {
    let lost = |line: &String| line.strip_prefix("svlog: lost ")?.split(' ').next()?.parse::<usize>().ok();
    (lines.iter().filter_map(lost).sum(), lines.iter().filter(|line| lost(line).is_none()).count())
}

#[test]
fn a_full_disk_blocks_nobody_and_the_loss_is_counted_and_said() {
    let scratch = Scratch::new();
    let logs = scratch.join("logs");
    if !small_disk(&logs, "256k") {
        return;
    }
    let logger = Logger::start(&logs);
    let (read, mut write) = pipe();
    logger.keep("a", MIB, 10, &read);
    writeln!(write, "line 0").unwrap();
    eventually("the first line is there", || lines(&logs.join("a")) == ["line 0\n"]);
    let filler = logs.join("filler");
    let _ = std::fs::write(&filler, vec![0; 1 << 20]);
    // Many times what disk and pipe hold: it comes through only if the pipe is relieved.
    let text = "z".repeat(80);
    let mut write = unblocked(write, move |write| {
        for number in 1..10_000 {
            writeln!(write, "line {number} {text}").unwrap();
        }
    });
    let warning = format!(
        "svlog: warning: unable to write {}: No space left on device (retrying every second)\n",
        logs.join("a/current").display()
    );
    assert_eq!(logger.said(), warning);
    std::fs::remove_file(&filler).unwrap();
    let again = format!("{warning}svlog: writing {} again\n", logs.join("a/current").display());
    eventually("it writes again", || logger.said() == again);
    writeln!(write, "the end").unwrap();
    assert_eq!(logger.finish(), Some(0));
    let lines = lines(&logs.join("a"));
    let (lost, kept) = account(&lines);
    assert_eq!(lost + kept, 10_001, "every line is there or counted");
    assert!(lost > 1000 && kept > 100, "{lost} {kept}");
    let notice = lines.iter().find(|line| line.starts_with("svlog: lost ")).unwrap();
    assert!(notice.ends_with(" bytes): No space left on device\n"), "{notice}");
    assert_eq!(lines.last().unwrap(), "the end\n");
}

#[test]
fn on_a_full_disk_the_oldest_rotated_files_make_room_first() {
    let scratch = Scratch::new();
    let logs = scratch.join("logs");
    if !small_disk(&logs, "256k") {
        return;
    }
    let logger = Logger::start(&logs);
    let (read, mut write) = pipe();
    logger.keep("a", 16_384, 1000, &read);
    // Four times the disk; and no more than are to be kept, were there room.
    for number in 0..10_000 {
        writeln!(write, "line {number} {}", "z".repeat(60)).unwrap();
    }
    let said = logger.said();
    assert_eq!(logger.finish(), Some(0));
    assert_eq!(said, "");
    assert!(archives(&logs.join("a")).len() > 5);
    let lines = lines(&logs.join("a"));
    assert_eq!(account(&lines).0, 0, "nothing is lost but the oldest files");
    let expected = (10_000 - lines.len()..10_000).map(|number| format!("line {number} {}\n", "z".repeat(60)));
    assert!(lines.iter().cloned().eq(expected));
}

#[test]
fn a_file_that_may_not_grow_holds_whole_lines_and_stops_no_other_service() {
    let scratch = Scratch::new();
    let logs = scratch.join("logs");
    // In units of 512 bytes: 8 KiB, and not at a line end.
    let logger = Logger::start_with(&logs, "ulimit -f 16");
    let ((read, write), (other, mut other_end)) = (pipe(), pipe());
    logger.keep("a", MIB, 10, &read);
    logger.keep("other", MIB, 10, &other);
    let _write = unblocked(write, |write| {
        for number in 0..20_000 {
            writeln!(write, "line {number}").unwrap();
        }
    });
    writeln!(other_end, "I am well").unwrap();
    eventually("the other is heard", || lines(&logs.join("other")) == ["I am well\n"]);
    let kept = lines(&logs.join("a"));
    let first: Vec<_> = (0..kept.len()).map(|number| format!("line {number}\n")).collect();
    assert_eq!(kept, first);
    assert!(raw(&logs.join("a")).len() > 8192 - 64);
    assert!(
        logger.said().contains("/a/current: File too large (retrying every second)\n"),
        "{}",
        logger.said()
    );
    // Somebody makes room.
    File::options().write(true).open(logs.join("a/current")).unwrap().set_len(0).unwrap();
    eventually("it writes again", || account(&lines(&logs.join("a"))).0 > 0);
    let notice = &lines(&logs.join("a"))[0];
    assert!(notice.starts_with("svlog: lost ") && notice.ends_with("File too large\n"), "{notice}");
}

#[test]
fn a_directory_that_cannot_be_made_yet_is_tried_again() {
    let scratch = Scratch::new();
    let logs = scratch.join("logs");
    std::fs::create_dir(&logs).unwrap();
    std::fs::write(logs.join("a"), b"in the way").unwrap();
    let logger = Logger::start(&logs);
    let (read, mut write) = pipe();
    logger.keep("a", MIB, 10, &read);
    write.write_all(b"one\ntwo\nthr").unwrap();
    eventually("it complains", || logger.said().contains("unable to create"));
    std::fs::remove_file(logs.join("a")).unwrap();
    eventually("it writes", || lines(&logs.join("a")) == ["one\n", "two\n", "thr"]);
    assert_eq!(logger.said().lines().count(), 2, "{}", logger.said());
    assert_eq!(logger.finish(), Some(0));
}

#[test]
fn a_finish_does_not_wait_for_a_dead_disk() {
    let scratch = Scratch::new();
    let logs = scratch.join("logs");
    std::fs::create_dir(&logs).unwrap();
    std::fs::write(logs.join("a"), b"in the way").unwrap();
    let logger = Logger::start(&logs);
    let (read, mut write) = pipe();
    logger.keep("a", MIB, 10, &read);
    write.write_all(b"one\n").unwrap();
    eventually("it complains", || logger.said().contains("unable to create"));
    let said = logs.with_extension("said");
    assert_eq!(logger.finish(), Some(0));
    assert!(std::fs::read_to_string(said).unwrap().ends_with("a/current: 4 bytes are lost\n"));
}
