//! From the bytes of a pipe to stamped lines.
//!
//! A line ends with a newline and with nothing else: carriage returns, NULs and bytes that are not UTF-8 are passed
//! on as they came. A line longer than the limit is split, and each part becomes a line of its own. An unfinished line can be
//! written as far as it has come, and goes on later without another stamp.

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
    /// How many bytes of an unfinished line have been written; zero between lines.
    pub open: usize,
}

/// Appends the lines of `input` to `out`, each behind `stamp`. The first continues one of which `open` bytes have been
/// written. An unfinished last line is left where it is, or with `tail` written as far as it has come.
pub fn frame(
    input: &[u8],
    stamp: &Stamp,
    limits: &Limits,
    open: usize,
    tail: bool,
    out: &mut Vec<u8>,
) -> Framed {
    let (mut rest, mut open) = (input, open);
    while let Some((text, after, ends)) = cut(rest, limits.line.saturating_sub(open), tail) {
        let begins = open == 0;
        if begins && out.len() >= limits.soft || out.len() + stamp.len() + text.len() + 1 > limits.hard {
            break;
        }
        if begins {
            out.extend_from_slice(stamp);
        }
        copy(rest, text.len(), out);
        if ends && text.last() != Some(&b'\n') {
            out.push(b'\n');
        }
        open = if ends { 0 } else { open + text.len() };
        rest = after;
    }
    Framed { consumed: input.len() - rest.len(), open }
}

/// What is to be written next of a line that may have `room` bytes more, what follows, and whether the line ends there;
/// none if it has to wait. Whether and where a line is split depends on its bytes only, never on how they arrived.
fn cut(input: &[u8], room: usize, tail: bool) -> Option<(&[u8], &[u8], bool)> {
    let (end, ends) = match find_newline(input.get(..=room).unwrap_or(input)) {
        Some(at) => (at + 1, true),
        None if input.len() > room => (room, true),
        None if tail && !input.is_empty() => (input.len(), false),
        None => return None,
    };
    input.split_at_checked(end).map(|(text, after)| (text, after, ends))
}

/// How many bytes are copied at a time, and how many bytes of room beyond the hard limit that wants.
pub const STRIDE: usize = 32;

/// Appends the first `length` bytes of `from`, which is longer as a rule. Whole strides are copied, and what is too much
/// is cut off: for lines of usual lengths that is several times as fast as musl's `memcpy`, which is a string instruction.
fn copy(from: &[u8], length: usize, out: &mut Vec<u8>) {
    let end = out.len() + length;
    for stride in from.as_chunks::<STRIDE>().0.iter().take(length.div_ceil(STRIDE)) {
        out.extend_from_slice(stride);
    }
    if let Some(missing) = from.get(length - end.saturating_sub(out.len())..length) {
        out.extend_from_slice(missing);
    }
    out.truncate(end);
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

    fn framed(input: &[u8], tail: bool) -> (Vec<u8>, Framed) {
        let mut out = Vec::new();
        let framed = frame(input, &STAMP, &WIDE, 0, tail, &mut out);
        (out, framed)
    }

    /// The lines without their stamps.
    fn texts(out: &[u8]) -> Vec<&[u8]> {
        out.split_inclusive(|b| *b == b'\n').map(|line| line.strip_prefix(&STAMP).expect("a stamp")).collect()
    }

    #[test]
    fn each_line_gets_a_stamp_and_the_unfinished_one_waits() {
        let (out, framed) = framed(b"one\n\nthree\r\nfo", false);
        assert_eq!(texts(&out), [&b"one\n"[..], b"\n", b"three\r\n"]);
        assert_eq!(framed, Framed { consumed: 12, open: 0 });
    }

    #[test]
    fn an_unfinished_line_that_is_written_goes_on_without_another_stamp() {
        let (mut out, framed) = framed(b"one\nfo", true);
        assert_eq!(texts(&out), [&b"one\n"[..], b"fo"]);
        assert_eq!(framed, Framed { consumed: 6, open: 2 });
        let framed = frame(b"ur\nfive\n", &STAMP, &WIDE, framed.open, true, &mut out);
        assert_eq!(texts(&out), [&b"one\n"[..], b"four\n", b"five\n"]);
        assert_eq!(framed, Framed { consumed: 8, open: 0 });
    }

    #[test]
    fn bytes_that_are_no_text_pass_unchanged() {
        let (out, _) = framed(b"\0a\xff\xfe\0\n\x80\n", false);
        assert_eq!(texts(&out), [&b"\0a\xff\xfe\0\n"[..], b"\x80\n"]);
    }

    #[test]
    fn a_line_of_exactly_the_limit_is_whole_and_one_byte_more_is_split() {
        let (out, at) = framed(b"0123456789abcdef\n", false);
        assert_eq!((texts(&out), at.consumed), (vec![&b"0123456789abcdef\n"[..]], 17));
        assert_eq!(framed(b"0123456789abcdef", false).1.consumed, 0, "its newline may yet come");
        let (out, at) = framed(b"0123456789abcdefg", false);
        assert_eq!((texts(&out), at.consumed), (vec![&b"0123456789abcdef\n"[..]], 16));
    }

    #[test]
    fn no_line_begins_past_the_soft_limit_but_an_open_one_ends() {
        let (mut out, limits) = (Vec::new(), Limits { soft: 30, ..WIDE });
        assert_eq!(frame(b"a\nb\nc\n", &STAMP, &limits, 0, true, &mut out).consumed, 2);
        assert_eq!(out.len(), 30);
        assert_eq!(frame(b"d\ne\n", &STAMP, &limits, 1, true, &mut out).consumed, 2);
        assert_eq!(out.len(), 32);
    }

    #[test]
    fn the_hard_limit_is_never_passed() {
        for (hard, open) in (0..100).zip([0, 1, 15, 16].into_iter().cycle()) {
            let mut out = Vec::new();
            let limits = Limits { hard, ..WIDE };
            frame(b"a\nbb\nccc\n0123456789abcdefg", &STAMP, &limits, open, true, &mut out);
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
            chunks in prop::collection::vec((1..40usize, 40..200usize, any::<bool>()), 1..300),
        ) {
            let (mut out, mut from, mut to, mut open) = (Vec::new(), 0, 0, 0);
            for (chunk, hard, tail) in chunks.into_iter().cycle() {
                to = (to + chunk).min(input.len());
                let mut batch = Vec::new();
                let limits = Limits { hard: hard + 20, ..WIDE };
                let tail = tail || to == input.len();
                let framed = frame(&input[from..to], &STAMP, &limits, open, tail, &mut batch);
                (from, open) = (from + framed.consumed, framed.open);
                out.extend(batch);
                if from == input.len() {
                    break;
                }
            }
            // The same as all at once, and without what was added, the same as what went in.
            prop_assert_eq!(&out, &framed(&input, true).0);
            let mut back: Vec<u8> = Vec::new();
            for text in texts(&out) {
                let added = text.last() == Some(&b'\n') && input.get(back.len() + text.len() - 1) != Some(&b'\n');
                back.extend(&text[..text.len() - usize::from(added)]);
            }
            prop_assert_eq!(back, input);
        }
    }
}
