//! Whose a process is, and what it may do (credentials(7), capabilities(7)).

use super::{Action, call};
use nix::errno::Errno;
use service::setup::{Credentials, Setup};

/// `_LINUX_CAPABILITY_VERSION_3` (capget(2)).
const VERSION: u32 = 0x2008_0522;
/// Beyond the last capability that there may ever be.
const CAPABILITIES: u32 = 64;

/// The capabilities of which a step has to find some left, after the user has changed.
pub(super) fn kept(setup: &Setup) -> u64 {
    #[allow(clippy::wildcard_enum_match_arm, reason = "no other step needs a capability")]
    match setup {
        Setup::Ambient(set) => *set,
        _ => 0,
    }
}

/// The three sets of a process, a bit for each capability.
#[derive(Clone, Copy, Default)]
struct Sets {
    effective: u64,
    permitted: u64,
    inheritable: u64,
}

impl Sets {
    /// Those of the process that calls.
    fn own() -> Result<Sets, Errno> {
        let mut data = [[0_u32; 3]; 2];
        transfer(libc::SYS_capget, &mut data)?;
        let [[effective, permitted, inheritable], high] = data;
        let join = |low, high| u64::from(low) | u64::from(high) << 32;
        Ok(Sets {
            effective: join(effective, high[0]),
            permitted: join(permitted, high[1]),
            inheritable: join(inheritable, high[2]),
        })
    }

    /// Makes them its own.
    #[allow(clippy::cast_possible_truncation, reason = "the halves of a word")]
    fn set(self) -> Result<(), Errno> {
        let sets = [self.effective, self.permitted, self.inheritable];
        transfer(libc::SYS_capset, &mut [sets.map(|set| set as u32), sets.map(|set| (set >> 32) as u32)])
    }
}

/// capget(2) or capset(2): two records of three words, the low halves first.
fn transfer(number: std::ffi::c_long, data: &mut [[u32; 3]; 2]) -> Result<(), Errno> {
    let mut header = [VERSION, 0];
    let arguments = [(&raw mut header).expose_provenance(), data.as_mut_ptr().expose_provenance(), 0, 0, 0];
    // SAFETY: both are alive, and of the size that the version asks for.
    unsafe { call::call(number, arguments) }.map(drop)
}

/// Takes all capabilities but these out of the bounding set, and out of what is inherited.
pub(super) fn bounding(set: u64) -> Action {
    Box::new(move || {
        for capability in (0..CAPABILITIES).filter(|bit| set & 1 << bit == 0) {
            match call::prctl(libc::PR_CAPBSET_DROP, u64::from(capability), 0) {
                // Beyond the kernel's last.
                Err(Errno::EINVAL) => break,
                other => other.map(drop)?,
            }
        }
        let own = Sets::own()?;
        Sets { inheritable: own.inheritable & set, ..own }.set()
    })
}

/// Becomes a user, with its groups, all of them numbers.
pub(super) fn credentials(credentials: &Credentials, kept: u64) -> Result<Action, Errno> {
    let number = |text: &str| text.parse::<u32>().ok().filter(|id| *id != u32::MAX).ok_or(Errno::EINVAL);
    let user = number(&credentials.user)?;
    let group = number(credentials.group.as_deref().unwrap_or_default())?;
    let groups = credentials.groups.iter().flatten().map(|group| number(group));
    let groups = groups.collect::<Result<Vec<u32>, Errno>>()?;
    Ok(Box::new(move || {
        if kept != 0 {
            call::prctl(libc::PR_SET_KEEPCAPS, 1, 0)?;
        }
        let list = [groups.len(), groups.as_ptr().expose_provenance(), 0, 0, 0];
        // SAFETY: `groups` lives in this closure, and is as long as is said.
        unsafe { call::call(libc::SYS_setgroups, list) }?;
        let (user, group) = (i64::from(user), i64::from(group));
        call::numbers(libc::SYS_setresgid, [group; 3])?;
        call::numbers(libc::SYS_setresuid, [user; 3])?;
        // Until it executes, it shares the memory of a process that may do more: nobody of that user may reach into it
        // (ptrace(2)). The kernel sees to it unless `fs.suid_dumpable` says otherwise.
        call::prctl(libc::PR_SET_DUMPABLE, 0, 0).map(drop)
    }))
}

/// Keeps capabilities through the exec, although the user is not root.
pub(super) fn ambient(set: u64) -> Action {
    Box::new(move || {
        let own = Sets::own()?;
        // Exactly these: what it does not keep it does not have between here and the exec either.
        let sets = Sets { effective: set, permitted: set | own.permitted & own.effective, inheritable: set };
        sets.set()?;
        for capability in (0..CAPABILITIES).filter(|bit| set & 1 << bit != 0) {
            let raise = libc::PR_CAP_AMBIENT_RAISE.unsigned_abs();
            call::prctl(libc::PR_CAP_AMBIENT, u64::from(raise), u64::from(capability))?;
        }
        Ok(())
    })
}

pub(super) fn no_new_privileges() -> Action {
    Box::new(|| call::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0).map(drop))
}
