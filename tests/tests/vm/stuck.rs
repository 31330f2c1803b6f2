//! Going down with filesystems that are many, badly named, or stuck.

use crate::disks::Disk;
use crate::guest::{PATIENCE, eventually};
use crate::images;
use qemu::Machine;

/// The good disk is mounted first, so that it is unmounted after everything that stands in the way, and last in a
/// place whose name has a blank; over a hundred mounts are between.
const MOUNTS: &str = "set -e\n\
    mkdir -p /mnt/good '/mnt/a blank' /mnt/stuck\n\
    mount -t ext4 /dev/vda /mnt/good\n\
    mount -t ext4 /dev/vdb /mnt/stuck\n\
    i=0; while [ $i -lt 60 ]; do\n\
      mkdir -p /mnt/bound$i /mnt/memory$i\n\
      mount --bind /mnt/good /mnt/bound$i; mount -t tmpfs none /mnt/memory$i\n\
      i=$((i+1))\n\
    done\n\
    mount --bind /mnt/good '/mnt/a blank'\n\
    echo kept > /mnt/good/first; echo kept too > '/mnt/a blank/second'\n\
    fsfreeze --freeze /mnt/stuck\n\
    setsid sh -c 'echo $$ > /tmp/writer; echo lost > /mnt/stuck/third' < /dev/null > /dev/null 2>&1 &\n\
    wc -l < /proc/self/mounts";

#[test]
fn a_stuck_filesystem_and_a_hundred_mounts_do_not_keep_the_machine_on_or_cost_the_good_disk() {
    let (good, stuck) = (Disk::empty("good"), Disk::empty("stuck"));
    let machine = Machine::builder(images::shipped()).disk(good.path()).disk(stuck.path()).boot().unwrap();
    machine.wait_until_up(PATIENCE).unwrap();
    let mounts = machine.run(MOUNTS).unwrap();
    assert!(mounts.trim().parse::<u32>().unwrap() > 120, "{mounts}");
    eventually("a writer hangs where no signal reaches it", || {
        let state = machine.run("cut -d ' ' -f 3 /proc/$(cat /tmp/writer)/stat").unwrap_or_default();
        if state.trim() == "D" { Ok(()) } else { Err(state) }
    });
    machine.power_off().unwrap();
    let console = machine.transcript();
    assert!(console.trim_end().ends_with("reboot: Power down"), "{console}");
    assert_eq!(good.ask("cat /first"), "kept\n");
    assert_eq!(good.ask("cat /second"), "kept too\n");
    // Its journal is empty, as only an unmounted one is (ext4(5), needs_recovery).
    let features = good.ask("show_super_stats -h");
    assert!(
        features.contains("has_journal") && !features.contains("needs_recovery"),
        "{features}\n{console}"
    );
}
