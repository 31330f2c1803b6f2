//! `svctl-image`: what `svctl image` executes.

use std::process::ExitCode;

fn main() -> ExitCode {
    image::cli::main()
}
