//! A guest of 67 bytes: it shows what a machine does without an image, a kernel or a package.
//!
//! It says that it is up, echoes what is typed, and does as a kernel does on `p` (power off) and `r` (reset).

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot make its guest has failed"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Starts 0x80 bytes into the second sector, where nothing of the boot protocol's header is left.
#[rustfmt::skip]
const PROGRAM: [u8; 67] = [
    0x8c, 0xc8, 0x8e, 0xd8, 0xfc, // ds = cs; cld
    0xbe, 0xe0, 0x00, 0xe8, 0x2c, 0x00, // si = 0xe0; call puts
    0xfb, 0xf4, // next: sti; hlt, until the next tick
    0xba, 0xfd, 0x03, 0xec, 0xa8, 0x01, 0x74, 0xf6, // no byte from the serial line: next
    0xb2, 0xf8, 0xec, // read it
    0x3c, 0x70, 0x74, 0x07, // 'p': off
    0x3c, 0x72, 0x74, 0x10, // 'r': reset
    0xee, 0xeb, 0xea, // echo it; look again
    0xbe, 0x20, 0x01, 0xe8, 0x0e, 0x00, // off: si = 0x120; call puts
    0xba, 0x04, 0x06, 0xb8, 0x00, 0x20, 0xef, // the ACPI register for power-off
    0xb0, 0xfe, 0xe6, 0x64, // reset: through the keyboard controller
    0xf4, 0xeb, 0xfd, // hlt, for ever
    0xba, 0xf8, 0x03, // puts: the serial line
    0xac, 0x84, 0xc0, 0x74, 0x03, 0xee, 0xeb, 0xf8, // each byte until a zero
    0xc3, // return
];
const UP: (usize, &[u8]) = (0xe0, b"tiny: hello\r\ninit: startup complete: 0 of 0 services up\r\n\0");
const DOWN: (usize, &[u8]) = (0x120, b"reboot: Power down\r\n\0");

/// An image directory, and an empty one beside it for temporary files; both are removed with this.
pub(crate) struct Tiny {
    root: PathBuf,
}

impl Tiny {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let root = std::env::temp_dir().join(format!("qemu-test-{}-{count}", std::process::id()));
        let tiny = Self { root };
        fs::create_dir_all(tiny.image()).unwrap();
        fs::create_dir_all(tiny.scratch()).unwrap();
        fs::write(tiny.image().join("vmlinuz"), kernel()).unwrap();
        fs::write(tiny.image().join("initramfs"), [0; 512]).unwrap();
        tiny
    }

    pub(crate) fn image(&self) -> PathBuf {
        self.root.join("image")
    }

    pub(crate) fn scratch(&self) -> PathBuf {
        self.root.join("scratch")
    }

    /// Every file under the two directories.
    #[allow(dead_code, reason = "not every test that uses this module counts files")]
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        collect(&self.root, &mut files);
        files.sort();
        files
    }
}

impl Drop for Tiny {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { collect(&path, files) } else { files.push(path) }
    }
}

/// A kernel as the x86 boot protocol has it: one sector of real-mode code after the first, then the rest.
fn kernel() -> Vec<u8> {
    const SECTOR: usize = 512;
    let mut kernel = vec![0; 4 * SECTOR];
    let mut put = |at: usize, bytes: &[u8]| kernel[at..at + bytes.len()].copy_from_slice(bytes);
    put(0x1f1, &[1]); // sectors of real-mode code
    put(0x1fe, &[0x55, 0xaa]);
    put(SECTOR, &[0xeb, 0x7e]); // jump to the program
    put(0x202, b"HdrS");
    put(0x206, &[0x06, 0x02]); // protocol 2.06
    put(0x211, &[1]); // the rest is loaded high
    put(0x22c, &[0xff, 0xff, 0xff, 0x37]); // how high the initramfs may lie
    put(SECTOR + 0x80, &PROGRAM);
    put(SECTOR + UP.0, UP.1);
    put(SECTOR + DOWN.0, DOWN.1);
    kernel
}
