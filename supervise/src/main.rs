//! `supervise`: keeps one service as it is wanted. See supervise(8).

fn main() -> std::process::ExitCode {
    supervise::run(std::env::args_os().skip(1))
}
