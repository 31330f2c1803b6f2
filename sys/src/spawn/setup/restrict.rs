//! What a process is restricted to for good: landlock(7), seccomp(2).

use super::{Action, call, text};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use service::setup::{Landlock, Setup};
use std::ffi::CString;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// `LANDLOCK_CREATE_RULESET_VERSION`.
const VERSION: i64 = 1;
/// `LANDLOCK_RULE_PATH_BENEATH`, `LANDLOCK_RULE_NET_PORT`.
const PATH_BENEATH: i64 = 1;
const NET_PORT: i64 = 2;
/// The rights that mean something for what is no directory: to execute, write, read, truncate, and control devices.
const OF_FILES: u64 = 1 | 1 << 1 | 1 << 2 | 1 << 14 | 1 << 15;
/// `SECCOMP_SET_MODE_FILTER`.
const FILTER: i64 = 1;

pub(super) fn ready(setup: &Setup, lenient: bool) -> Result<Action, Errno> {
    #[allow(clippy::wildcard_enum_match_arm, reason = "the caller knows which steps restrict")]
    match setup {
        Setup::Landlock(landlock) => ruleset(landlock, lenient),
        Setup::Seccomp(program) => filter(program),
        _ => Err(Errno::ENOSYS),
    }
}

/// struct landlock_path_beneath_attr, which is packed.
#[repr(C, packed)]
struct Beneath {
    allowed: u64,
    parent: i32,
}

/// The rights on files and on ports that a version of landlock knows.
fn known(version: i64) -> (u64, u64) {
    let files = match version {
        ..=0 => 0,
        1 => 13,
        2 => 14,
        3 | 4 => 15,
        5.. => 16,
    };
    ((1 << files) - 1, if version >= 4 { 3 } else { 0 })
}

fn ruleset(landlock: &Landlock, lenient: bool) -> Result<Action, Errno> {
    let Landlock { handled, handled_ports, ref paths, ref ports } = *landlock;
    let place = |(rights, path): &(u64, String)| -> Result<(u64, bool, CString), Errno> {
        let optional = path.strip_prefix('-');
        Ok((*rights, optional.is_some(), text(optional.unwrap_or(path))?))
    };
    let paths = paths.iter().map(place).collect::<Result<Vec<_>, Errno>>()?;
    let ports = ports.clone();
    Ok(Box::new(move || {
        // SAFETY: asks for the version, with no attributes.
        let version = call::numbers(libc::SYS_landlock_create_ruleset, [0, 0, VERSION])?;
        let (files, network) = known(version);
        let lacks = handled & !files != 0 || handled_ports & !network != 0;
        if lacks && !lenient {
            return Err(Errno::EOPNOTSUPP);
        }
        let (handled, handled_ports) = (handled & files, handled_ports & network);
        if handled | handled_ports != 0 {
            let rules = create(handled, handled_ports)?;
            for (rights, optional, path) in &paths {
                let added = below(&rules, rights & handled, path);
                if !(*optional && matches!(added, Err(Errno::ENOENT | Errno::ENOTDIR))) {
                    added?;
                }
            }
            for (rights, port) in &ports {
                // struct landlock_net_port_attr: what is granted, and for which port.
                let granted = [rights & handled_ports, u64::from(*port)];
                let rule = granted.as_ptr().expose_provenance();
                if rights & handled_ports != 0 {
                    // SAFETY: `granted` is what this kind of rule takes.
                    unsafe { add(&rules, NET_PORT, rule) }?;
                }
            }
            call::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0)?;
            call::numbers(libc::SYS_landlock_restrict_self, [i64::from(rules.as_raw_fd()), 0])?;
        }
        // Restricted as far as this kernel can: somebody is to hear of the rest.
        if lacks { Err(Errno::EOPNOTSUPP) } else { Ok(()) }
    }))
}

/// landlock_create_ruleset(2).
fn create(handled: u64, handled_ports: u64) -> Result<OwnedFd, Errno> {
    // struct landlock_ruleset_attr; older kernels know its beginning alone.
    let attributes = [handled, handled_ports];
    let size = if handled_ports == 0 { size_of::<u64>() } else { size_of_val(&attributes) };
    let arguments = [attributes.as_ptr().expose_provenance(), size, 0, 0, 0];
    // SAFETY: `attributes` is at least as long as is said.
    let number = unsafe { call::call(libc::SYS_landlock_create_ruleset, arguments) }?;
    let number = i32::try_from(number).map_err(|_| Errno::EBADF)?;
    // SAFETY: the call has made it, and only we know of it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Grants rights below a path.
fn below(rules: &OwnedFd, rights: u64, path: &CString) -> Result<(), Errno> {
    let place = open(path.as_c_str(), OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?;
    let grant = |allowed| {
        let rule = Beneath { allowed, parent: place.as_raw_fd() };
        // SAFETY: `rule` is what this kind of rule takes.
        unsafe { add(rules, PATH_BENEATH, (&raw const rule).expose_provenance()) }
    };
    match grant(rights) {
        // It is no directory.
        Err(Errno::EINVAL) => grant(rights & OF_FILES),
        // It is asked for no right that is withheld elsewhere.
        Err(Errno::ENOMSG) => Ok(()),
        other => other,
    }
}

/// landlock_add_rule(2).
///
/// # Safety
/// `rule` is the address of what this kind of rule takes.
unsafe fn add(rules: &OwnedFd, kind: i64, rule: usize) -> Result<(), Errno> {
    let [rules, kind] = [i64::from(rules.as_raw_fd()), kind].map(call::word);
    // SAFETY: the caller has seen to the rule.
    unsafe { call::call(libc::SYS_landlock_add_rule, [rules, kind, rule, 0, 0]) }.map(drop)
}

/// struct sock_fprog.
#[repr(C)]
struct Program {
    length: u16,
    instructions: *const u64,
}

/// Each word is a struct sock_filter as a little-endian processor has it in memory.
fn filter(program: &[u64]) -> Result<Action, Errno> {
    let length = u16::try_from(program.len()).map_err(|_| Errno::E2BIG)?;
    let program: Vec<u64> = program.iter().map(|word| u64::from_le(*word)).collect();
    Ok(Box::new(move || {
        let program = Program { length, instructions: program.as_ptr() };
        let arguments = [call::word(FILTER), 0, (&raw const program).expose_provenance(), 0, 0];
        // SAFETY: `program` and its instructions outlive the call, which copies them.
        unsafe { call::call(libc::SYS_seccomp, arguments) }.map(drop)
    }))
}
