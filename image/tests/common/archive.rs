//! Makes archives, good and bad ones, byte by byte.
#![allow(dead_code, missing_docs, unreachable_pub, reason = "each test takes what it needs")]

/// Whether this test may mount things; says so if not.
#[allow(clippy::print_stderr, reason = "it is for whoever reads what tests say")]
pub fn are_we_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        let test = std::thread::current();
        eprintln!("NOT CHECKED: {}, which takes root", test.name().unwrap_or("a test"));
    }
    root
}

/// An entry to be.
#[derive(Clone, Debug)]
pub struct Item {
    pub path: Vec<u8>,
    pub kind: u8,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub mtime: i64,
    pub link: Vec<u8>,
    pub data: Vec<u8>,
    pub device: (u32, u32),
    pub pax: Vec<(String, Vec<u8>)>,
    /// What the header says of the length of the data, if that is not so.
    pub size: Option<u64>,
}

impl Item {
    pub fn new(kind: u8, path: &str) -> Item {
        Item {
            path: path.into(),
            kind,
            mode: if kind == b'5' { 0o755 } else { 0o644 },
            uid: 0,
            gid: 0,
            mtime: 1_000_000_000,
            link: Vec::new(),
            data: Vec::new(),
            device: (0, 0),
            pax: Vec::new(),
            size: None,
        }
    }

    pub fn file(path: &str, data: &str) -> Item {
        Item { data: data.into(), ..Item::new(b'0', path) }
    }

    pub fn directory(path: &str) -> Item {
        Item::new(b'5', path)
    }

    pub fn symlink(path: &str, target: &str) -> Item {
        Item { link: target.into(), ..Item::new(b'2', path) }
    }

    pub fn link(path: &str, target: &str) -> Item {
        Item { link: target.into(), ..Item::new(b'1', path) }
    }

    pub fn mode(self, mode: u32) -> Item {
        Item { mode, ..self }
    }

    pub fn owner(self, uid: u32, gid: u32) -> Item {
        Item { uid, gid, ..self }
    }

    pub fn pax(mut self, key: &str, value: &[u8]) -> Item {
        self.pax.push((key.to_owned(), value.to_vec()));
        self
    }

    pub fn xattr(self, name: &str, value: &[u8]) -> Item {
        self.pax(&format!("SCHILY.xattr.{name}"), value)
    }

    fn header(&self) -> Vec<u8> {
        let mut block = vec![0_u8; 512];
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &self.path[..self.path.len().min(100)]);
        put(100, format!("{:07o}\0", self.mode).as_bytes());
        put(108, format!("{:07o}\0", self.uid).as_bytes());
        put(116, format!("{:07o}\0", self.gid).as_bytes());
        put(124, format!("{:011o}\0", self.size.unwrap_or(self.data.len() as u64)).as_bytes());
        put(136, format!("{:011o}\0", self.mtime).as_bytes());
        put(148, b"        ");
        put(156, &[self.kind]);
        put(157, &self.link[..self.link.len().min(100)]);
        put(257, b"ustar\x0000");
        put(329, format!("{:07o}\0", self.device.0).as_bytes());
        put(337, format!("{:07o}\0", self.device.1).as_bytes());
        seal(&mut block);
        block
    }

    /// The bytes of it, with an extended header if it needs one.
    pub fn bytes(&self) -> Vec<u8> {
        let mut pax = self.pax.clone();
        if self.path.len() > 100 {
            pax.push(("path".to_owned(), self.path.clone()));
        }
        if self.link.len() > 100 {
            pax.push(("linkpath".to_owned(), self.link.clone()));
        }
        let mut bytes = Vec::new();
        if !pax.is_empty() {
            let data = pax.iter().flat_map(|(key, value)| record(key, value)).collect();
            bytes.extend(Item { data, ..Item::new(b'x', "pax") }.bytes());
        }
        bytes.extend(self.header());
        bytes.extend(&self.data);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes
    }
}

/// Sets the checksum of a header.
pub fn seal(block: &mut [u8]) {
    block[148..156].copy_from_slice(b"        ");
    let sum: u32 = block[..512].iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// A record of an extended header.
pub fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
}

/// An archive of these.
pub fn archive(items: &[Item]) -> Vec<u8> {
    let mut bytes: Vec<u8> = items.iter().flat_map(Item::bytes).collect();
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}
