//! KVM where it really works, emulation everywhere else, and the reason for the choice.

use std::fs::{self, OpenOptions};
use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use crate::probe;

/// A guest that does nothing but arrive takes milliseconds; a machine may be busy.
const PROBE_WITHIN: Duration = Duration::from_secs(5);

/// What runs the guest's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accelerator {
    /// The processor itself.
    Kvm,
    /// qemu's translator (TCG).
    Emulation,
}

/// An accelerator, and why it is this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// What runs the guest.
    pub accelerator: Accelerator,
    /// One line for people.
    pub reason: String,
}

impl Accelerator {
    /// Finds out, once per process, what works on this machine.
    pub fn choose() -> &'static Choice {
        static CHOICE: OnceLock<Choice> = OnceLock::new();
        CHOICE.get_or_init(|| {
            let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
            let device = OpenOptions::new().read(true).write(true).open("/dev/kvm").map(drop);
            decide(has_virtualisation(&cpuinfo), &device, || probe::run("kvm", PROBE_WITHIN))
        })
    }

    /// qemu's options for it. Measured: to ssh, `max` and `Nehalem` take 7 % more processor time than `qemu64`,
    /// and the size of the translation buffer changes nothing.
    pub(crate) fn options(self) -> [&'static str; 4] {
        match self {
            Self::Kvm => ["-accel", "kvm", "-cpu", "host"],
            Self::Emulation => ["-accel", "tcg,thread=multi", "-cpu", "qemu64"],
        }
    }
}

/// The cheap signs first, since the probe takes a process, and seconds where a guest hangs.
fn decide(processor: bool, device: &io::Result<()>, probe: impl FnOnce() -> Result<(), String>) -> Choice {
    let works = if processor {
        match device {
            Ok(()) => probe(),
            Err(error) => Err(format!("/dev/kvm does not open: {error}")),
        }
    } else {
        Err("the processor shows no vmx or svm".to_owned())
    };
    match works {
        Ok(()) => Choice { accelerator: Accelerator::Kvm, reason: "using KVM: a probe guest ran".to_owned() },
        Err(why) => Choice {
            accelerator: Accelerator::Emulation,
            reason: format!("KVM is not usable: {why}; using emulation"),
        },
    }
}

fn has_virtualisation(cpuinfo: &str) -> bool {
    let mut flags = cpuinfo.lines().filter(|line| line.starts_with("flags"));
    flags.any(|line| line.split_whitespace().any(|flag| flag == "vmx" || flag == "svm"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn never() -> Result<(), String> {
        panic!("no guest may be started on a machine that shows it cannot work")
    }

    #[test]
    fn kvm_needs_the_processor_the_device_and_a_guest_that_runs() {
        let closed = Err(io::Error::from(io::ErrorKind::PermissionDenied));
        let absent = Err(io::Error::from(io::ErrorKind::NotFound));
        let hung = || Err("a probe guest hung for 5 s".to_owned());
        let table: [(Choice, &str); 5] = [
            (
                decide(false, &Ok(()), never),
                "KVM is not usable: the processor shows no vmx or svm; using emulation",
            ),
            (
                decide(true, &closed, never),
                "KVM is not usable: /dev/kvm does not open: permission denied; using emulation",
            ),
            (
                decide(true, &absent, never),
                "KVM is not usable: /dev/kvm does not open: entity not found; using emulation",
            ),
            (decide(true, &Ok(()), hung), "KVM is not usable: a probe guest hung for 5 s; using emulation"),
            (decide(true, &Ok(()), || Ok(())), "using KVM: a probe guest ran"),
        ];
        for (choice, reason) in table {
            assert_eq!(choice.reason, reason);
            assert_eq!(choice.accelerator == Accelerator::Kvm, reason.starts_with("using KVM"), "{reason}");
        }
    }

    #[test]
    fn only_whole_flags_of_the_processor_count() {
        assert!(has_virtualisation("processor\t: 0\nflags\t\t: fpu vmx sse\n"));
        assert!(has_virtualisation("flags\t\t: fpu svm\n"));
        assert!(!has_virtualisation("flags\t\t: fpu svm_lock\nvmx flags\t: vnmi\nbugs\t\t: vmx\n"));
    }
}
