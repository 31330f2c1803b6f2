//! One logger for all services, by the orders of init.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{Logger, Scratch, ended, eventually, lines, pipe, raw, signal};
use nix::sys::signal::Signal;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

const MIB: u64 = 1 << 20;

#[test]
fn each_service_has_its_own_directory_and_finish_writes_what_the_pipes_hold() {
    let scratch = Scratch::new();
    let logs = scratch.join("logs");
    let logger = Logger::start(&logs);
    let pipes: Vec<_> = ["one", "two"].into_iter().map(|name| (name, pipe())).collect();
    for (name, (read, _)) in &pipes {
        logger.keep(name, MIB, 10, read);
    }
    eventually("both logs are there", || {
        ["one", "two"].iter().all(|n| logs.join(n).join("current").exists())
    });
    signal(&logger.child, Signal::SIGSTOP);
    for (name, (_, write)) in &pipes {
        let mut write = write.try_clone().unwrap();
        write.write_all(format!("{name} says this\n{name}'s last words").as_bytes()).unwrap();
    }
    signal(&logger.child, Signal::SIGCONT);
    assert_eq!(logger.finish(), Some(0));
    for (name, _) in &pipes {
        let expected = [format!("{name} says this\n"), format!("{name}'s last words\n")];
        assert_eq!(lines(&logs.join(name)), expected);
        let mode = std::fs::metadata(logs.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o750);
    }
}

#[test]
fn finish_writes_a_full_pipe_of_many_small_lines_in_as_many_batches_as_it_takes() {
    let scratch = Scratch::new();
    let logs = scratch.join("logs");
    let logger = Logger::start(&logs);
    let (read, mut write) = pipe();
    logger.keep("a", 64 * MIB, 10, &read);
    eventually("the log is there", || logs.join("a/current").exists());
    signal(&logger.child, Signal::SIGSTOP);
    write.write_all(&b"\n".repeat(65_536)).unwrap();
    logger.send_text("finish", None);
    signal(&logger.child, Signal::SIGCONT);
    assert_eq!(logger.finish_sent(), Some(0));
    assert_eq!(lines(&logs.join("a")).len(), 65_536);
}

#[test]
fn a_known_service_keeps_its_pipe_and_takes_new_limits() {
    let scratch = Scratch::new();
    let logs = scratch.join("logs");
    let logger = Logger::start(&logs);
    let (read, mut write) = pipe();
    logger.keep("a", MIB, 10, &read);
    write.write_all(b"before\n").unwrap();
    logger.keep("a", 4096, 2, &read);
    write.write_all(&b"a line of some length\n".repeat(2000)).unwrap();
    assert_eq!(logger.finish(), Some(0));
    assert_eq!(common::archives(&logs.join("a")).len(), 2);
}

#[test]
fn another_pipe_for_a_known_service_is_read_behind_the_old_one() {
    let scratch = Scratch::new();
    let logs = scratch.join("logs");
    let logger = Logger::start(&logs);
    let ((old, mut old_end), (new, mut new_end)) = (pipe(), pipe());
    old_end.write_all(b"old\n").unwrap();
    new_end.write_all(b"new\n").unwrap();
    logger.keep("a", MIB, 10, &old);
    logger.keep("a", MIB, 10, &new);
    assert_eq!(logger.finish(), Some(0));
    assert_eq!(lines(&logs.join("a")), ["old\n", "new\n"]);
}

#[test]
fn orders_that_make_no_sense_are_reported_and_hurt_nobody() {
    let scratch = Scratch::new();
    let logs = scratch.join("logs");
    let logger = Logger::start(&logs);
    let (read, mut write) = pipe();
    logger.send_text("keep ../../etc/x 1 1", Some(&read));
    logger.send_text("sing", None);
    logger.send_text("keep nopipe 1 1", None);
    logger.keep("notapipe", 1, 1, &std::fs::File::open("/dev/null").unwrap());
    logger.keep("a", MIB, 1, &read);
    write.write_all(b"here\n").unwrap();
    eventually("the line is written", || !raw(&logs.join("a")).is_empty());
    let said = logger.said();
    assert_eq!(said.lines().count(), 4, "{said}");
    assert!(said.contains("unable to keep the log of nopipe: Bad file"), "{said}");
    assert_eq!(logger.finish(), Some(0));
    assert_eq!(lines(&logs.join("a")), ["here\n"]);
    assert_eq!(common::names(&logs), ["a"]);
}

#[test]
fn only_init_ends_it_and_without_init_it_goes_on() {
    let scratch = Scratch::new();
    let logs = scratch.join("logs");
    let mut logger = Logger::start(&logs);
    let (read, mut write) = pipe();
    logger.keep("a", MIB, 1, &read);
    eventually("the log is there", || logs.join("a/current").exists());
    for number in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT] {
        signal(&logger.child, number);
    }
    write.write_all(b"one\n").unwrap();
    eventually("one is written", || lines(&logs.join("a")) == ["one\n"]);
    drop(logger.channel.take());
    eventually("it has noticed", || logger.said().contains("init has closed the channel"));
    write.write_all(b"two\nthree").unwrap();
    eventually("two is written", || lines(&logs.join("a")) == ["one\n", "two\n", "three"]);
    assert!(logger.child.try_wait().unwrap().is_none());
    drop(write);
    assert_eq!(ended(&mut logger.child).code(), Some(0), "nobody is left to write");
    assert_eq!(lines(&logs.join("a")), ["one\n", "two\n", "three\n"]);
}

#[test]
fn an_unfinished_line_is_seen_at_once_and_goes_on_without_another_stamp() {
    let scratch = Scratch::new();
    let logs = scratch.join("logs");
    let logger = Logger::start(&logs);
    let (read, mut write) = pipe();
    logger.keep("a", MIB, 1, &read);
    for (text, expected) in [("wait", "wait"), ("ing ...", "waiting ..."), (" done\n", "waiting ... done\n")]
    {
        write.write_all(text.as_bytes()).unwrap();
        eventually(expected, || lines(&logs.join("a")) == [expected]);
    }
    assert_eq!(logger.finish(), Some(0));
}

/// A blocked write wakes the readers of a pipe only if the pipe was empty when it began.
#[test]
fn a_large_write_behind_an_unfinished_line_does_not_stall() {
    let scratch = Scratch::new();
    let logs = scratch.join("logs");
    let logger = Logger::start(&logs);
    let (read, mut write) = pipe();
    logger.keep("a", 64 * MIB, 1, &read);
    let text = "a line of some length\n".repeat(20_000);
    for _ in 0..20 {
        write.write_all(b"unfinished ").unwrap();
        write.write_all(text.as_bytes()).unwrap();
    }
    assert_eq!(logger.finish(), Some(0));
    assert_eq!(lines(&logs.join("a")).concat(), format!("unfinished {text}").repeat(20));
}

#[test]
fn a_flood_of_one_service_does_not_silence_another() {
    let scratch = Scratch::new();
    let logs = scratch.join("logs");
    let logger = Logger::start(&logs);
    let ((flood, mut flood_end), (quiet, mut quiet_end)) = (pipe(), pipe());
    logger.keep("flood", MIB, 2, &flood);
    logger.keep("quiet", MIB, 2, &quiet);
    let (stop, blocks) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&blocks));
    let flooder = std::thread::spawn(move || {
        let block = b"x\n".repeat(10_000);
        while !stopped.load(Ordering::Relaxed) {
            flood_end.write_all(&block).unwrap();
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    let mut said = Vec::new();
    while said.len() < 50 || blocks.load(Ordering::Relaxed) < 50 {
        said.push(format!("line {}\n", said.len()));
        quiet_end.write_all(said.last().unwrap().as_bytes()).unwrap();
        eventually("the quiet one is heard", || lines(&logs.join("quiet")) == said);
    }
    stop.store(true, Ordering::Relaxed);
    flooder.join().unwrap();
    assert_eq!(logger.finish(), Some(0));
}

/// How often a process has gone to sleep, which it does once more after each time it is woken.
fn sleeps(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap();
    count.trim().parse().unwrap()
}

#[test]
fn an_idle_logger_never_wakes_even_when_a_line_is_unfinished() {
    let scratch = Scratch::new();
    let logs = scratch.join("logs");
    let logger = Logger::start(&logs);
    let (read, mut write) = pipe();
    logger.keep("a", MIB, 2, &read);
    write.write_all(b"unfinished").unwrap();
    eventually("it is written", || raw(&logs.join("a")).len() > 28);
    let asleep = || {
        let status = std::fs::read_to_string(format!("/proc/{}/stat", logger.child.id())).unwrap();
        status.contains(") S ")
    };
    eventually("it sleeps", asleep);
    let before = sleeps(logger.child.id());
    // Longer than any timer that it might keep for an unfinished line.
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(sleeps(logger.child.id()), before, "it woke for nothing");
    assert_eq!(logger.finish(), Some(0));
}

#[test]
fn a_thousand_services_cost_two_descriptors_each() {
    sys::fd::raise_limit().unwrap();
    let scratch = Scratch::new();
    let logs = scratch.join("logs");
    let logger = Logger::start(&logs);
    let pipes: Vec<_> = (0..1000).map(|_| pipe()).collect();
    for (number, (read, write)) in pipes.iter().enumerate() {
        logger.keep(&format!("s{number}"), MIB, 2, read);
        let mut write = write.try_clone().unwrap();
        write.write_all(format!("I am {number}\n").as_bytes()).unwrap();
    }
    // Once more, as after a restart of init: the pipes are known.
    for (number, (read, _)) in pipes.iter().enumerate() {
        logger.keep(&format!("s{number}"), MIB, 2, read);
    }
    logger.send_text("no order", None);
    eventually("it has obeyed", || logger.said().contains("no order"));
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", logger.child.id())).unwrap().count();
    // And its own: the standard three, the channel, the private pipe and so on.
    assert!(descriptors <= 2 * 1000 + 16, "{descriptors}");
    assert_eq!(logger.finish(), Some(0));
    for number in 0..1000 {
        assert_eq!(lines(&logs.join(format!("s{number}"))), [format!("I am {number}\n")]);
    }
}

#[test]
fn a_second_logger_waits_for_the_first_to_be_gone() {
    let scratch = Scratch::new();
    let logs = scratch.join("logs");
    let first = Logger::start(&logs);
    let (read, mut write) = pipe();
    first.keep("a", MIB, 1, &read);
    eventually("the log is there", || logs.join("a/current").exists());
    let second = Logger::start(&logs);
    second.keep("a", MIB, 1, &read);
    eventually("it waits", || second.said().contains("another svlog writes to"));
    for number in 0..1000 {
        writeln!(write, "line {number}").unwrap();
    }
    first.kill();
    assert_eq!(second.finish(), Some(0));
    let mut unique = lines(&logs.join("a"));
    unique.dedup();
    assert!(unique.len() >= 1000);
}
