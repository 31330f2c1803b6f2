//! An archive whose files are looked at in any order.

use super::Files;
use crate::error::{Context, Error, Result};
use crate::pull::blob::nameless;
use crate::tarball::{Kind, Limits, Reader};
use crate::unpack::inflate::{self, Compression};
use crate::unpack::name;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// How many links lead to one another.
const LINKS: usize = 8;

/// An archive in the tar format, and where its files are.
pub struct Archive {
    file: Arc<File>,
    members: HashMap<String, Member>,
}

enum Member {
    File { at: u64, size: u64 },
    Link(String),
}

impl Archive {
    /// Looks through an archive. If it is compressed, it is decompressed into a file without a name below `scratch`.
    ///
    /// # Errors
    /// It cannot be read, or is no archive.
    pub fn open(path: &Path, scratch: &Path) -> Result<Archive> {
        let mut file = File::open(path)?;
        let mut start = [0; 16];
        let filled = file.read_at(&mut start, 0)?;
        if inflate::detect(start.get(..filled).unwrap_or_default()) != Compression::None {
            file = decompressed(file, scratch)?;
        }
        let file = Arc::new(file);
        let members = members(&file)?;
        Ok(Archive { file, members })
    }

    /// Whether it has a file.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    fn find(&self, name: &str) -> Result<Option<Section>> {
        let mut name = name.to_owned();
        for _ in 0..LINKS {
            match self.members.get(&name) {
                None => return Ok(None),
                Some(Member::File { at, size }) => {
                    return Ok(Some(Section { file: Arc::clone(&self.file), at: *at, left: *size }));
                }
                Some(Member::Link(target)) => name.clone_from(target),
            }
        }
        Err(Error::refused(format!("{name}: its links lead to one another")))
    }
}

impl Files for Archive {
    fn open(&self, name: &str) -> Result<Option<Box<dyn Read + '_>>> {
        Ok(self.find(name)?.map(|section| Box::new(section) as Box<dyn Read>))
    }
}

fn decompressed(file: File, scratch: &Path) -> Result<File> {
    let limits = Limits::default();
    let mut into = nameless(scratch).context(|| format!("unable to make a file in {}", scratch.display()))?;
    let mut reader = inflate::reader(file, limits.ratio)?.take(limits.bytes);
    io::copy(&mut reader, &mut into).context(|| "unable to decompress it")?;
    Ok(into)
}

fn members(file: &Arc<File>) -> Result<HashMap<String, Member>> {
    let size = file.metadata()?.len();
    let mut reader = Reader::new(Section { file: Arc::clone(file), at: 0, left: size }, Limits::default());
    let mut members = HashMap::new();
    while let Some(entry) = reader.next()? {
        let parts = name::parts(&entry.path)
            .map_err(|error| error.during(format_args!("entry {:?}", entry.shown())))?;
        let name = String::from_utf8_lossy(&parts.join(&b'/')).into_owned();
        let member = match entry.kind {
            Kind::File(None) => Member::File { at: reader.get_ref().at, size: entry.size },
            Kind::Symlink(target) => Member::Link(beside(&name, &String::from_utf8_lossy(&target))),
            Kind::Link(target) => Member::Link(beside("", &String::from_utf8_lossy(&target))),
            Kind::File(Some(_)) => return Err(Error::refused(format!("{name}: a sparse file"))),
            Kind::Directory | Kind::Character(..) | Kind::BlockDevice(..) | Kind::Fifo => continue,
        };
        if members.insert(name.clone(), member).is_some() {
            return Err(Error::refused(format!("{name} is there twice")));
        }
    }
    Ok(members)
}

/// Where a link of this name leads within the archive; nothing is there if it leads out.
fn beside(name: &str, target: &str) -> String {
    let mut parts: Vec<&str> = name.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// A part of a file.
struct Section {
    file: Arc<File>,
    at: u64,
    left: u64,
}

impl Read for Section {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read_at(buffer.get_mut(..most).unwrap_or_default(), self.at)?;
        self.at += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}
