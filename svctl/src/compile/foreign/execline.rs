//! Words as execlineb(1) reads them (its manual, "Syntax of scripts"): the `up` and `down` of a oneshot of
//! s6-rc are one command line in this form. Whoever needs none of execline's own programs needs no execline.
//!
//! In two cases its lexer does what its manual does not say, and this one follows the manual: a quoted string
//! that is not closed is an error even if its last character is given by number, and an escape after a brace
//! that begins a word adds no blank to it.

use std::iter::Peekable;
use std::slice::Iter;

/// The words of a script, or what is wrong with it and at which offset.
pub(super) fn words(script: &str) -> Result<Vec<String>, (usize, String)> {
    let mut lexer = Lexer { bytes: script.as_bytes(), at: 0, depth: 0, words: Vec::new() };
    lexer.run()?;
    if lexer.depth > 0 {
        return Err((script.len(), "a block is not closed: \"}\" is missing".to_owned()));
    }
    let readable = |word: Vec<u8>| String::from_utf8(word).map_err(|_| (0, "not UTF-8".to_owned()));
    lexer.words.into_iter().map(readable).collect()
}

struct Lexer<'a> {
    bytes: &'a [u8],
    at: usize,
    /// How many blocks we are in: a word is quoted with as many blanks.
    depth: usize,
    words: Vec<Vec<u8>>,
}

/// White space separates words; the manual names four characters, and the other control characters act so.
fn is_blank(byte: u8) -> bool {
    (1..=b' ').contains(&byte)
}

impl Lexer<'_> {
    fn next(&mut self) -> Option<u8> {
        let byte = self.bytes.get(self.at).copied();
        self.at += usize::from(byte.is_some());
        byte
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    fn run(&mut self) -> Result<(), (usize, String)> {
        while let Some(byte) = self.peek(0) {
            let single = self.peek(1).is_none_or(is_blank);
            match byte {
                0 => return Err((self.at, "a NUL character".to_owned())),
                byte if is_blank(byte) => self.at += 1,
                b'#' => while self.next().is_some_and(|byte| byte != b'\n') {},
                // At the end of a line it is there for those who are used to a shell.
                b'\\' if matches!(self.peek(1), None | Some(b'\n')) => self.at += 2,
                b'{' if single => {
                    self.at += 1;
                    self.depth += 1;
                }
                b'}' if single => {
                    let closed = self.depth.checked_sub(1);
                    self.depth = closed.ok_or_else(|| (self.at, "\"}\" closes no block".to_owned()))?;
                    self.at += 1;
                    self.words.push(vec![b' '; self.depth]);
                }
                _ => {
                    let mut word = vec![b' '; self.depth];
                    self.word(&mut word)?;
                    self.words.push(word);
                }
            }
        }
        Ok(())
    }

    /// What is between two blanks, some of it perhaps in quotes.
    fn word(&mut self, word: &mut Vec<u8>) -> Result<(), (usize, String)> {
        while let Some(byte) = self.peek(0).filter(|byte| !is_blank(*byte)) {
            self.at += 1;
            match byte {
                b'"' => self.quoted(word)?,
                b'\\' => match self.next() {
                    Some(escaped) => word.push(escaped),
                    None => return Err((self.at - 1, "nothing follows the backslash".to_owned())),
                },
                byte => word.push(byte),
            }
        }
        Ok(())
    }

    fn quoted(&mut self, word: &mut Vec<u8>) -> Result<(), (usize, String)> {
        let start = self.at - 1;
        loop {
            match self.next() {
                None => return Err((start, "the quoted string is not closed".to_owned())),
                Some(b'"') => return Ok(()),
                Some(b'\\') => self.escape(word)?,
                Some(byte) => word.push(byte),
            }
        }
    }

    /// What follows a backslash in quotes.
    fn escape(&mut self, word: &mut Vec<u8>) -> Result<(), (usize, String)> {
        let start = self.at - 1;
        match self.next() {
            None => return Err((start, "the quoted string is not closed".to_owned())),
            Some(b'\n') => {}
            Some(b'0') if self.peek(0) == Some(b'x') => {
                self.at += 1;
                word.push(self.number(start, 16, 2)?);
            }
            Some(b'0') => word.push(self.number(start, 8, 3)?),
            Some(b'1'..=b'9') => {
                self.at -= 1;
                word.push(self.number(start, 10, 3)?);
            }
            Some(letter) => {
                let place = b"abtnvfr".iter().zip(7u8..).find(|(known, _)| **known == letter);
                word.push(place.map_or(letter, |(_, code)| code));
            }
        }
        Ok(())
    }

    /// A character given by its number, of at most `most` digits.
    fn number(&mut self, start: usize, base: u32, most: usize) -> Result<u8, (usize, String)> {
        let mut digits: Peekable<Iter<'_, u8>> =
            self.bytes.get(self.at..).unwrap_or_default().iter().peekable();
        let (mut value, mut count) = (0u32, 0);
        while let Some(digit) = digits.peek().and_then(|byte| char::from(**byte).to_digit(base)) {
            if count == most {
                break;
            }
            value = value * base + digit;
            count += 1;
            digits.next();
        }
        self.at += count;
        match u8::try_from(value) {
            Ok(byte) if byte > 0 => Ok(byte),
            _ => Err((start, "not the number of a character from 1 to 255".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_script_becomes_the_arguments_that_execlineb_would_execute() {
        let table: &[(&str, &[&str])] = &[
            ("", &[]),
            ("#!/bin/execlineb -P\n# nothing\n", &[]),
            ("a b\tc\r\nd", &["a", "b", "c", "d"]),
            ("\"a b\"c\"\" \"\"", &["a bc", ""]),
            ("a#b #c\nd", &["a#b", "d"]),
            (
                "if { test -e \"/x y\" } foreground { if { a } b } c",
                &["if", " test", " -e", " /x y", "", "foreground", " if", "  a", " ", " b", "", "c"],
            ),
            ("\"{\" \\{ {x x}", &["{", "{", "{x", "x}"]),
            ("a\\ b \\\n c \\", &["a b", "c"]),
            (r#""\t\n\0x41\0101\65\q\"\\""#, &["\t\nAAAq\"\\"]),
            ("\"a\\\nb\"", &["ab"]),
            (r#""\1234" "\0x417""#, &["{4", "A7"]),
            ("sh -c \"echo 'a  b'\"", &["sh", "-c", "echo 'a  b'"]),
        ];
        for (script, expected) in table {
            assert_eq!(
                words(script).as_deref(),
                Ok(&expected.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>()[..]),
                "{script:?}"
            );
        }
    }

    #[test]
    fn what_execlineb_refuses_is_refused_with_its_place() {
        for (script, at, message) in [
            ("a }", 2, "\"}\" closes no block"),
            ("if { a", 6, "a block is not closed: \"}\" is missing"),
            ("a \"b", 2, "the quoted string is not closed"),
            (r#"a "\256""#, 3, "not the number of a character from 1 to 255"),
            (r#"a "\0z""#, 3, "not the number of a character from 1 to 255"),
            ("a\\", 1, "nothing follows the backslash"),
            (r#""\200""#, 0, "not UTF-8"),
        ] {
            assert_eq!(words(script), Err((at, message.to_owned())), "{script:?}");
        }
    }

    proptest! {
        #[test]
        fn no_script_makes_it_panic(script in any::<String>(), close in "[{}\"\\\\ 0x#a]{0,40}") {
            let _ = (words(&script), words(&close));
        }
    }
}
