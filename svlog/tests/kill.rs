//! SIGKILL at any instruction: nothing that a service has written is lost.

mod common;

use common::{Logger, Scratch, eventually, lines, pipe, raw};
use std::collections::BTreeSet;
use std::io::Write;

const LINES: usize = 60_000;
const KILLS: usize = 60;

#[test]
fn no_line_is_missing_however_often_the_logger_is_killed() {
    let scratch = Scratch::new();
    let logs = scratch.join("logs");
    let (read, mut write) = pipe();
    let writer = std::thread::spawn(move || {
        let mut block = Vec::new();
        for number in 0..LINES {
            writeln!(block, "line {number} {}", "z".repeat(number % 70)).unwrap();
            // As programs do: a line at a time, and now and then a burst. Whole lines, and never cut within the pipe.
            if number % 1000 < 500 || block.len() > 3000 || number + 1 == LINES {
                write.write_all(&block).unwrap();
                block.clear();
            }
        }
        write
    });
    let start = |size: u64| {
        let logger = Logger::start(&logs);
        logger.keep("a", size, 100_000, &read);
        logger
    };
    let written = || raw(&logs.join("a")).len();
    let mut kills = 0;
    while kills < KILLS && !writer.is_finished() {
        let before = written();
        let logger = start(20_000);
        // At a different place each time.
        eventually("something was written", || written() > before + kills * 37 || writer.is_finished());
        logger.kill();
        kills += 1;
    }
    assert!(kills > 5, "the writer was done after {kills} kills");
    let logger = start(20_000);
    let write = writer.join().unwrap();
    assert_eq!(logger.finish(), Some(0));
    drop(write);
    check(&lines(&logs.join("a")), kills);
}

/// Every line is there and whole, and what is there twice was written again at a kill.
fn check(lines: &[String], kills: usize) {
    let (mut seen, mut steps_back, mut last) = (BTreeSet::new(), 0, 0);
    for line in lines {
        let number =
            line.strip_prefix("line ").and_then(|rest| rest.split(' ').next()?.parse::<usize>().ok());
        let Some(number) = number.filter(|n| *line == format!("line {n} {}\n", "z".repeat(n % 70))) else {
            // The kill came in the middle of the write: the line is written again, whole.
            continue;
        };
        steps_back += usize::from(number < last);
        last = number;
        seen.insert(number);
    }
    assert_eq!(seen.len(), LINES, "first missing: {:?}", (0..LINES).find(|n| !seen.contains(n)));
    assert!(steps_back <= kills, "{steps_back} repetitions for {kills} kills");
    let repeated = lines.len() - seen.len();
    eprintln!("{kills} kills, {repeated} lines were written twice or broken");
}
