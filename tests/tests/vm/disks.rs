//! Disks for machines.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A disk with a filesystem. It goes away with this.
pub(crate) struct Disk(PathBuf);

impl Disk {
    /// One of 16 MiB with nothing on it.
    pub(crate) fn empty(name: &str) -> Disk {
        Disk::make(name, 16, &[])
    }

    /// One that holds what is in a directory.
    pub(crate) fn holding(name: &str, mib: u64, directory: &Path) -> Disk {
        Disk::make(name, mib, &["-d", directory.to_str().unwrap()])
    }

    fn make(name: &str, mib: u64, options: &[&str]) -> Disk {
        let place = std::env::temp_dir().join(format!("mainstay-disk-{name}-{}", std::process::id()));
        File::create(&place).unwrap().set_len(mib << 20).unwrap();
        let disk = Disk(place);
        let made = Command::new("/sbin/mkfs.ext4").args(["-q", "-F"]).args(options).arg(&disk.0).output();
        let made = made.unwrap();
        assert!(made.status.success(), "{made:?}");
        disk
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// What debugfs(8) says when asked.
    pub(crate) fn ask(&self, request: &str) -> String {
        let asked = Command::new("/sbin/debugfs").args(["-R", request]).arg(&self.0).output().unwrap();
        String::from_utf8_lossy(&asked.stdout).into_owned()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
