//! The command for people: what it says and which status it ends with.

mod tiny;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, Output, Stdio};

use tiny::Tiny;

fn qemu(tiny: &Tiny, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qemu"));
    command.args(["run", "--image"]).arg(tiny.image()).args(arguments).stdin(Stdio::null());
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn at_the_console_keys_reach_the_guest_and_a_power_off_is_a_success() {
    let tiny = Tiny::new();
    let log = tiny.scratch().join("console.log");
    let mut command = qemu(&tiny, &["--ports", "free", "--log", log.to_str().unwrap()]);
    let mut runner =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut console = String::new();
    runner.stdin.take().unwrap().write_all(b"abc p").unwrap();
    runner.stdout.take().unwrap().read_to_string(&mut console).unwrap();
    let output = runner.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(console.contains("tiny: hello") && console.contains("abc "), "{console}");
    assert!(console.ends_with("reboot: Power down\r\n"), "{console}");
    assert!(stderr(&output).contains("the guest powered off cleanly"), "{}", stderr(&output));
    assert_eq!(std::fs::read_to_string(log).unwrap(), console);
}

#[test]
fn a_command_for_a_guest_without_ssh_gives_up_and_shows_where_it_stands() {
    let tiny = Tiny::new();
    let key = tiny.image().join("vmlinuz");
    let key = key.to_str().unwrap();
    let output = qemu(&tiny, &["--ports", "free", "--timeout", "3", "--ssh-key", key, "--cmd", "true"])
        .output()
        .unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(121), "{said}");
    assert!(said.contains("ssh on 127.0.0.1:") && said.contains("did not come within"), "{said}");
    assert!(said.contains("| init: startup complete: 0 of 0 services up"), "{said}");
    assert!(said.contains("the guest does not answer over ssh"), "{said}");
}

#[test]
fn a_port_in_use_is_named_with_its_holder_before_anything_starts() {
    let tiny = Tiny::new();
    let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = held.local_addr().unwrap().port();
    let output = qemu(&tiny, &["--ports", &format!("free,9100={port}")]).output().unwrap();
    assert_eq!(output.status.code(), Some(122));
    let said = stderr(&output);
    assert!(said.contains(&format!("unable to forward port {port}")), "{said}");
    assert!(said.contains(&format!("(pid {})", std::process::id())), "{said}");
    assert!(said.contains("--ports 9100=free"), "{said}");
}

#[test]
fn a_wrong_command_line_and_a_missing_image_have_statuses_of_their_own() {
    let tiny = Tiny::new();
    assert_eq!(qemu(&tiny, &["--ports", "2222"]).output().unwrap().status.code(), Some(100));
    std::fs::remove_file(tiny.image().join("vmlinuz")).unwrap();
    let output = qemu(&tiny, &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(122));
    assert!(stderr(&output).contains("it holds no vmlinuz"), "{}", stderr(&output));
}
