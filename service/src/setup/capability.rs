//! The names of capabilities (capabilities(7)), and sets of them as the kernel has them: a bit for each.

/// By their numbers (linux/capability.h), without `CAP_`.
const NAMES: [&str; 41] = [
    "chown",
    "dac-override",
    "dac-read-search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux-immutable",
    "net-bind-service",
    "net-broadcast",
    "net-admin",
    "net-raw",
    "ipc-lock",
    "ipc-owner",
    "sys-module",
    "sys-rawio",
    "sys-chroot",
    "sys-ptrace",
    "sys-pacct",
    "sys-admin",
    "sys-boot",
    "sys-nice",
    "sys-resource",
    "sys-time",
    "sys-tty-config",
    "mknod",
    "lease",
    "audit-write",
    "audit-control",
    "setfcap",
    "mac-override",
    "mac-admin",
    "syslog",
    "wake-alarm",
    "block-suspend",
    "audit-read",
    "perfmon",
    "bpf",
    "checkpoint-restore",
];

/// All names, in the order of their bits.
#[must_use]
pub fn names() -> &'static [&'static str] {
    &NAMES
}

/// A name as it is written here: `CAP_NET_ADMIN` and `net_admin` are `net-admin`.
#[must_use]
pub fn plain(name: &str) -> String {
    let name = name.to_ascii_lowercase().replace('_', "-");
    name.strip_prefix("cap-").map_or(name.clone(), str::to_owned)
}

/// The bit of a capability; none if there is none of that name.
#[must_use]
pub fn bit(name: &str) -> Option<u64> {
    let name = plain(name);
    NAMES.iter().position(|known| *known == name).map(|number| 1 << number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_known_by_every_spelling() {
        assert_eq!(bit("chown"), Some(1));
        for name in ["net-bind-service", "CAP_NET_BIND_SERVICE", "net_bind_service"] {
            assert_eq!(bit(name), Some(1 << 10), "{name}");
        }
        assert_eq!(bit("checkpoint-restore"), Some(1 << 40));
        assert_eq!(bit("fly"), None);
    }
}
