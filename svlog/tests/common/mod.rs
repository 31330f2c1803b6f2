//! What the tests share: directories, running loggers, and reading back what they wrote.

#![allow(dead_code, reason = "each test program uses a part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
#![allow(unreachable_pub, reason = "a module of each test program")]

use service::wire::LogCommand;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

pub const SVLOG: &str = env!("CARGO_BIN_EXE_svlog");
/// How long anything may take before it counts as hung.
const DEADLINE: Duration = Duration::from_secs(30);

/// A directory that goes away with the test.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new() -> Scratch {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("svlog-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Waits until `condition` holds.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < DEADLINE, "waited too long until {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Waits for a child, and kills it if it does not end.
pub fn ended(child: &mut Child) -> ExitStatus {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if start.elapsed() > DEADLINE {
            child.kill().unwrap();
            panic!("the logger did not end");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

pub fn pipe() -> (File, File) {
    let (read, write) = sys::pipe::pair().unwrap();
    (File::from(read), File::from(write))
}

/// Runs `svlog` alone on `input` and returns its exit code and what it said.
pub fn alone(arguments: &[&str], directory: &Path, input: &[u8]) -> (Option<i32>, String) {
    let mut child = Command::new(SVLOG)
        .args(arguments)
        .arg(directory)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let status = ended(&mut child);
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (status.code(), said)
}

/// A logger of all services, and init's end of its channel.
pub struct Logger {
    pub child: Child,
    pub channel: Option<OwnedFd>,
    said: PathBuf,
}

impl Logger {
    pub fn start(logs: &Path) -> Logger {
        Logger::start_with(logs, "")
    }

    /// After `before`, a line of shell.
    pub fn start_with(logs: &Path, before: &str) -> Logger {
        let (channel, theirs) = sys::socket::pair().unwrap();
        let said = logs.with_extension("said");
        let stderr = File::options().create(true).append(true).open(&said).unwrap();
        // The shell passes on descriptor 3 without the flag that would close it.
        let script = format!("{before}\nexec \"$0\" --logs \"$1\" --channel 3 3<&0 </dev/null");
        let child = Command::new("sh")
            .args(["-c", &script, SVLOG])
            .arg(logs)
            .stdin(theirs)
            .stderr(stderr)
            .spawn()
            .unwrap();
        Logger { child, channel: Some(channel), said }
    }

    pub fn keep(&self, name: &str, size: u64, keep: u32, pipe: &File) {
        self.send(&LogCommand::Keep { name, size, keep }, Some(pipe));
    }

    pub fn send(&self, command: &LogCommand<'_>, pipe: Option<&File>) {
        self.send_text(&command.to_string(), pipe);
    }

    pub fn send_text(&self, text: &str, pipe: Option<&File>) {
        let channel = self.channel.as_ref().unwrap();
        eventually("the channel has room", || {
            match sys::socket::send(channel, text.as_bytes(), pipe.map(|p| p.as_fd())) {
                Ok(()) => true,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => false,
                Err(error) => panic!("{error}"),
            }
        });
    }

    pub fn finish(self) -> Option<i32> {
        self.send(&LogCommand::Finish, None);
        self.finish_sent()
    }

    pub fn finish_sent(mut self) -> Option<i32> {
        ended(&mut self.child).code()
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.said).unwrap()
    }
}

impl Drop for Logger {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The names in a log directory, sorted.
pub fn names(directory: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The rotated files, oldest first.
pub fn archives(directory: &Path) -> Vec<String> {
    names(directory).into_iter().filter(|name| name.ends_with("Z.log")).collect()
}

/// Everything that the rotated files and `current` hold, in order.
pub fn raw(directory: &Path) -> Vec<u8> {
    let mut files = archives(directory);
    files.push("current".to_owned());
    files.iter().flat_map(|name| std::fs::read(directory.join(name)).unwrap_or_default()).collect()
}

/// The lines without their stamps, each of which is checked for its form.
pub fn lines(directory: &Path) -> Vec<String> {
    let raw = raw(directory);
    let texts = raw.split_inclusive(|byte| *byte == b'\n').map(|line| {
        let (stamp, text) = line.split_at_checked(28).unwrap_or_else(|| panic!("no stamp: {line:?}"));
        let shape: Vec<u8> = stamp.iter().map(|b| if b.is_ascii_digit() { b'0' } else { *b }).collect();
        assert_eq!(String::from_utf8_lossy(&shape), "0000-00-00T00:00:00.000000Z ", "{line:?}");
        String::from_utf8_lossy(text).into_owned()
    });
    texts.collect()
}

pub fn signal(child: &Child, signal: nix::sys::signal::Signal) {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, signal).unwrap();
}
