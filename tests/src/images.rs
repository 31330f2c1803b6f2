//! Container images made by other people's tools, and what those make of them: `scripts/image-oracle` provides them.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::wait::eventually;

/// Where they are. Without them, which takes `make test` or the script, nothing can be compared: that fails.
///
/// # Panics
/// If they are not there.
#[must_use]
pub fn directory() -> PathBuf {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/oracle/images");
    assert!(place.join("record").is_file(), "there is no {}: run scripts/image-oracle", place.display());
    place.canonicalize().unwrap()
}

/// Whether we may make what the images hold; says so if not.
#[must_use]
pub fn are_we_root(what: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("NOT CHECKED: {what}, which takes root");
    }
    root
}

/// A program of those that they were made by, without the system that it belongs to.
#[must_use]
pub fn tool(name: &str) -> Command {
    let tools = directory().join("tools");
    let mut command = Command::new(tools.join("lib64/ld-linux-x86-64.so.2"));
    command
        .arg("--library-path")
        .arg(tools.join("lib/x86_64-linux-gnu"))
        .arg(tools.join("usr/bin").join(name));
    command
}

/// Debian's docker-registry, which serves those images until the test ends.
#[derive(Debug)]
pub struct DebianRegistry {
    child: Child,
    port: u16,
    directory: PathBuf,
}

impl DebianRegistry {
    /// Starts it; `more` is the rest of its configuration.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start(more: &str) -> DebianRegistry {
        let images = directory();
        // Whoever is quicker gets it: then it does not start, and the test fails.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let directory =
            std::env::temp_dir().join(format!("ms-debian-registry-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let config = format!(
            "version: 0.1\nlog: {{ level: error }}\nstorage: {{ filesystem: {{ rootdirectory: {} }} }}\n\
             http: {{ addr: \"127.0.0.1:{port}\" }}\n{}\n",
            images.join("registry").display(),
            more.replace("@T", &directory.display().to_string()),
        );
        std::fs::write(directory.join("config.yml"), config).unwrap();
        // A password file with the name u and the password p.
        let line = "u:$2y$05$abcdefghijklmnopqrstuuqwWMzKt5N8p.u2GX5MuH1t19BMWuLOW\n";
        std::fs::write(directory.join("htpasswd"), line).unwrap();
        let child = tool("docker-registry")
            .arg("serve")
            .arg(directory.join("config.yml"))
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(directory.join("log")).unwrap())
            .spawn()
            .unwrap();
        let registry = DebianRegistry { child, port, directory };
        eventually("the registry listens", || std::net::TcpStream::connect(registry.address()).is_ok());
        registry
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for DebianRegistry {
    fn drop(&mut self) {
        // One that has ended by itself is no concern.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
