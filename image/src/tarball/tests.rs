//! What archives are read as, and which are refused.

use super::*;
use crate::testing::archive::{Item, archive, seal};
use proptest::prelude::*;

fn all(bytes: &[u8]) -> Result<Vec<(Entry, Vec<u8>)>> {
    let mut reader = Reader::new(bytes, Limits::default());
    let mut found = Vec::new();
    while let Some(entry) = reader.next()? {
        let mut data = Vec::new();
        reader.data().read_to_end(&mut data)?;
        found.push((entry, data));
    }
    Ok(found)
}

fn error(bytes: &[u8]) -> String {
    all(bytes).unwrap_err().to_string()
}

#[test]
fn entries_come_as_they_were_written() {
    let long = format!("{}/{}", "d".repeat(150), "f".repeat(120));
    let found = all(&archive(&[
        Item::directory("d/").mode(0o1777),
        Item::file(&long, "abc").owner(1000, 2000).pax("mtime", b"1.25"),
        Item::symlink("s", &long),
        Item::link("h", "d/f"),
        Item { device: (1, 3), ..Item::new(b'3', "null") },
        Item::file("x", "y").xattr("user.a", b"1=\n2").pax("uid", b"4000000000"),
    ]))
    .unwrap();
    let kinds: Vec<Kind> = found.iter().map(|(entry, _)| entry.kind.clone()).collect();
    let expected = [
        Kind::Directory,
        Kind::File(None),
        Kind::Symlink(long.clone().into_bytes()),
        Kind::Link(b"d/f".to_vec()),
        Kind::Character(1, 3),
        Kind::File(None),
    ];
    assert_eq!(kinds, expected);
    let (file, data) = &found[1];
    assert_eq!((file.path.as_slice(), data.as_slice(), file.size), (long.as_bytes(), &b"abc"[..], 3));
    assert_eq!((file.uid, file.gid, file.mode), (1000, 2000, 0o644));
    assert_eq!(file.mtime, Time { seconds: 1, nanos: 250_000_000 });
    assert_eq!(found[0].0.mode, 0o1777);
    assert_eq!(
        (found[5].0.uid, &found[5].0.xattrs),
        (4_000_000_000, &vec![(b"user.a".to_vec(), b"1=\n2".to_vec())])
    );
}

#[test]
fn gnu_names_that_are_too_long_for_a_header_are_put_together() {
    let long = "n".repeat(300);
    let name = Item { data: format!("{long}\0").into(), ..Item::new(b'L', "././@LongLink") };
    let link = Item { data: format!("{long}x\0").into(), ..Item::new(b'K', "././@LongLink") };
    let found = all(&archive(&[name, link, Item::symlink("n", "x")])).unwrap();
    assert_eq!(found[0].0.path, long.as_bytes());
    assert_eq!(found[0].0.kind, Kind::Symlink(format!("{long}x").into_bytes()));
}

#[test]
fn numbers_in_base_256_and_negative_times_are_read() {
    let mut bytes = archive(&[Item::file("a", "")]);
    bytes[108..116].copy_from_slice(&[0x80, 0, 0, 0, 0, 0x10, 0, 0]);
    bytes[136..148].copy_from_slice(&[0xff; 12]);
    seal(&mut bytes[..512]);
    let (entry, _) = &all(&bytes).unwrap()[0];
    assert_eq!((entry.uid, entry.mtime.seconds), (0x10_0000, -1));
}

#[test]
fn sparse_files_are_understood_in_each_form() {
    let told = |item: Item| item.pax("GNU.sparse.size", b"1000").pax("GNU.sparse.name", b"real");
    let first = told(Item::file("x", "abcde")).pax("GNU.sparse.map", b"10,2,900,3");
    let mut oldest = told(Item::file("x", "abcde")).pax("GNU.sparse.numblocks", b"2");
    for (key, value) in [("offset", "10"), ("numbytes", "2"), ("offset", "900"), ("numbytes", "3")] {
        oldest = oldest.pax(&format!("GNU.sparse.{key}"), value.as_bytes());
    }
    let map = format!("{:\0<512}abcde", "2\n10\n2\n900\n3\n");
    let newest = Item::file("x", &map)
        .pax("GNU.sparse.major", b"1")
        .pax("GNU.sparse.minor", b"0")
        .pax("GNU.sparse.name", b"real")
        .pax("GNU.sparse.realsize", b"1000");
    let segments = vec![Segment { offset: 10, length: 2 }, Segment { offset: 900, length: 3 }];
    for item in [first, oldest, newest] {
        let (entry, data) = &all(&archive(&[item])).unwrap()[0];
        assert_eq!((entry.path.as_slice(), entry.size, data.as_slice()), (&b"real"[..], 1000, &b"abcde"[..]));
        assert_eq!(entry.kind, Kind::File(Some(segments.clone())));
    }
    for map in ["10,2,5,3", "10,2,999,3", "10,2", "10,2,900,18446744073709551615", "10"] {
        let item = told(Item::file("x", "abcde")).pax("GNU.sparse.map", map.as_bytes());
        assert!(error(&archive(&[item])).contains("sparse"), "{map}");
    }
}

#[test]
fn what_is_cut_off_is_refused_wherever_it_is_cut() {
    let bytes = archive(&[Item::file("a", "abc"), Item::file(&"l".repeat(200), &"x".repeat(600))]);
    let whole = all(&bytes).unwrap().len();
    for end in 0..bytes.len() - 1024 {
        match all(&bytes[..end]) {
            // Behind an entry it cannot be seen: the digest tells.
            Ok(found) => assert!(
                found.len() <= whole && bytes[end..end.next_multiple_of(512)].iter().all(|byte| *byte == 0),
                "{end}"
            ),
            Err(error) => assert!(
                error.to_string().contains("cut off") || error.to_string().contains("ends"),
                "{error}"
            ),
        }
    }
}

#[test]
fn what_two_readers_may_understand_differently_is_refused() {
    let mut wrong = archive(&[Item::file("a", "")]);
    wrong[0] = b'b';
    assert!(error(&wrong).contains("checksum"));
    let after = [archive(&[Item::file("a", "")]), Item::file("b", "").bytes()].concat();
    assert!(error(&after).contains("follows the end"));
    let directory = Item { size: Some(512), ..Item::directory("d") };
    assert!(error(&archive(&[directory])).contains("can have none"));
    assert!(error(&archive(&[Item::new(b'M', "more")])).contains("not known"));
    assert!(
        error(&Item { data: b"9 path=a\n".to_vec(), ..Item::new(b'x', "p") }.bytes()).contains("between")
    );
    assert!(
        error(&archive(&[Item { size: Some(u64::from(u32::MAX)), ..Item::new(b'x', "p") }]))
            .contains("extended by")
    );
    let mut negative = archive(&[Item::file("a", "")]);
    negative[124..136].copy_from_slice(&[0xff; 12]);
    seal(&mut negative[..512]);
    assert!(error(&negative).contains("negative"));
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_fail_otherwise(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
        let _ = all(&bytes);
    }

    #[test]
    fn no_change_of_an_archive_makes_the_reader_fail_otherwise(
        changes in proptest::collection::vec((0_usize..4096, any::<u8>()), 1..6),
    ) {
        let mut bytes = archive(&[
            Item::file("a", "abc").xattr("user.x", b"y"),
            Item::file("real", "abcde").pax("GNU.sparse.size", b"1000").pax("GNU.sparse.map", b"10,2,900,3"),
        ]);
        for (at, byte) in changes {
            let at = at % bytes.len();
            bytes[at] = byte;
            let header = at / 512 * 512;
            seal(&mut bytes[header..]);
        }
        let _ = all(&bytes);
    }
}
