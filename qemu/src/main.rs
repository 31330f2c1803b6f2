//! Boots an image in QEMU, for people.

use std::process::ExitCode;

fn main() -> ExitCode {
    qemu::cli::main()
}
