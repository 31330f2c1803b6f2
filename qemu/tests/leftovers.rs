//! Nothing outlives a machine: no process and no file, however its owner ends.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot watch its processes has failed"
)]

mod tiny;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::fd::{AsFd as _, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use qemu::{Error, Machine};
use tiny::Tiny;

const LONG: Duration = Duration::from_secs(60);

/// The command at the console of a guest that is up, and the pid of its qemu.
fn runner(tiny: &Tiny) -> (Child, i32) {
    let mut runner = Command::new(env!("CARGO_BIN_EXE_qemu"))
        .args(["run", "--ports", "free", "--image"])
        .arg(tiny.image())
        .env("TMPDIR", tiny.scratch())
        .env("HOME", tiny.scratch())
        .current_dir(tiny.scratch())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let console = BufReader::new(runner.stdout.take().unwrap());
    assert!(console.lines().any(|line| line.unwrap().contains("init: startup complete")));
    let qemu = child_of(runner.id()).expect("qemu is a child of the command");
    (runner, qemu)
}

fn child_of(parent: u32) -> Option<i32> {
    let pids = fs::read_dir("/proc").unwrap().flatten();
    let mut pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.find(|pid| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.lines().any(|line| line.strip_prefix("PPid:\t") == Some(parent.to_string().as_str()))
    })
}

/// Ended and reaped.
fn is_gone(pid: i32) -> bool {
    kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH)
}

/// A descriptor that becomes readable when the process ends, whoever its parent is by then.
fn watch(pid: i32) -> OwnedFd {
    sys::process::open(service::Pid::new(pid).unwrap()).unwrap()
}

fn wait_until_ended(process: &OwnedFd) {
    let mut fds = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
    assert_eq!(poll(&mut fds, PollTimeout::from(60_000_u16)), Ok(1), "the process is still there");
}

#[test]
fn a_command_that_is_killed_takes_qemu_with_it_and_leaves_no_file() {
    let tiny = Tiny::new();
    let before = tiny.files();
    let (mut runner, qemu) = runner(&tiny);
    let ended = watch(qemu);
    runner.kill().unwrap();
    runner.wait().unwrap();
    wait_until_ended(&ended);
    assert_eq!(tiny.files(), before);
}

#[test]
fn a_command_that_is_interrupted_ends_qemu_first_and_says_so_with_its_status() {
    for (signal, status) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143), (Signal::SIGHUP, 129)] {
        let tiny = Tiny::new();
        let before = tiny.files();
        let (mut runner, qemu) = runner(&tiny);
        kill(Pid::from_raw(i32::try_from(runner.id()).unwrap()), signal).unwrap();
        assert_eq!(runner.wait().unwrap().code(), Some(status));
        assert!(is_gone(qemu), "the command waits for qemu's end");
        assert_eq!(tiny.files(), before);
    }
}

#[test]
fn a_machine_in_a_test_that_panics_is_gone() -> Result<(), Error> {
    let tiny = Tiny::new();
    let machine = Machine::builder(tiny.image()).accelerator(qemu::Accelerator::Emulation).boot()?;
    machine.wait_until_up(LONG)?;
    let qemu = machine.pid();
    let test = AssertUnwindSafe(move || {
        let _machine = machine;
        std::panic::resume_unwind(Box::new("a failed assertion"));
    });
    assert!(catch_unwind(test).is_err());
    assert!(is_gone(qemu));
    Ok(())
}

#[test]
fn a_machine_outlives_the_thread_that_booted_it() -> Result<(), Error> {
    let tiny = Tiny::new();
    let machine = thread::scope(|scope| {
        let boot = || Machine::builder(tiny.image()).accelerator(qemu::Accelerator::Emulation).boot();
        scope.spawn(boot).join().unwrap()
    })?;
    machine.wait_until_up(LONG)?;
    machine.console().send_line("p")?;
    machine.power_off()?;
    Ok(())
}
