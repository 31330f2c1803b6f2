//! A temporary directory with service directories, made for one test.

use crate::machine::{Boot, Machine};
use crate::process;
use crate::programs::program;
use crate::supervised::Supervised;
use crate::wait::eventually;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What stands for the fixture's directory in definitions, scripts and files.
const PLACE: &str = "@T";

/// A directory for one test: service directories in `services`, the run directory `run`, logs in `logs`. It goes
/// away with the fixture, and every process in it too.
#[derive(Debug)]
pub struct Fixture {
    place: PathBuf,
    /// The service that scripts are for.
    current: String,
}

impl Default for Fixture {
    fn default() -> Self {
        Fixture::new()
    }
}

impl Fixture {
    /// An empty one.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn new() -> Fixture {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        // Short: the path of a unix socket has 107 bytes at the most.
        let name = format!("ms-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let place = std::env::temp_dir().join(name);
        for directory in ["services", "run", "logs"] {
            fs::create_dir_all(place.join(directory)).unwrap();
        }
        Fixture { place, current: String::new() }
    }

    /// Adds a service with this `service.toml`. Scripts named from now on are its.
    #[must_use]
    pub fn service(mut self, name: &str, toml: &str) -> Fixture {
        name.clone_into(&mut self.current);
        let file = format!("services/{name}/service.toml");
        self.file(&file, toml)
    }

    /// Goes on with a service that has no `service.toml`: a directory as others have them. Scripts named from now on
    /// are its.
    #[must_use]
    pub fn directory(mut self, name: &str) -> Fixture {
        name.clone_into(&mut self.current);
        self
    }

    /// Adds a service that is nothing but a shell script.
    #[must_use]
    pub fn script(self, name: &str, run: &str) -> Fixture {
        self.service(name, "").run(run)
    }

    /// Adds a service that runs until TERM, and tells the trace when it is started and stopped; `toml` is the rest
    /// of its definition.
    #[must_use]
    pub fn tracing(self, name: &str, toml: &str) -> Fixture {
        let script = format!(
            "trap 'echo {name} stops >> @T/trace; kill $!; exit 0' TERM\n\
             echo {name} starts >> @T/trace\nsleep 1000 &\n[ ! -e /dev/fd/3 ] || echo >&3\nwait"
        );
        self.service(name, toml).run(&script)
    }

    /// The `run` script of the service named last.
    #[must_use]
    pub fn run(self, script: &str) -> Fixture {
        self.executable("run", script)
    }

    /// The `finish` script of the service named last.
    #[must_use]
    pub fn finish(self, script: &str) -> Fixture {
        self.executable("finish", script)
    }

    /// An executable in the directory of the service named last; a shell script unless it says otherwise.
    ///
    /// # Panics
    /// If it cannot be written.
    #[must_use]
    pub fn executable(self, name: &str, script: &str) -> Fixture {
        let interpreter = if script.starts_with("#!") { "" } else { "#!/bin/sh\n" };
        let file = format!("services/{}/{name}", self.current);
        let fixture = self.file(&file, &format!("{interpreter}{script}\n"));
        make_executable(&fixture.path(&file));
        fixture
    }

    /// Any other file.
    #[must_use]
    pub fn file(self, path: &str, text: &str) -> Fixture {
        self.write(path, text);
        self
    }

    /// Writes a file later.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, self.replace_place(text)).unwrap();
    }

    /// The text with the fixture's directory in the place of what stands for it.
    pub(crate) fn replace_place(&self, text: &str) -> String {
        text.replace(PLACE, &self.place.display().to_string())
    }

    /// A path below the fixture's directory.
    #[must_use]
    pub fn path(&self, path: &str) -> PathBuf {
        self.place.join(path)
    }

    /// The fixture's directory.
    #[must_use]
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// A file's text; empty if there is none.
    #[must_use]
    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_default()
    }

    /// The whole lines of the file `trace`, to which services write what happens.
    #[must_use]
    pub fn trace(&self) -> Vec<String> {
        let text = self.read("trace");
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(str::to_owned).collect()
    }

    /// Compiles the definitions as init would; a missing program is found out at the start of the service.
    ///
    /// # Panics
    /// If the compiler cannot be run.
    pub fn compile(&self) {
        let mut command = Command::new(program("svctl"));
        command
            .args(["compile", "--no-programs", "--services"])
            .arg(self.path("services"))
            .arg("--run")
            .arg(self.path("run"));
        let output = command.output().unwrap();
        self.write("compiler", &String::from_utf8_lossy(&output.stderr));
    }

    /// Starts a supervisor for the service named last, and has it start the service.
    #[must_use]
    pub fn start(self) -> Supervised {
        self.compile();
        Supervised::start_compiled(self, &["--up"])
    }

    /// The same by a supervisor that is another user, whose everything here is.
    ///
    /// # Panics
    /// If it cannot be given away.
    #[must_use]
    pub fn start_as(self, user: u32) -> Supervised {
        self.compile();
        give(&self.place, user);
        let user = user.to_string();
        let through = ["setpriv", "--reuid", &user, "--regid", &user, "--clear-groups"];
        Supervised::start_through(self, &through, &["--up"])
    }

    /// Starts a supervisor for the service named last, which stays down until told.
    #[must_use]
    pub fn start_down(self) -> Supervised {
        self.compile();
        Supervised::start_compiled(self, &[])
    }

    /// Boots a machine with these services, and waits until every one has settled.
    #[must_use]
    pub fn boot(self) -> Machine {
        let machine = self.machine().start();
        machine.wait_for_boot();
        machine
    }

    /// A machine with these services, to be started in other ways.
    #[must_use]
    pub fn machine(self) -> Boot {
        Boot::new(self)
    }

    pub(crate) fn current(&self) -> &str {
        &self.current
    }
}

/// Makes a place another user's, with everything in it.
fn give(place: &Path, user: u32) {
    std::os::unix::fs::lchown(place, Some(user), Some(user)).unwrap();
    if place.is_dir() && !place.is_symlink() {
        fs::read_dir(place).unwrap().for_each(|entry| give(&entry.unwrap().path(), user));
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        process::kill_all_in(&self.place);
        // For a test of directories that cannot be written.
        let _ = fs::remove_dir_all(&self.place);
    }
}

/// Copies a program.
///
/// # Panics
/// If that is refused.
pub fn copy_program(from: &Path, to: &Path) {
    fs::copy(from, to).unwrap();
    until_executable(to);
}

/// Makes a file executable.
///
/// # Panics
/// If that is refused.
pub fn make_executable(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    until_executable(path);
}

/// Waits until nobody has a program open for writing any more: another thread may have forked while we had.
fn until_executable(path: &Path) {
    eventually(&format!("nobody writes {}", path.display()), || !sys::fs::is_being_written(path).unwrap());
}
