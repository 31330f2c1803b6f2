//! The smallest guest that shows whether an accelerator really runs one.
//!
//! It goes from the reset vector through protected mode into 64-bit mode with paging, and says so by ending
//! qemu with a status of its own. There are machines where a guest runs well enough in real mode and hangs
//! at the first of these steps: a boot sector that greets proves nothing.

use std::io::{self, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::process::Process;

/// What qemu exits with when the guest writes 0x2a to the debug port: (0x2a << 1) | 1.
const ARRIVED: i32 = 85;

/// The size of a ROM that ends at 4 GiB, where a processor starts, and shows at 0xf0000 too.
const ROM_SIZE: usize = 0x10000;
const RESET_VECTOR: usize = 0xfff0;

/// `jmp 0xf000:0`
const RESET: [u8; 5] = [0xea, 0x00, 0x00, 0x00, 0xf0];

/// The guest, at 0xf0000.
#[rustfmt::skip]
const GUEST: [u8; 158] = [
    0xfa, // cli
    0x8c, 0xc8, 0x8e, 0xd8, // mov cs, ax; mov ax, ds
    0x66, 0x0f, 0x01, 0x16, 0x98, 0x00, // lgdt [table]
    0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0, // cr0 |= 1: protected mode
    0x66, 0xea, 0x1b, 0x00, 0x0f, 0x00, 0x08, 0x00, // jump 8:0xf001b
    0x66, 0xb8, 0x10, 0x00, 0x8e, 0xd8, // mov 16, ax; mov ax, ds
    0xc7, 0x05, 0x00, 0x10, 0x00, 0x00, 0x03, 0x20, 0x00, 0x00, // [0x1000] = 0x2003: top table
    0xc7, 0x05, 0x00, 0x20, 0x00, 0x00, 0x03, 0x30, 0x00, 0x00, // [0x2000] = 0x3003: next table
    0xc7, 0x05, 0x00, 0x30, 0x00, 0x00, 0x83, 0x00, 0x00, 0x00, // [0x3000] = 0x83: 2 MiB, one to one
    0x0f, 0x20, 0xe0, 0x0c, 0x20, 0x0f, 0x22, 0xe0, // cr4 |= 0x20: PAE
    0xb8, 0x00, 0x10, 0x00, 0x00, 0x0f, 0x22, 0xd8, // cr3 = 0x1000
    0xb9, 0x80, 0x00, 0x00, 0xc0, 0x0f, 0x32, 0x80, 0xcc, 0x01, 0x0f, 0x30, // EFER |= 0x100: long mode
    0x0f, 0x20, 0xc0, 0x0d, 0x00, 0x00, 0x00, 0x80, 0x0f, 0x22, 0xc0, // cr0 |= 0x80000000: paging
    0xea, 0x6d, 0x00, 0x0f, 0x00, 0x18, 0x00, // jump 24:0xf006d, into 64-bit code
    0xb0, 0x2a, 0xe6, 0xf4, // out 0x2a, 0xf4: exit status 85
    0xf4, 0xeb, 0xfd, // hlt, for ever
    0x0f, 0x1f, 0x40, 0x00, // (alignment)
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, // descriptor 0: none
    0xff, 0xff, 0x00, 0x00, 0x00, 0x9a, 0xcf, 0x00, // descriptor 8: 32-bit code
    0xff, 0xff, 0x00, 0x00, 0x00, 0x92, 0xcf, 0x00, // descriptor 16: data
    0xff, 0xff, 0x00, 0x00, 0x00, 0x9a, 0xaf, 0x00, // descriptor 24: 64-bit code
    0x1f, 0x00, 0x78, 0x00, 0x0f, 0x00, // table: its size and place
];

/// Runs the guest with `-accel NAME`, for at most `within`. The error says what happened instead.
pub(crate) fn run(accelerator: &str, within: Duration) -> Result<(), String> {
    run_guest(accelerator, &GUEST, within)
}

fn run_guest(accelerator: &str, guest: &[u8], within: Duration) -> Result<(), String> {
    let start = || command(accelerator, guest).and_then(Process::spawn);
    let (process, pipes) = start().map_err(|error| format!("unable to start a probe guest: {error}"))?;
    match process.wait_until(Instant::now() + within) {
        None => Err(format!("a probe guest hung for {} s", within.as_secs_f32())),
        Some(status) if status.code() == Some(ARRIVED) => Ok(()),
        Some(status) => {
            let mut said = String::new();
            let _ = pipes.stderr.map(|mut stderr| stderr.read_to_string(&mut said));
            let said = said.lines().last().unwrap_or("it said nothing");
            Err(format!("a probe guest failed ({status}): {said}"))
        }
    }
}

fn command(accelerator: &str, guest: &[u8]) -> io::Result<Command> {
    let rom = memfd_create("probe", MFdFlags::MFD_CLOEXEC)?;
    std::fs::File::from(rom.try_clone()?).write_all(&image(guest))?;
    let mut command = Command::new(crate::builder::PROGRAM);
    command.args(["-nodefaults", "-display", "none", "-machine", "pc", "-m", "16", "-accel", accelerator]);
    command.args(["-device", "isa-debug-exit,iobase=0xf4,iosize=1"]);
    command.arg("-bios").arg(format!("/proc/self/fd/{}", rom.as_raw_fd()));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).env("LC_ALL", "C");
    sys::child::inherit(&mut command, rom);
    Ok(command)
}

fn image(guest: &[u8]) -> Vec<u8> {
    let mut rom = guest.to_vec();
    rom.resize(RESET_VECTOR, 0);
    rom.extend(RESET);
    rom.resize(ROM_SIZE, 0);
    rom
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probe_guest_arrives_under_emulation() {
        assert_eq!(run("tcg", Duration::from_secs(60)), Ok(()));
    }

    #[test]
    fn a_guest_that_hangs_is_ended_at_its_deadline() {
        const JUMP_TO_SELF: [u8; 2] = [0xeb, 0xfe];
        let error = run_guest("tcg", &JUMP_TO_SELF, Duration::from_millis(300)).unwrap_err();
        assert_eq!(error, "a probe guest hung for 0.3 s");
    }

    #[test]
    fn an_accelerator_that_is_not_there_is_named_by_qemu() {
        let error = run("nonesuch", Duration::from_secs(60)).unwrap_err();
        assert!(error.contains("nonesuch"), "{error}");
    }
}
