//! The service that is supervised in all measurements: the smallest program that can tell when it started. It is
//! written as bytes, so that it needs no compiler for another target and costs next to nothing to start; a larger
//! one would hide the supervisor's share of the time.

use crate::unable;
use std::fs::{File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// What it tells when it starts: seconds and nanoseconds of `CLOCK_BOOTTIME`, and its process id, 8 bytes each.
pub(crate) const MESSAGE: usize = 24;

/// Where it is loaded.
const BASE: u64 = 0x40_0000;
/// The ELF header and one program header.
const HEADERS: u64 = 64 + 56;

/// x86-64. The path of the fifo follows, with its zero byte.
#[rustfmt::skip]
const CODE: [u8; 101] = [
    0x48, 0x83, 0xec, 0x20,                     //        sub  rsp, 32
    0xbf, 0x07, 0x00, 0x00, 0x00,               //        mov  edi, CLOCK_BOOTTIME
    0x48, 0x89, 0xe6,                           //        mov  rsi, rsp
    0xb8, 0xe4, 0x00, 0x00, 0x00, 0x0f, 0x05,   //        clock_gettime(edi, rsi)
    0xb8, 0x27, 0x00, 0x00, 0x00, 0x0f, 0x05,   //        getpid()
    0x48, 0x89, 0x44, 0x24, 0x10,               //        mov  [rsp+16], rax
    0xbf, 0x03, 0x00, 0x00, 0x00,               //        mov  edi, 3: readiness, where it is asked for
    0x48, 0x8d, 0x35, 0x39, 0x00, 0x00, 0x00,   //        lea  rsi, [rip+line]
    0xba, 0x01, 0x00, 0x00, 0x00,               //        mov  edx, 1
    0xb8, 0x01, 0x00, 0x00, 0x00, 0x0f, 0x05,   //        write(edi, rsi, edx)
    0x48, 0x8d, 0x3d, 0x27, 0x00, 0x00, 0x00,   //        lea  rdi, [rip+path]
    0xbe, 0x01, 0x00, 0x00, 0x00,               //        mov  esi, O_WRONLY
    0xb8, 0x02, 0x00, 0x00, 0x00, 0x0f, 0x05,   //        open(rdi, esi)
    0x89, 0xc7,                                 //        mov  edi, eax
    0x48, 0x89, 0xe6,                           //        mov  rsi, rsp
    0xba, 0x18, 0x00, 0x00, 0x00,               //        mov  edx, 24
    0xb8, 0x01, 0x00, 0x00, 0x00, 0x0f, 0x05,   //        write(edi, rsi, edx)
    0xb8, 0x22, 0x00, 0x00, 0x00, 0x0f, 0x05,   // again: pause()
    0xeb, 0xf7,                                 //        jmp  again
    0x0a,                                       // line:  a newline
];

/// Writes the program to `file`; it will tell its starts to `fifo`.
pub(crate) fn write(file: &Path, fifo: &Path) -> Result<(), String> {
    let problem = || unable(&format!("write {}", file.display()));
    let mut program = File::create(file).map_err(problem())?;
    program.write_all(&image(fifo)).map_err(problem())?;
    program.set_permissions(Permissions::from_mode(0o755)).map_err(problem())
}

fn image(fifo: &Path) -> Vec<u8> {
    let path = fifo.as_os_str().as_encoded_bytes();
    let size = HEADERS + CODE.len() as u64 + path.len() as u64 + 1;
    let mut image = Vec::new();
    image.extend_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    for half in [2_u16, 62] {
        image.extend_from_slice(&half.to_le_bytes()); // an executable for x86-64
    }
    image.extend_from_slice(&1_u32.to_le_bytes());
    for word in [BASE + HEADERS, 64, 0] {
        image.extend_from_slice(&word.to_le_bytes()); // entry, program headers, no sections
    }
    image.extend_from_slice(&0_u32.to_le_bytes());
    for half in [64_u16, 56, 1, 64, 0, 0] {
        image.extend_from_slice(&half.to_le_bytes());
    }
    for word in [1_u32, 5] {
        image.extend_from_slice(&word.to_le_bytes()); // load it, to be read and executed
    }
    for word in [0, BASE, BASE, size, size, 0x1000] {
        image.extend_from_slice(&word.to_le_bytes());
    }
    image.extend_from_slice(&CODE);
    image.extend_from_slice(path);
    image.push(0);
    image
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fifo::Fifo;

    #[test]
    fn it_tells_when_and_as_what_it_started_and_stays() {
        let directory = tempfile::tempdir().unwrap();
        let mut fifo = Fifo::new(&directory.path().join("fifo")).unwrap();
        let program = directory.path().join("sleeper");
        write(&program, fifo.path()).unwrap();
        let before = sys::clock::now();
        let mut command = std::process::Command::new(&program);
        // A test that fails must not leave it behind.
        let mut child = sys::child::die_with_parent(&mut command).spawn().unwrap();
        let start = fifo.next().unwrap();
        assert_eq!(start.pid.number().unsigned_abs(), child.id());
        assert!(start.at >= before && start.at <= sys::clock::now());
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
