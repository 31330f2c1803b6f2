//! Places at which the program can be made to die, for tests of what is left behind. Programs that are released have none.

/// Dies here by SIGKILL if the environment says so (`MAINSTAY_IMAGE_FAULT=NAME`).
#[cfg(debug_assertions)]
pub fn point(name: &str) {
    if std::env::var_os("MAINSTAY_IMAGE_FAULT").is_some_and(|wanted| wanted == name) {
        // It cannot fail: a process may always kill itself.
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}

/// Nothing.
#[cfg(not(debug_assertions))]
pub fn point(_: &str) {}
