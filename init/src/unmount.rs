//! What the child does that unmounts: everything that can be, the rest read-only, then written back.

use crate::message::Messages;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The argument that makes this program do only that.
pub(crate) const ARGUMENT: &str = "--unmount-all";

/// Filesystems without a disk: there is nothing to save in them.
const KERNEL_ONLY: [&str; 18] = [
    "proc",
    "sysfs",
    "devtmpfs",
    "devpts",
    "tmpfs",
    "cgroup2",
    "cgroup",
    "securityfs",
    "debugfs",
    "tracefs",
    "bpf",
    "pstore",
    "efivarfs",
    "mqueue",
    "rootfs",
    "ramfs",
    "hugetlbfs",
    "configfs",
];

/// How long one filesystem may take, and writing back in the end.
const EACH: Duration = Duration::from_secs(2);

/// Unmounts in the reverse order of mounting. What is busy is made read-only. What hangs is left behind: each
/// has a process of its own.
pub(crate) fn unmount_all() {
    let text = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mut mounts: Vec<PathBuf> = text.lines().filter_map(worth_unmounting).collect();
    mounts.reverse();
    // The healthy disks do not wait for the others: writing back begins at once.
    sys::process::aside(nix::unistd::sync);
    for place in mounts {
        let ended = sys::process::within(EACH, || unmount(&place));
        if !ended {
            let place = place.display();
            Messages::for_child().error(&format!("unable to unmount {place}: it hangs (going on without)"));
        }
    }
    sys::process::within(EACH, nix::unistd::sync);
}

fn unmount(place: &Path) {
    if place.as_os_str() == "/" || umount2(place, MntFlags::empty()).is_err() {
        let flags = MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        let _ = mount(None::<&str>, place, None::<&str>, flags, None::<&str>);
    }
}

fn worth_unmounting(line: &str) -> Option<PathBuf> {
    let mut fields = line.split(' ');
    let (place, kind) = (fields.nth(1)?, fields.next()?);
    (!KERNEL_ONLY.contains(&kind)).then(|| PathBuf::from(unescape(place)))
}

/// Blanks and backslashes stand as octal numbers in `/proc/self/mounts` (proc(5)).
fn unescape(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                plain.push(char::from(byte));
                plain.push_str(part.get(3..).unwrap_or_default());
            }
            None => {
                plain.push('\\');
                plain.push_str(part);
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_a_disk_is_unmounted_and_blanks_come_back() {
        assert_eq!(worth_unmounting("proc /proc proc rw 0 0"), None);
        let place = worth_unmounting(r"/dev/vda /data\040disk ext4 rw 0 0");
        assert_eq!(place, Some(PathBuf::from("/data disk")));
        assert_eq!(unescape(r"a\134b\"), r"a\b\");
    }
}
