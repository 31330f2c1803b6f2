//! Control groups at boot: version 2, alone, made ready for Mesos; or version 1, if the kernel's command line says so.

use crate::boot::{PLAIN, attach};
use crate::command_line;
use nix::mount::mount;
use std::fs::create_dir_all;
use std::io;

/// Where both versions are.
const PLACE: &str = "/sys/fs/cgroup";

/// Mounts the version that is asked for: `mainstay.cgroup=v1`, else 2.
pub(crate) fn mount_all() -> io::Result<()> {
    let line = std::fs::read_to_string("/proc/cmdline").unwrap_or_default();
    if command_line::parse(&line).cgroup_v1 { mount_v1() } else { mount_v2() }
}

/// Version 2, at its own place and nowhere else, which the Mesos agent checks. Its subtree is made ready
/// here, and left alone ever after.
fn mount_v2() -> io::Result<()> {
    const CONTROLLERS: &str = "/sys/fs/cgroup/cgroup.controllers";
    // Older kernels know neither option, and would mount nothing.
    attach("cgroup2", PLACE, PLAIN, "nsdelegate,memory_recursiveprot")
        .or_else(|_| attach("cgroup2", PLACE, PLAIN, ""))?;
    let controllers = std::fs::read_to_string(CONTROLLERS)?;
    create_dir_all("/sys/fs/cgroup/mesos")?;
    for controller in controllers.split_whitespace() {
        for directory in ["/sys/fs/cgroup", "/sys/fs/cgroup/mesos"] {
            // A controller that cannot be had is missed by whoever needs it, who says so.
            let _ = std::fs::write(format!("{directory}/cgroup.subtree_control"), format!("+{controller}"));
        }
    }
    Ok(())
}

/// Version 1, for Mesos up to 1.11: a hierarchy for each controller, below a directory in which the agent can make
/// others. Version 2 is mounted nowhere then. A controller that cannot be mounted leaves the others as they are.
fn mount_v1() -> io::Result<()> {
    attach("tmpfs", PLACE, PLAIN, "mode=0755,size=1m")?;
    let mut result = Ok(());
    for controller in controllers_v1(&std::fs::read_to_string("/proc/cgroups")?) {
        let place = format!("{PLACE}/{controller}");
        let mounted = create_dir_all(&place).and_then(|()| {
            Ok(mount(Some("cgroup"), place.as_str(), Some("cgroup"), PLAIN, Some(controller.as_str()))?)
        });
        if let Err(error) = mounted {
            let _ = std::fs::remove_dir(&place);
            result = Err(io::Error::new(error.kind(), format!("unable to mount {controller}: {error}")));
        }
    }
    // What a group may use its subgroups use too (cgroup-v1/memory.rst); a kernel that knows no other way has no such file.
    let _ = std::fs::write(format!("{PLACE}/memory/memory.use_hierarchy"), "1");
    result
}

/// The controllers of /proc/cgroups that are enabled (cgroups(7)).
fn controllers_v1(text: &str) -> Vec<String> {
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    let fields = rows.map(|line| line.split_whitespace().collect::<Vec<_>>());
    fields
        .filter_map(|row| match row.as_slice() {
            [name, _, _, "1"] => Some((*name).to_owned()),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controllers_that_are_enabled_are_mounted_and_others_are_not() {
        let text = "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t3\t1\t1\nmemory\t0\t9\t0\nfreezer\t6\t1\t1\nodd\n";
        assert_eq!(controllers_v1(text), ["cpu", "freezer"]);
    }
}
