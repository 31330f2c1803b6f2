//! The log of one service as one stream of lines: the rotated files in order of their names, which are
//! stamps, then `current`; and on over every rotation.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The length of a stamp, `2026-11-21T10:58:37.123456Z`.
const STAMP: usize = 27;
/// How much is read at a time when looking for the last lines.
const BLOCK: u64 = 64 << 10;

/// One line.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// The service.
    pub(crate) name: Arc<str>,
    /// The whole line, without its end.
    pub(crate) text: Vec<u8>,
    /// Its stamp, or that of the last line that had one.
    pub(crate) stamp: Vec<u8>,
}

impl Line {
    /// The stamp with its space, if the line has its own, and the rest.
    pub(crate) fn split(&self) -> (&[u8], &[u8]) {
        if is_stamped(&self.text) {
            self.text.split_at_checked(STAMP + 1).unwrap_or((&[], &self.text))
        } else {
            (&[], &self.text)
        }
    }
}

fn is_stamped(text: &[u8]) -> bool {
    let mark = |at: usize, byte: u8| text.get(at) == Some(&byte);
    mark(4, b'-') && mark(10, b'T') && mark(13, b':') && mark(STAMP - 1, b'Z') && mark(STAMP, b' ')
}

/// The stream.
#[derive(Debug)]
pub(crate) struct Source {
    /// The service.
    pub(crate) name: Arc<str>,
    directory: PathBuf,
    /// The file that is read now.
    reader: Option<BufReader<File>>,
    /// The files after it.
    next: VecDeque<File>,
    /// Device and inode of the last `current` that was opened.
    current: Option<(u64, u64)>,
    /// The last rotated file that is known, by its name.
    rotated: String,
    /// A line whose end has not been written yet.
    partial: Vec<u8>,
    stamp: Vec<u8>,
}

impl Source {
    /// Opens the log of a service at its beginning; one that has none yet is empty.
    pub(crate) fn open(logs: &Path, name: &str) -> io::Result<Source> {
        let mut source = Source {
            name: name.into(),
            directory: logs.join(name),
            reader: None,
            next: VecDeque::new(),
            current: None,
            rotated: String::new(),
            partial: Vec::new(),
            stamp: Vec::new(),
        };
        source.refill()?;
        Ok(source)
    }

    /// Takes up the files that have come since, if there was a rotation.
    pub(crate) fn refill(&mut self) -> io::Result<()> {
        // First `current`: whatever is rotated after that is still the file that is open then.
        let current = open(&self.directory.join("current"))?;
        let identity = current.as_ref().map(identify).transpose()?;
        if identity == self.current {
            return Ok(());
        }
        for name in self.rotated_since()? {
            if let Some(file) = open(&self.directory.join(&name))? {
                let found = Some(identify(&file)?);
                // The one that has been read as `current` is not to be read again.
                if found != self.current && found != identity {
                    self.next.push_back(file);
                }
                self.rotated = name;
                // What is open as `current` was rotated just now, and comes before what was rotated after it.
                if found == identity {
                    break;
                }
            }
        }
        self.next.extend(current);
        self.current = identity;
        Ok(())
    }

    /// The names of the rotated files that are not known yet, in order, without a gap. A listing may miss
    /// what is renamed while it is made, and still have what was renamed after that. But whatever is older than
    /// the newest name of one listing is in the next.
    fn rotated_since(&self) -> io::Result<Vec<String>> {
        let Some(newest) = self.list()?.into_iter().max() else { return Ok(Vec::new()) };
        let mut names = self.list()?;
        names.retain(|name| *name <= newest);
        names.sort();
        Ok(names)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        Ok(names.filter(|name| name.ends_with(".log") && *name > self.rotated).collect())
    }

    /// Passes over everything but the last `count` lines.
    pub(crate) fn seek_last(&mut self, count: usize) -> io::Result<()> {
        let mut files: Vec<File> = std::mem::take(&mut self.next).into();
        let mut missing = count;
        let mut kept = VecDeque::new();
        while let Some(mut file) = files.pop() {
            let found = seek_lines(&mut file, missing)?;
            kept.push_front(file);
            missing = missing.saturating_sub(found);
            if missing == 0 {
                break;
            }
        }
        self.next = kept;
        Ok(())
    }

    /// The next complete line; none at the end of what is written so far.
    pub(crate) fn next_line(&mut self) -> io::Result<Option<Line>> {
        loop {
            if let Some(reader) = &mut self.reader {
                reader.read_until(b'\n', &mut self.partial)?;
                if self.partial.last() == Some(&b'\n') {
                    self.partial.pop();
                    return Ok(Some(self.make()));
                }
            }
            let Some(file) = self.next.pop_front() else { return Ok(None) };
            self.reader = Some(BufReader::with_capacity(64 << 10, file));
            // Nothing is added to a file that was rotated: what it ends with is a line.
            if !self.partial.is_empty() {
                return Ok(Some(self.make()));
            }
        }
    }

    /// What stands at the end without a line's end; empty if there is nothing.
    pub(crate) fn unfinished(&mut self) -> Line {
        if self.partial.is_empty() {
            return Line { name: Arc::clone(&self.name), text: Vec::new(), stamp: Vec::new() };
        }
        self.make()
    }

    fn make(&mut self) -> Line {
        let text = std::mem::take(&mut self.partial);
        if is_stamped(&text) {
            self.stamp = text.get(..STAMP).unwrap_or_default().to_vec();
        }
        let stamp = if self.stamp.is_empty() { b"-".to_vec() } else { self.stamp.clone() };
        Line { name: Arc::clone(&self.name), text, stamp }
    }
}

fn identify(file: &File) -> io::Result<(u64, u64)> {
    let metadata = file.metadata()?;
    Ok((metadata.dev(), metadata.ino()))
}

/// None if there is no such file: the logger prunes while we read.
fn open(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Moves to where the last `count` lines of the file begin; tells how many there are if there are fewer.
fn seek_lines(file: &mut File, count: usize) -> io::Result<usize> {
    let mut end = file.seek(SeekFrom::End(0))?;
    // The end of the line before the wanted ones is looked for, and each wanted one ends with one.
    let mut found = 0;
    let mut block = Vec::new();
    while end > 0 && count > 0 {
        let start = end.saturating_sub(BLOCK);
        file.seek(SeekFrom::Start(start))?;
        block.clear();
        Read::by_ref(file).take(end - start).read_to_end(&mut block)?;
        for (at, _) in block.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            if found == count {
                let after = start + u64::try_from(at).unwrap_or(0) + 1;
                file.seek(SeekFrom::Start(after))?;
                return Ok(count);
            }
            found += 1;
        }
        end = start;
    }
    let at = if count == 0 { SeekFrom::End(0) } else { SeekFrom::Start(0) };
    file.seek(at)?;
    Ok(found)
}
