//! Calls by other conventions than the processor's own, from programs of a few bytes and from what every Debian has.

use crate::calls::{EPERM, call};
use crate::{forbids, outcome, service};
use std::os::unix::fs::PermissionsExt;
use tests::WaitStatus;

/// A program that asks for its own number by the convention of 32 bits, and exits with success if it gets one.
const ASKS_BY_32_BITS: [u8; 24] = [
    0xb8, 20, 0, 0, 0, // mov eax, getpid
    0xcd, 0x80, // int 0x80
    0x31, 0xff, // xor edi, edi
    0x85, 0xc0, // test eax, eax
    0x7f, 0x02, // jg over the next
    0xff, 0xc7, // inc edi
    0xb8, 60, 0, 0, 0, // mov eax, exit
    0x0f, 0x05, // syscall
    0x0f, 0x0b, // ud2
];

/// An executable of 64 bits that is nothing but this code (elf(5)).
fn executable(code: &[u8]) -> Vec<u8> {
    let (base, headers) = (0x40_0000_u64, 120_u64);
    let mut file = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for half in [2_u16, 62] {
        file.extend(half.to_le_bytes());
    }
    file.extend(1_u32.to_le_bytes());
    for word in [base + headers, 64, 0] {
        file.extend(word.to_le_bytes());
    }
    file.extend(0_u32.to_le_bytes());
    for half in [64_u16, 56, 1, 0, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    for half in [1_u32, 5] {
        file.extend(half.to_le_bytes());
    }
    let length = headers + code.len() as u64;
    for word in [0, base, base, length, length, 4096] {
        file.extend(word.to_le_bytes());
    }
    file.extend(code);
    file
}

#[test]
#[cfg(target_arch = "x86_64")]
fn calls_by_the_convention_of_32_bits_end_the_process() {
    let program = std::env::temp_dir().join(format!("asks-32-{}", std::process::id()));
    std::fs::write(&program, executable(&ASKS_BY_32_BITS)).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let ended = |settings| {
        let service = service(settings, &format!("exec {}", program.display())).start();
        service.wait_for("it has ended", |status| status.last_exit.is_some()).last_exit.unwrap()
    };
    let without = ended("");
    if without == WaitStatus::Exited(0) {
        let with = ended("system-calls = [\"@service\"]");
        assert!(matches!(with, WaitStatus::Signalled { signal, .. } if signal.number() == 31), "{with}");
    } else {
        eprintln!("skipped: this kernel has no calls of 32 bits ({without})");
    }
    std::fs::remove_file(program).unwrap();
}

#[test]
#[cfg(target_arch = "x86_64")]
fn calls_by_the_convention_of_x32_are_refused_before_the_kernel_is_asked() {
    // getpid: a kernel that has no such convention says that there is no such call.
    let getpid = call("0x40000000 + 39");
    let without = outcome("", &getpid);
    assert!(["38", "done"].contains(&without.as_str()), "{without}");
    forbids("system-calls = [\"@service\"]", &getpid, EPERM, &without);
    forbids("address-families = [\"unix\"]", &getpid, EPERM, &without);
}

#[test]
fn clone3_whose_flags_no_filter_sees_is_not_there_where_namespaces_are_denied() {
    // struct clone_args, in which only the signal of the child's end is set; the child does nothing.
    let script = "exec perl -e '$| = 1; $a = pack(\"Q11\", 0, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0); $r = syscall(435, $a, 88); \
                  exec \"true\" if $r == 0; print \"> \", ($r < 0 ? $!+0 : \"done\"), \"\\n\"'";
    forbids("deny = [\"namespaces\"]", script, "38", "done");
}
