//! Writes the `newc` archive that the kernel unpacks into its root.
//!
//! Nothing of the machine that builds it gets in: entries are sorted, times are zero, and inode numbers count
//! from one.

use crate::tree::{Content, Data, Node, Tree};

const MAGIC: &str = "070701";
const TRAILER: &str = "TRAILER!!!";
/// Headers and contents begin at multiples of this.
const ALIGNMENT: usize = 4;
/// The archive ends at a multiple of this, as every writer of the format has it.
const BLOCK: usize = 512;

const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;
const CHARACTER: u32 = 0o020_000;

/// The tree as an archive. Every file must be in memory.
pub(crate) fn archive(tree: &Tree) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut inode = 0;
    for (path, node) in tree.iter().filter(|(path, _)| !path.is_empty()) {
        inode += 1;
        entry(&mut bytes, inode, path, node);
    }
    header(&mut bytes, &Header { links: 1, ..Header::default() }, TRAILER, 0);
    align(&mut bytes, BLOCK);
    bytes
}

#[derive(Default)]
struct Header {
    inode: u32,
    mode: u32,
    owner: u32,
    group: u32,
    links: u32,
    major: u32,
    minor: u32,
}

fn entry(bytes: &mut Vec<u8>, inode: u32, path: &str, node: &Node) {
    let nothing: &[u8] = &[];
    let (kind, content, links, (major, minor)) = match &node.content {
        Content::Directory => (DIRECTORY, nothing, 2, (0, 0)),
        Content::File(Data::Bytes(content)) => (FILE, content.as_slice(), 1, (0, 0)),
        Content::File(Data::Stored { .. }) => (FILE, nothing, 1, (0, 0)),
        Content::Link(target) => (LINK, target.as_bytes(), 1, (0, 0)),
        Content::Character { major, minor } => (CHARACTER, nothing, 1, (*major, *minor)),
    };
    let mode = kind | node.mode;
    let head = Header { inode, mode, owner: node.owner, group: node.group, links, major, minor };
    header(bytes, &head, path, content.len());
    bytes.extend_from_slice(content);
    align(bytes, ALIGNMENT);
}

fn header(bytes: &mut Vec<u8>, head: &Header, name: &str, size: usize) {
    // Contents are read whole into memory, and a field of the format holds 32 bits.
    let size = u32::try_from(size).unwrap_or(u32::MAX);
    let length = u32::try_from(name.len() + 1).unwrap_or(u32::MAX);
    let time = 0;
    let fields = [
        head.inode, head.mode, head.owner, head.group, head.links, time, size, 0, 0, head.major, head.minor,
        length, 0,
    ];
    bytes.extend_from_slice(MAGIC.as_bytes());
    for field in fields {
        bytes.extend_from_slice(format!("{field:08x}").as_bytes());
    }
    bytes.extend_from_slice(name.as_bytes());
    bytes.push(0);
    align(bytes, ALIGNMENT);
}

fn align(bytes: &mut Vec<u8>, alignment: usize) {
    bytes.resize(bytes.len().next_multiple_of(alignment), 0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Origin;

    fn number(bytes: &[u8], at: usize, field: usize) -> usize {
        let start = at + 6 + 8 * field;
        usize::from_str_radix(std::str::from_utf8(&bytes[start..start + 8]).unwrap(), 16).unwrap()
    }

    /// Reads an archive back: path, mode, content.
    fn read(bytes: &[u8]) -> Vec<(String, usize, Vec<u8>)> {
        let (mut at, mut found) = (0, Vec::new());
        loop {
            assert_eq!(&bytes[at..at + 6], MAGIC.as_bytes());
            assert_eq!(number(bytes, at, 5), 0, "a time got in");
            let (mode, size, length) = (number(bytes, at, 1), number(bytes, at, 6), number(bytes, at, 11));
            let name = String::from_utf8(bytes[at + 110..at + 110 + length - 1].to_vec()).unwrap();
            if name == TRAILER {
                return found;
            }
            let start = (at + 110 + length).next_multiple_of(4);
            found.push((name, mode, bytes[start..start + size].to_vec()));
            at = (start + size).next_multiple_of(4);
        }
    }

    fn example() -> Tree {
        let mut tree = Tree::default();
        tree.insert("etc/motd", Node::file("hello", 0o644, Origin::Recipe)).unwrap();
        tree.insert("init", Node::link("usr/sbin/init", Origin::Recipe)).unwrap();
        tree.insert("dev/null", Node::character(1, 3, 0o666)).unwrap();
        tree
    }

    #[test]
    fn what_is_written_reads_back() {
        let entries = read(&archive(&example()));
        assert_eq!(
            entries,
            [
                ("dev".to_owned(), 0o040_755, vec![]),
                ("dev/null".to_owned(), 0o020_666, vec![]),
                ("etc".to_owned(), 0o040_755, vec![]),
                ("etc/motd".to_owned(), 0o100_644, b"hello".to_vec()),
                ("init".to_owned(), 0o120_777, b"usr/sbin/init".to_vec()),
            ]
        );
    }

    #[test]
    fn a_device_carries_its_numbers() {
        let bytes = archive(&example());
        let at = (0..bytes.len()).find(|at| bytes[*at..].starts_with(b"dev/null")).unwrap() - 110;
        assert_eq!((number(&bytes, at, 9), number(&bytes, at, 10)), (1, 3));
    }

    #[test]
    fn the_archive_fills_whole_blocks() {
        assert_eq!(archive(&example()).len() % BLOCK, 0);
    }

    #[test]
    fn the_order_of_insertion_does_not_show() {
        let mut other = Tree::default();
        other.insert("dev/null", Node::character(1, 3, 0o666)).unwrap();
        other.insert("init", Node::link("usr/sbin/init", Origin::Recipe)).unwrap();
        other.insert("etc/motd", Node::file("hello", 0o644, Origin::Recipe)).unwrap();
        assert_eq!(archive(&example()), archive(&other));
    }
}
