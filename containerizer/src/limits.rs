//! What resources become: limits of a control group.

use crate::messages::Resources;

const MIB: f64 = 1_048_576.0;
/// As little memory as Mesos's own isolators give, in MiB.
const LEAST_MEMORY: f64 = 32.0;

/// The limits that follow, as `KEY=VALUE`. `quota`: whether the processors are a limit even if others leave theirs unused.
#[must_use]
pub fn limits(resources: &Resources, quota: bool) -> Vec<String> {
    let mut limits = Vec::new();
    if let Some(cpus) = resources.get("cpus") {
        // 100 is what a group has of which nothing is said; of one processor's worth.
        let weight = (cpus * 100.0).round().clamp(1.0, 10_000.0);
        limits.push(format!("cpu.weight={weight}"));
        if quota {
            let percent = (cpus * 100.0).round().clamp(1.0, 1_000_000.0);
            limits.push(format!("cpu.max={percent}%"));
        }
    }
    if let Some(mem) = resources.get("mem") {
        // Far more than any machine has is no limit, and fits the kernel's counter.
        let bytes = (mem.max(LEAST_MEMORY) * MIB).round().min(9e15);
        limits.push(format!("memory.max={bytes}"));
    }
    limits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(cpus: f64, mem: f64) -> Resources {
        [("cpus".to_owned(), cpus), ("mem".to_owned(), mem), ("disk".to_owned(), 5.0)].into()
    }

    #[test]
    fn processors_are_a_weight_and_memory_a_limit() {
        assert_eq!(limits(&of(1.5, 64.0), false), ["cpu.weight=150", "memory.max=67108864"]);
        assert_eq!(limits(&of(0.25, 100.5), true), ["cpu.weight=25", "cpu.max=25%", "memory.max=105381888"]);
        assert_eq!(limits(&Resources::new(), true), [""; 0]);
    }

    #[test]
    fn what_is_too_little_or_too_much_is_the_least_or_the_most() {
        assert_eq!(limits(&of(0.0, 0.0), true), ["cpu.weight=1", "cpu.max=1%", "memory.max=33554432"]);
        assert_eq!(
            limits(&of(1e300, 1e300), true),
            ["cpu.weight=10000", "cpu.max=1000000%", "memory.max=9000000000000000"]
        );
    }
}
