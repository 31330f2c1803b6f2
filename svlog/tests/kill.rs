//! SIGKILL at any instruction: nothing that a service has written is lost.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

mod common;

use common::{Logger, Scratch, eventually, lines, pipe};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const KILLS: usize = 60;

#[test]
fn no_line_is_missing_however_often_the_logger_is_killed() {
    let scratch = Scratch::new();
    let logs = scratch.join("logs");
    let (read, mut write) = pipe();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let writer = std::thread::spawn(move || {
        let (mut block, mut number) = (Vec::new(), 0);
        // As programs do: a line at a time, and now and then a burst.
        while !stopped.load(Ordering::Relaxed) || !block.is_empty() {
            block.extend(line(number).as_bytes());
            number += 1;
            if number % 1000 < 500 || block.len() > 3000 {
                write.write_all(&block).unwrap();
                block.clear();
            }
        }
        number
    });
    let start = || {
        let logger = Logger::start(&logs);
        logger.keep("a", 1 << 18, 100_000, &read);
        logger
    };
    let written =
        || common::names(&logs.join("a")).len() as u64 * (1 << 18) + length(&logs.join("a/current"));
    for kill in 0..KILLS as u64 {
        let before = written();
        let logger = start();
        // At a different place each time.
        eventually("something was written", || written() > before + kill * 37);
        logger.kill();
    }
    let logger = start();
    stop.store(true, Ordering::Relaxed);
    let count = writer.join().unwrap();
    assert_eq!(logger.finish(), Some(0));
    check(&lines(&logs.join("a")), count);
}

fn length(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

fn line(number: usize) -> String {
    format!("line {number} {}\n", "z".repeat(number % 70))
}

/// Every line is there and whole, and what is there twice was written again at a kill.
fn check(lines: &[String], count: usize) {
    let (mut seen, mut steps_back, mut last) = (BTreeSet::new(), 0, 0);
    for line in lines {
        let number =
            line.strip_prefix("line ").and_then(|rest| rest.split(' ').next()?.parse::<usize>().ok());
        let Some(number) = number.filter(|n| *line == self::line(*n)) else {
            // The kill came in the middle of the write: the line is written again, whole.
            continue;
        };
        steps_back += usize::from(number < last);
        last = number;
        seen.insert(number);
    }
    assert_eq!(seen.len(), count, "first missing: {:?}", (0..count).find(|n| !seen.contains(n)));
    assert!(steps_back <= KILLS, "{steps_back} repetitions for {KILLS} kills");
    let repeated = lines.len() - seen.len();
    eprintln!("{KILLS} kills, {count} lines, {repeated} were written twice or broken");
}
