//! What an agent wants of the machine it starts on.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// How long init may take to say its version.
const PATIENCE: Duration = Duration::from_secs(5);
/// What Mesos runs by name.
const PROGRAMS: [&[&str]; 9] = [
    &["sh"],
    &["cp"],
    &["rm"],
    &["tar"],
    &["gzip"],
    &["sha512sum"],
    &["mount"],
    &["umount"],
    &["ip", "ifconfig"],
];

/// Asks whether init is systemd. The answer of another init is logged; one that does not come is fatal, since
/// the real agent would wait for ever.
pub(crate) fn probe_init() -> Result<(), String> {
    let Ok(init) = std::fs::canonicalize("/sbin/init") else {
        info!("There is no /sbin/init: systemd support is off");
        return Ok(());
    };
    let command = format!("{} --version", init.display());
    let failed = |error: std::io::Error| format!("Failed to run '{command}': {error}");
    let (mut answers, theirs) = UnixStream::pair().map_err(failed)?;
    answers.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    let mut child = Command::new("sh")
        .args(["-c", &command])
        .stdin(Stdio::null())
        .stdout(OwnedFd::from(theirs))
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    let mut text = String::new();
    // Its end is the end of what it says; one that says too much is cut off.
    let ended = (&mut answers).take(4096).read_to_string(&mut text);
    if ended.is_err() {
        let _ = child.kill();
        let _ = child.wait();
        fatal!("'{command}' did not end within {PATIENCE:?}");
    }
    let status = child.wait().map_err(failed)?;
    let line = text.lines().next().unwrap_or_default();
    info!("'{command}' answered {line:?} ({status})");
    if is_systemd(&text) {
        return Err(format!("'{command}' says systemd, which the stand-in has no support for"));
    }
    Ok(())
}

fn is_systemd(answer: &str) -> bool {
    answer.split_whitespace().next() == Some("systemd")
}

/// cgroup2 must be mounted nowhere else than at its place, and the programs must be found.
pub(crate) fn check() -> Result<(), String> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    if let Some(place) = misplaced_cgroup2(&mounts) {
        return Err(format!("Found a cgroup2 mount at an unexpected location: '{place}'"));
    }
    let path = std::env::var("PATH").unwrap_or_default();
    for names in PROGRAMS {
        if !names.iter().any(|name| path.split(':').any(|place| Path::new(place).join(name).exists())) {
            return Err(format!("Failed to find '{}' in PATH", names.join("' or '")));
        }
    }
    Ok(())
}

fn misplaced_cgroup2(mountinfo: &str) -> Option<&str> {
    mountinfo.lines().find_map(|line| {
        let (mount, source) = line.split_once(" - ")?;
        let place = mount.split(' ').nth(4)?;
        (source.starts_with("cgroup2 ") && place != "/sys/fs/cgroup").then_some(place)
    })
}

fn processors(cpuinfo: &str) -> usize {
    cpuinfo.lines().filter(|line| line.starts_with("processor")).count().max(1)
}

/// The number of processors and the memory, in the words of Mesos.
pub(crate) fn resources() -> String {
    let cpus = processors(&std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default());
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kilobytes: u64 = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse().ok())
        .unwrap_or(0);
    format!("cpus:{cpus};mem:{}", kilobytes / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cgroup2_mount_is_wrong_anywhere_but_at_its_place() {
        let right =
            "25 1 0:22 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n26 1 0:4 / /proc rw - proc proc rw\n";
        assert_eq!(misplaced_cgroup2(right), None);
        let hybrid = "25 1 0:22 / /sys/fs/cgroup/unified rw shared:1 - cgroup2 cgroup2 rw\n";
        assert_eq!(misplaced_cgroup2(hybrid), Some("/sys/fs/cgroup/unified"));
    }

    #[test]
    fn only_the_first_word_of_an_init_can_make_it_systemd() {
        assert!(is_systemd("systemd 252 (252.39)\n+PAM"));
        assert!(!is_systemd("init (mainstay) 0.1.0, not systemd\n"));
        assert!(!is_systemd(""));
    }
}
