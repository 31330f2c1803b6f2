//! What the programs of the image are, before any of them runs.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what fails here fails a test"
)]

use tests::programs::program;

/// The programs and how large each may be, stripped, in bytes.
const LIMITS: [(&str, u64); 6] = [
    ("init", 920_000),
    ("supervise", 800_000),
    ("svlog", 530_000),
    ("svctl", 1_900_000),
    ("svctl-image", 3_200_000),
    ("external-containerizer", 680_000),
];

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// The types of an ELF file's program headers (elf(5)).
fn segments(bytes: &[u8]) -> Vec<u32> {
    let start = usize::try_from(u64_at(bytes, 32)).unwrap();
    let (size, count) = (usize::from(u16_at(bytes, 54)), usize::from(u16_at(bytes, 56)));
    let kind = |index: usize| start + index * size;
    (0..count)
        .map(|index| u32::from_le_bytes(bytes[kind(index)..kind(index) + 4].try_into().unwrap()))
        .collect()
}

#[test]
fn every_program_is_static_at_a_fixed_address_and_small() {
    const INTERPRETER: u32 = 3;
    const DYNAMIC: u32 = 2;
    const EXECUTABLE: u16 = 2;
    for (name, limit) in LIMITS {
        let file = program(name);
        let bytes = std::fs::read(&file).unwrap();
        assert_eq!(&bytes[..4], b"\x7fELF", "{name}");
        assert_eq!(u16_at(&bytes, 16), EXECUTABLE, "{name} is relocated at its start");
        let segments = segments(&bytes);
        assert!(!segments.contains(&INTERPRETER) && !segments.contains(&DYNAMIC), "{name} is not static");
        let size = bytes.len() as u64;
        assert!(size < limit, "{name} has {size} bytes, of {limit} that it may have");
        assert!(!has_symbols(&bytes), "{name} is not stripped");
    }
}

/// Whether there is a section of type SHT_SYMTAB.
fn has_symbols(bytes: &[u8]) -> bool {
    let start = usize::try_from(u64_at(bytes, 40)).unwrap();
    let (size, count) = (usize::from(u16_at(bytes, 58)), usize::from(u16_at(bytes, 60)));
    (0..count).any(|index| {
        let at = start + index * size + 4;
        u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) == 2
    })
}
