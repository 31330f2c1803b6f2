//! From the bytes of a pipe to stamped lines.
//!
//! A line ends with a newline and with nothing else: carriage returns, NULs and bytes that are not UTF-8 are passed
//! on as they came. A line longer than the limit is split, and each part becomes a line of its own.

use crate::stamp::Stamp;

/// How long lines, and what is made of them, may become.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most bytes of a line, its newline not counted.
    pub line: usize,
    /// Begin no line when the output has this many bytes: the file is then due for rotation.
    pub soft: usize,
    /// The output never has more bytes than this.
    pub hard: usize,
}

/// How far [`frame`] got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framed {
    /// Bytes of the input that are in the output now.
    pub consumed: usize,
    /// One of the limits of the output was met: the rest of the input may hold more lines.
    pub stopped: bool,
}

/// Appends the lines of `input` to `out`, each behind `stamp`. An unfinished last line is left where it
/// is, unless it is `ending`: then it is given the newline that it lacks.
pub fn frame(input: &[u8], stamp: &Stamp, limits: &Limits, ending: bool, out: &mut Vec<u8>) -> Framed {
    let mut rest = input;
    let mut stopped = false;
    while let Some((text, after)) = cut(rest, limits.line, ending) {
        if out.len() >= limits.soft || out.len() + stamp.len() + text.len() + 1 > limits.hard {
            stopped = true;
            break;
        }
        out.extend_from_slice(stamp);
        out.extend_from_slice(text);
        if text.last() != Some(&b'\n') {
            out.push(b'\n');
        }
        rest = after;
    }
    Framed { consumed: input.len() - rest.len(), stopped }
}

/// The first line, with its newline if it has one, and what follows; none while it is unfinished. Whether
/// and where a line is split depends on its bytes only, never on how they arrived.
fn cut(input: &[u8], limit: usize, ending: bool) -> Option<(&[u8], &[u8])> {
    let end = match find_newline(input.get(..=limit).unwrap_or(input)) {
        Some(at) => at + 1,
        None if input.len() > limit => limit,
        None if ending && !input.is_empty() => input.len(),
        None => return None,
    };
    input.split_at_checked(end)
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Where the first newline is, eight bytes at a time: a byte of `word ^ newlines` is zero where it stands, and
/// the lowest byte that the subtraction borrows for is the first such.
#[must_use]
pub fn find_newline(text: &[u8]) -> Option<usize> {
    let (words, tail) = text.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word) ^ (ONES * b'\n' as u64);
        let found = word.wrapping_sub(ONES) & !word & HIGHS;
        if found != 0 {
            return Some(index * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let at = tail.iter().position(|byte| *byte == b'\n')?;
    Some(words.len() * 8 + at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STAMP: Stamp = *b"2026-11-21T10:58:37.123456Z ";
    const WIDE: Limits = Limits { line: 16, soft: usize::MAX, hard: usize::MAX };

    fn framed(input: &[u8], ending: bool) -> (Vec<u8>, usize) {
        let mut out = Vec::new();
        let framed = frame(input, &STAMP, &WIDE, ending, &mut out);
        assert!(!framed.stopped);
        (out, framed.consumed)
    }

    /// The lines without their stamps.
    fn texts(out: &[u8]) -> Vec<&[u8]> {
        out.split_inclusive(|b| *b == b'\n').map(|line| line.strip_prefix(&STAMP).expect("a stamp")).collect()
    }

    #[test]
    fn each_line_gets_a_stamp_and_the_unfinished_one_waits() {
        let (out, consumed) = framed(b"one\n\nthree\r\nfo", false);
        assert_eq!(texts(&out), [&b"one\n"[..], b"\n", b"three\r\n"]);
        assert_eq!(consumed, 12);
    }

    #[test]
    fn the_unfinished_line_gets_its_newline_at_the_end() {
        let (out, consumed) = framed(b"one\nfo", true);
        assert_eq!(texts(&out), [&b"one\n"[..], b"fo\n"]);
        assert_eq!(consumed, 6);
        assert_eq!(framed(b"", true), (Vec::new(), 0));
    }

    #[test]
    fn bytes_that_are_no_text_pass_unchanged() {
        let (out, _) = framed(b"\0a\xff\xfe\0\n\x80\n", false);
        assert_eq!(texts(&out), [&b"\0a\xff\xfe\0\n"[..], b"\x80\n"]);
    }

    #[test]
    fn a_line_of_exactly_the_limit_is_whole_and_one_byte_more_is_split() {
        let (out, consumed) = framed(b"0123456789abcdef\n", false);
        assert_eq!((texts(&out), consumed), (vec![&b"0123456789abcdef\n"[..]], 17));
        assert_eq!(framed(b"0123456789abcdef", false).1, 0, "its newline may yet come");
        let (out, consumed) = framed(b"0123456789abcdefg", false);
        assert_eq!((texts(&out), consumed), (vec![&b"0123456789abcdef\n"[..]], 16));
    }

    #[test]
    fn framing_stops_at_the_first_line_end_past_the_soft_limit() {
        let mut out = Vec::new();
        let limits = Limits { soft: 30, ..WIDE };
        assert_eq!(
            frame(b"a\nb\nc\n", &STAMP, &limits, false, &mut out),
            Framed { consumed: 2, stopped: true }
        );
        assert_eq!(out.len(), 30);
    }

    #[test]
    fn the_hard_limit_is_never_passed() {
        for hard in 0..100 {
            let mut out = Vec::new();
            let limits = Limits { hard, ..WIDE };
            frame(b"a\nbb\nccc\n0123456789abcdefg", &STAMP, &limits, true, &mut out);
            assert!(out.len() <= hard, "{} > {hard}", out.len());
        }
    }

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![3 => Just(b'\n'), 10 => any::<u8>(), 10 => Just(b'x')];
        prop::collection::vec(byte, 0..300)
    }

    proptest! {
        #[test]
        fn the_first_newline_is_found(text in bytes(), skip in 0..9usize) {
            let text = text.get(skip..).unwrap_or(&[]);
            prop_assert_eq!(find_newline(text), text.iter().position(|b| *b == b'\n'));
        }

        /// As the logger does it: what is not consumed is offered again, with more.
        #[test]
        fn every_byte_comes_out_once_in_order_whatever_the_chunks(
            input in bytes(),
            chunks in prop::collection::vec((1..40usize, 40..200usize), 1..300),
        ) {
            let (mut out, mut from, mut to) = (Vec::new(), 0, 0);
            for (chunk, hard) in chunks.into_iter().cycle() {
                to = (to + chunk).min(input.len());
                let mut batch = Vec::new();
                let limits = Limits { hard: hard + 20, ..WIDE };
                let framed = frame(&input[from..to], &STAMP, &limits, to == input.len(), &mut batch);
                from += framed.consumed;
                out.extend(batch);
                if from == input.len() {
                    break;
                }
            }
            // The same as all at once, and without what was added, the same as what went in.
            prop_assert_eq!(&out, &framed(&input, true).0);
            let mut back: Vec<u8> = Vec::new();
            for text in texts(&out) {
                let added = back.len() + text.len() > input.len() || input[back.len() + text.len() - 1] != b'\n';
                back.extend(&text[..text.len() - usize::from(added)]);
            }
            prop_assert_eq!(back, input);
        }
    }
}
