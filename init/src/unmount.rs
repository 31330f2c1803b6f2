//! What the child does that unmounts: everything that can be, the rest read-only, then written back.

use crate::message::{Messages, reason};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use service::unmounting::Unmounting;
use service::{Pid, Signal};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;
use sys::poll::{Poller, Ready};

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

/// Unmounts everything, what was mounted last first. What is busy is made read-only. What hangs is left behind: each
/// has a process of its own, and none waits for any other but for what is mounted on it.
pub(crate) fn unmount_all() {
    let text = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mounts: Vec<PathBuf> = text.lines().filter_map(worth_unmounting).collect();
    // The healthy disks do not wait for the others: writing back begins at once.
    sys::process::aside(nix::unistd::sync);
    let mut left = match Poller::new() {
        Ok(poller) => unmount_together(&mounts, &poller, unmount),
        Err(_) => (0..mounts.len()).collect(),
    };
    // Those for which there was no process: if one hangs now, it delays nothing but these.
    left.sort_unstable();
    for place in left.iter().rev().filter_map(|index| mounts.get(*index)) {
        unmount(place);
    }
    if let Err(error) = sys::process::within(EACH, nix::unistd::sync) {
        tell(&format!("unable to write back in a process of its own: {} (waiting for it)", reason(&error)));
        nix::unistd::sync();
    }
}

/// Unmounts all of these but those that are returned: no process could be had for them.
fn unmount_together(mounts: &[PathBuf], poller: &Poller, work: fn(&Path)) -> Vec<usize> {
    let mut order = Unmounting::new(mounts, EACH);
    let mut children: BTreeMap<usize, (Pid, OwnedFd)> = BTreeMap::new();
    let mut left = Vec::new();
    let mut ready = [Ready::default(); 64];
    loop {
        while let Some(index) = order.next(sys::clock::now()) {
            let Some(place) = mounts.get(index) else { continue };
            match begin(place, poller, index, work) {
                Ok(child) => {
                    children.insert(index, child);
                }
                Err(error) => {
                    let place = place.display();
                    let reason = reason(&error);
                    tell(&format!(
                        "unable to unmount {place} in a process of its own: {reason} (doing it last)"
                    ));
                    left.push(index);
                    order.ended(index);
                }
            }
        }
        if order.is_over() {
            return left;
        }
        let count = poller.wait(&mut ready, order.deadline()).unwrap_or_default();
        for event in ready.iter().take(count) {
            let Ok(index) = usize::try_from(event.token) else { continue };
            if let Some((pid, _)) = children.remove(&index) {
                sys::process::reap_one(pid);
            }
            order.ended(index);
        }
        while let Some(index) = order.give_up(sys::clock::now()) {
            if let Some((pid, _)) = children.remove(&index) {
                let _ = sys::process::signal(pid, Signal::KILL);
            }
            if let Some(place) = mounts.get(index) {
                tell(&format!("unable to unmount {}: it hangs (going on without)", place.display()));
            }
        }
    }
}

/// Begins to unmount one; its end is told by the poller with this number.
fn begin(place: &Path, poller: &Poller, index: usize, work: fn(&Path)) -> io::Result<(Pid, OwnedFd)> {
    let pid = sys::process::fork(|| work(place))?;
    let descriptor = sys::process::open(pid)?;
    poller.add(&descriptor, index as u64)?;
    Ok((pid, descriptor))
}

fn tell(text: &str) {
    Messages::for_child().error(text);
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

    #[test]
    fn places_that_hang_are_left_behind_and_all_others_are_unmounted() {
        let place = std::env::temp_dir().join(format!("mainstay-unmount-{}", std::process::id()));
        let mut places: Vec<PathBuf> = (0..20).map(|number| place.join(format!("stuck{number}"))).collect();
        places.insert(0, place.join("good"));
        places.insert(10, place.join("good too"));
        std::fs::create_dir_all(&place).unwrap();
        // A directory that goes stands for a filesystem that does; in the child nothing is done but system calls.
        for good in places.iter().filter(|place| !place.to_string_lossy().contains("stuck")) {
            std::fs::create_dir(good).unwrap();
        }
        let work = |place: &Path| {
            while place.as_os_str().as_encoded_bytes().windows(5).any(|part| part == b"stuck") {
                nix::unistd::pause();
            }
            let _ = nix::unistd::unlinkat(nix::fcntl::AT_FDCWD, place, nix::unistd::UnlinkatFlags::RemoveDir);
        };
        assert_eq!(unmount_together(&places, &Poller::new().unwrap(), work), [0; 0]);
        assert_eq!(std::fs::read_dir(&place).unwrap().count(), 0);
        std::fs::remove_dir(&place).unwrap();
    }
}
