//! `init`: the first process. See init(8).

fn main() -> std::process::ExitCode {
    init::run(std::env::args_os().skip(1))
}
