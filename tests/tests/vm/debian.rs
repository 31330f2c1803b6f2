//! Debian's own programs in a machine, and this project's tests among them: what is tried on the kernel of whoever builds
//! is tried on the image's kernel too.

use crate::disks::Disk;
use crate::guest::PATIENCE;
use crate::images;
use qemu::Machine;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long the tests of one program may take, emulated.
const TESTS_WITHIN: Duration = Duration::from_secs(600);

/// Into Debian's root and out of the machine's own: users of one's own are not to be had after chroot(2) alone.
const ENTER: &str = "mount --make-rprivate / && cd /mnt/debian && \
    mkdir -p proc sys && for place in dev proc sys; do mount --rbind /$place $place; done && \
    mount -t tmpfs none tmp && chmod 1777 tmp && mount -t tmpfs none run && \
    pivot_root . media && umount -l /media && \
    exec env -i PATH=/usr/sbin:/usr/bin HOME=/root MAINSTAY_PROGRAMS=/mnt/programs /bin/sh -e";

/// A machine with Debian on one disk, and programs on another.
pub(crate) struct Debian {
    pub(crate) machine: Machine,
    _disks: [Disk; 2],
}

impl Debian {
    /// Boots it with the tests that are named by package and target, as `cargo test` has them.
    pub(crate) fn boot(tests: &[(&str, &str)]) -> Debian {
        let staged = tempfile::tempdir().unwrap();
        for (package, target) in tests {
            let name = target.rsplit(' ').next().unwrap().trim_start_matches('-');
            fs::copy(build(package, target), staged.path().join(name)).unwrap();
        }
        let programs = staged.path().join("programs");
        fs::create_dir(&programs).unwrap();
        for name in ["supervise", "svctl", "svctl-image"] {
            fs::copy(tests::programs::program(name), programs.join(name)).unwrap();
        }
        let debian = Disk::holding("debian", 256, &tests::images::directory().join("trees/debian"));
        let staged = Disk::holding("tests", 512, staged.path());
        let builder = Machine::builder(images::shipped()).disk(debian.path()).disk(staged.path());
        let machine = builder.boot().unwrap();
        machine.wait_until_up(PATIENCE).unwrap();
        let mount = "mkdir /mnt/debian && mount -t ext4 /dev/vda /mnt/debian && mount -t ext4 /dev/vdb /mnt/debian/mnt";
        machine.run(mount).unwrap();
        Debian { machine, _disks: [debian, staged] }
    }

    /// Runs a program of tests; returns what they say, all well.
    pub(crate) fn test(&self, program: &str, arguments: &str) -> String {
        let command = format!("/mnt/{program} --test-threads=2 {arguments} 2>&1");
        let script = format!("unshare -m sh -c '{ENTER} -c \"{command}\"'");
        let output = self.machine.ssh_within(&script, TESTS_WITHIN).unwrap();
        assert!(output.success(), "{program}: {}{}", output.stdout, output.stderr);
        let result = output.stdout.lines().find(|line| line.starts_with("test result: ok."));
        let passed = result.and_then(|line| line.split(' ').nth(3)?.parse::<u32>().ok());
        assert!(passed.is_some_and(|count| count > 0), "{program}: {}", output.stdout);
        output.stdout
    }
}

/// Builds a program of tests, which is nothing to do if the same cargo runs this, and says where it is.
fn build(package: &str, target: &str) -> PathBuf {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(project).args(["test", "--quiet", "--no-run", "--message-format=json", "-p", package]);
    let output = cargo.args(target.split(' ')).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let messages = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut found = messages.filter(|message| message["profile"]["test"] == true);
    let found = found.find_map(|message| message["executable"].as_str().map(PathBuf::from));
    found.unwrap_or_else(|| panic!("no program of {package} {target} in {text}"))
}
