//! The program itself, on a filesystem of its own.
#![allow(dead_code, missing_docs, unreachable_pub, reason = "each test takes what it needs")]

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use tempfile::TempDir;

pub struct Place {
    directory: TempDir,
}

/// What came of a run.
pub struct Ran {
    pub code: Option<i32>,
    pub signal: Option<i32>,
    pub out: String,
    pub err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ran {
            code: output.status.code(),
            signal: output.status.signal(),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }
}

impl Place {
    /// Its mounts are this thread's and its children's alone.
    /// None without root, which that takes: then the test is over.
    pub fn new() -> Option<Place> {
        if !crate::archive::are_we_root() {
            return None;
        }
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
        let directory = TempDir::new().unwrap();
        mount(none, directory.path(), Some("tmpfs"), MsFlags::empty(), none).unwrap();
        Some(Place { directory })
    }

    pub fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().unwrap().to_owned()
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    pub fn read_at(&self, root: &str, name: &str) -> String {
        std::fs::read_to_string(Path::new(root).join(name)).unwrap()
    }

    pub fn names(&self, name: &str) -> Vec<String> {
        let found = std::fs::read_dir(self.directory.path().join(name)).unwrap();
        found.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// How many mounts there are, its own among them.
    pub fn mounts(&self) -> usize {
        let text = std::fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
        text.lines().filter(|line| line.contains(self.directory.path().to_str().unwrap())).count()
    }

    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_svctl-image"));
        for name in ["store", "containers", "local"] {
            command.arg(format!("--{name}")).arg(self.directory.path().join(name));
        }
        command.arg("--run").arg(self.directory.path().join("run")).args(words);
        command
    }

    pub fn start(&self, environment: &[(&str, &str)], words: &[&str]) -> Child {
        let mut command = self.command(words);
        command
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    pub fn end(&self, child: Child) -> Ran {
        child.wait_with_output().unwrap().into()
    }

    pub fn run_with(&self, environment: &[(&str, &str)], words: &[&str]) -> Ran {
        self.end(self.start(environment, words))
    }

    pub fn run(&self, words: &[&str]) -> Ran {
        self.run_with(&[], words)
    }

    /// What it says when all is well.
    pub fn good(&self, words: &[&str]) -> String {
        let ran = self.run(words);
        assert_eq!(ran.code, Some(0), "{words:?}: {}{}", ran.out, ran.err);
        ran.out
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = umount2(self.directory.path(), MntFlags::MNT_DETACH);
    }
}
