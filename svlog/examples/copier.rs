//! The least that a stamping logger can do, to measure `svlog` against: one read, one stamp for all its lines, one
//! write. No rotation beyond truncation, nothing survives a kill.
//!
//! `copier FILE < INPUT`; `copier --feed LINES WIDTH` writes the input.

#![allow(clippy::unwrap_used, reason = "a tool for the bench")]

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use svlog::lines::find_newline;
use svlog::stamp::Stamper;

const SIZE: u64 = 1 << 20;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--feed", lines, width] => feed(lines.parse().unwrap(), width.parse().unwrap()),
        [file] => copy(file),
        _ => usage(),
    }
}

fn usage() {
    let _ = std::io::stderr().write_all(b"usage: copier FILE | copier --feed LINES WIDTH\n");
}

/// In blocks, as a program with a large buffer writes; lines cross their borders.
fn feed(lines: usize, width: usize) {
    let mut line = vec![b'x'; width.saturating_sub(1)];
    line.push(b'\n');
    let mut block = line.repeat(1000);
    // Standard output of std is buffered by line.
    let mut output = File::from(std::io::stdout().as_fd().try_clone_to_owned().unwrap());
    let mut left = lines * width;
    while left > 0 {
        block.truncate(left);
        output.write_all(&block).unwrap();
        left -= block.len();
    }
}

fn copy(path: &str) {
    let (mut input, mut output) = (vec![0; 65536], Vec::with_capacity(4 << 20));
    let (mut start, mut stamper, mut written, mut number) = (true, Stamper::default(), 0, 0);
    let mut file = File::create(path).unwrap();
    let mut stdin = std::io::stdin().lock();
    loop {
        let count = stdin.read(&mut input).unwrap();
        if count == 0 {
            return;
        }
        let stamp = stamper.at(sys::clock::wall());
        output.clear();
        let mut rest = input.get(..count).unwrap();
        while !rest.is_empty() {
            if start {
                output.extend_from_slice(&stamp);
            }
            let end = find_newline(rest);
            let (piece, after) = rest.split_at(end.map_or(rest.len(), |at| at + 1));
            output.extend_from_slice(piece);
            (start, rest) = (end.is_some(), after);
        }
        file.write_all(&output).unwrap();
        written += output.len() as u64;
        if written >= SIZE {
            std::fs::rename(path, format!("{path}.{}", number % 10)).unwrap();
            (number, written) = (number + 1, 0);
            file = File::create(path).unwrap();
        }
    }
}
