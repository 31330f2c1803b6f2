//! Whatever an archive is compressed by, it is what it was; and what is damaged or too much is refused.

use super::*;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::process::{Command, Stdio};

/// The text by bzip2 1.0.8: the first 700 bytes with blocks of 100,000, the rest with blocks of 900,000.
const BZIP2: &str = "QlpoMTFBWSZTWSUZS+sAAN1ZgAAQQAB/4CNljEAgAIQRKSB/qkwQ0BNVKeoAAHqOUTYU3FPqJkidt54ufnTXbfvbbbbbwKaInGWc\
    xiCYjJJJJJISCnoROVG3Rai2pbEtEsfUspaJYi0l0kvyWSWMxfxdyRThQkCUZS+sQlpoOTFBWSZTWRpHs4QAAFd/////////////\
    ////////////////////////////////sAE7VLEAAAAAAAAAAAAAAAAAAAAAAJgEwAAAAAAAAAAAAAAmAAJgARKow1P1TJkNNMCG\
    TATARpgGUwhiaaYBoaACGTEYhphMCYBGmJiYmmRgCaYAACMCaMmmTJgTQYTAAmABpFCm1Hqep6jaR6m2lAGIZMRppoA0AGamjJox\
    AYhiYTT0QyGg0AAAaGhppowJoyMAmhiNGExBpkZA0MgAAAH6CY5AOiNJZF5LZbMmg05gQFntCi02pfUsFrtiq2sKtBZbrfcLjcrm\
    9AgO0AgDviEAGQhABBKS0xNTh5AcPIDDDDDDDNgCACve4AgAOf0Eboo7Zfr/gMDgsHhMK2qsMZBWdfCBgSJEcgcxAxwYyBzoHOgc\
    6BjoLFBRUun1Oqpqir1lbrq/YWFlaW1xdXl8iwMLESYyTIxsrMztDS1NbYhgIA7PcAQgGKfM+uBAPxiIDGggIIEAtWpiIBGRAQCZ\
    cQICB0L0CAXiIBckSECAgkYIBOng9EoIgFJEBozEQGlBAJSBABHjuvi4QCAHYc7vDz43p7fH1+f/JAQMFBwkLDQ/l80R54mKi/RG\
    Rsd6Y+QkfVJeufoKGio6SlpqeoqaqrrK2ur7CxsrO0tba3uLm6u7y9vr/AwcLDxMXGx8jJysvMzc7P0NHS09TV1tfY2drb3N3e3+\
    Dh4uPk/3Lzc/R09XX2dvd3+Hj5ef/9PX29/ilAPn5+vv8/RdyRThQkBpHs4Q";

/// The same by xz 5.4, with SHA-256 and with CRC-64.
const XZ: &str = "/Td6WFoAAArh+wyhAgAhARYAAAB0L+Wj4AK7AFZdADYaSh8IoCYDTQad7+2MoT/IOM9thS+xTTz/EvLuCeIcbelT7UaZP++JY0jX\
    7uTLm2H2a5pzYfXmVTXHddnDtm1PygA08qom67RsrVb24zhvieFfWtkAAAAA3FiSJXUX/g35wcevoCtWC5abuQ925et+Y+gshmD5\
    9tcAAYoBvAUAABr5cRC26d8cAgAAAAAKWVr9N3pYWgAABObWtEYCACEBFgAAAHQv5aPgBbkBN10AEB0JBiRWL2HkbH66uH44ZBsQ\
    9tBjuUGejMc2bHeh0+NbVFRiFBNSB1rc2Q7YOEZDc0o7dPDkhBJoy3qmdwdtCmirp8t9KMhEDqsqBuS6spfa5BZZmJSu+0vAjYbr\
    ikP5n3tjAuhyeb1o0GdAQUTVCOduhvVMLaeTl/dqdkf58IPoQ0Erovi+RutZiwqE7YpBsIlVSqHTA7UaIAJCogI6sGDIOtl34li6\
    MlVrO14O4ALP4u72AhMjKuj5vTEm75/aS0ytiWEV0xnyj7L3UPtqYZ8QRyb8RjnB2TchSOl7ZGBKrv6SAEIZy0t0EdNLFGfPMTf9\
    JqpNKivAE2hhm3F5jZ3Un3eU3hreG0Em/DzPXaOwLh9fkmxjomjTjj9NgQ3G9RmzH9Jl/qDp0YZeDvRTX5VMumOVEKAAAL3wPR77\
    4cyGAAHTAroLAAAjqKVTscRn+wIAAAAABFla";

/// Five letters, for which 4 GiB of memory are asked.
const XZ_LARGE: &str = "/Td6WFoAAAFpIt42AgAhASgAAADmoBGzAQAEaGVsbG8AAAAAhqYQNgABGQW86OzLkEKZDQEAAAAAAVla";

/// 300 MiB of zeros.
const BZIP2_ZEROS: &str = "QlpoOTFBWSZTWQ4J4t8BX45AAMAAAAggADCATUZCoCWpCoCXMUFZJlNZDgni3wFfjkAAwAAACCAAMIBNRkKgJakKgJcxQVkmU1kO\
    CeLfAV+OQADAAAAIIAAwgE1GQqAlqQqAlzFBWSZTWQ4J4t8BX45AAMAAAAggADCATUZCoCWpCoCXMUFZJlNZDgni3wFfjkAAwAAA\
    CCAAMIBNRkKgJakKgJcxQVkmU1kOCeLfAV+OQADAAAAIIAAwgE1GQqAlqQqAlzFBWSZTWaJ1bucBLBJABMAAAAEACCAAMMwFKaYi\
    BSNiRApHi7kinChIKup7h4A=";

/// 1 MiB of zeros.
const XZ_ZEROS: &str = "/Td6WFoAAATm1rRGAgAhARwAAAAQz1jM7///ANldAABv/f//o7f/Rz5IFXI5YVG4kijmo4YH+e7kHoLTL8U6PAFLsX7JiopNL6MN\
    2X+m44wjEVPgWRjFdYrid/i2lH8MasDedElk4ulcU7IE2PdEDKtfDW1G6eXDdoi3llestk3haR1v+0uIEGxCy4g/XACP0E6vJiiU\
    cR89jyThcJ6nI1/sKMuF0ZWYin4qkfIndfcZwAaYTZj92K/VkA/EJVP49ZE2MQWlsO5vwXBNRwzRkRGqrWAdus6xJxhcWYbpZlJY\
    vul2rFnk5VsFCPnH2q38+1Iq9+SVJQAAAAAAwva6PqJwa2AAAfUBgIBAAHmXf0exxGf7AgAAAAAEWVo=";

fn bytes(text: &str) -> Vec<u8> {
    STANDARD.decode(text).unwrap()
}

fn text() -> Vec<u8> {
    let mut text: Vec<u8> =
        (0..40).flat_map(|at| format!("line {at} of a text that has lines\n").into_bytes()).collect();
    text.resize(text.len() + 600, 0);
    text.extend(0..=u8::MAX);
    text
}

fn unpacked(bytes: &[u8]) -> std::result::Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    reader(bytes, 1000)?.read_to_end(&mut out)?;
    Ok(out)
}

#[test]
fn what_bzip2_and_xz_have_compressed_comes_back_stream_by_stream() {
    for packed in [BZIP2, XZ] {
        assert_eq!(unpacked(&bytes(packed)).unwrap(), text());
    }
    assert_eq!(unpacked(&bytes("QlpoORdyRThQkAAAAAA=")).unwrap(), b"", "of nothing");
}

/// Some bytes may be anything: what fills up the last one of a stream, and the level of what has one block.
#[test]
fn no_change_of_what_is_compressed_makes_it_something_else() {
    for packed in [bytes(BZIP2), bytes(XZ)] {
        for at in 0..packed.len() {
            // Between two streams nothing is missing.
            let cut = unpacked(&packed[..at]);
            assert!(at < 10 || cut.is_err() || cut.unwrap() == text()[..700], "the first {at} bytes");
            for bit in 0..8 {
                let mut changed = packed.clone();
                changed[at] ^= 1 << bit;
                // What does not begin as it should is not compressed at all.
                match unpacked(&changed) {
                    Ok(found) => assert!(found == text() || at < 10, "byte {at}, bit {bit}"),
                    Err(error) => {
                        assert_eq!(error.kind, crate::error::Kind::Refused, "byte {at}, bit {bit}: {error}");
                    }
                }
            }
        }
    }
    let mut longer = bytes(BZIP2);
    longer.extend(b"more");
    assert!(unpacked(&longer).unwrap_err().to_string().contains("bzip2 compression is damaged"));
}

#[test]
fn what_becomes_too_much_or_takes_too_much_memory_is_refused() {
    let bombs = [bytes(BZIP2_ZEROS), bytes(XZ_ZEROS).repeat(30)];
    for bomb in bombs {
        let mut reader = reader_from(bomb.as_slice(), 100, 1 << 20).unwrap();
        let error = Error::from(io::copy(&mut reader, &mut io::sink()).unwrap_err());
        assert!(error.to_string().contains("more than 100 times"), "{error}");
    }
    let error = unpacked(&bytes(XZ_LARGE)).unwrap_err().to_string();
    assert!(error.contains("xz") && error.contains("memory"), "{error}");
}

/// Many blocks, by the tools themselves where they are.
#[test]
fn what_the_tools_of_this_machine_compress_comes_back() {
    let mut state = 1_u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let all: Vec<u8> = (0..950_000).map(|at| if at % 5000 < 3000 { noise() } else { b'x' }).collect();
    for words in [&["bzip2", "-1"][..], &["bzip2", "-9"], &["xz", "-1"], &["xz", "-6", "--x86", "--lzma2"]] {
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .arg("-c")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let Ok(mut child) = command.spawn() else {
            eprintln!("NOT CHECKED: what {words:?} compresses: it is not here");
            continue;
        };
        let mut stdin = child.stdin.take().unwrap();
        let found = std::thread::scope(|scope| {
            let all = &all;
            scope.spawn(move || io::Write::write_all(&mut stdin, all).unwrap());
            child.wait_with_output().unwrap()
        });
        if !found.status.success() {
            eprintln!("NOT CHECKED: what {words:?} compresses: it does not know how");
            continue;
        }
        assert!(unpacked(&found.stdout).unwrap() == all, "{words:?}");
    }
}
