//! What the program does with what no agent sends: it says so, ends with 1, and nothing has been done.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;
use tests::protobuf::{encode, framed};

/// A place with a program in `svctl`'s stead that leaves a mark.
struct Place(TempDir);

impl Place {
    fn new() -> Place {
        let place = Place(tempfile::tempdir().unwrap());
        std::fs::write(place.path("svctl"), "#!/bin/sh\necho called >>\"${0%/*}/mark\"\nexit 111\n").unwrap();
        std::fs::set_permissions(place.path("svctl"), std::fs::Permissions::from_mode(0o755)).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_external-containerizer"));
        command.arg(verb).env("EXTERNAL_CONTAINERIZER_SVCTL", self.path("svctl"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn given(&self, verb: &str, bytes: &[u8]) -> Output {
        let mut child = self.command(verb).spawn().unwrap();
        // Whoever has said no need not have read it all.
        let _ = child.stdin.take().unwrap().write_all(bytes);
        child.wait_with_output().unwrap()
    }

    /// Nothing was asked of anybody; and this was said.
    fn refuses(&self, verb: &str, bytes: &[u8], told: &str) {
        let done = self.given(verb, bytes);
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(1), "{verb}: {said}");
        assert!(said.starts_with("external-containerizer") && said.contains(told), "{verb}: {said}");
        assert_eq!(done.stdout, b"", "{verb}");
        assert!(!self.path("mark").exists(), "{verb}: something was done: {said}");
    }
}

const READING: [&str; 5] = ["launch", "wait", "update", "usage", "destroy"];

#[test]
fn input_that_is_no_message_is_refused_before_anything_is_done() {
    let place = Place::new();
    let id = encode("Wait", "container_id { value: \"c\" }");
    for verb in READING {
        place.refuses(verb, b"", "unable to read the message: it ends before its length");
        place.refuses(verb, b"\x05\0\0", "it ends before its length");
        place.refuses(verb, &framed(&id)[..6], "it ends after 2 of 5 bytes");
        place.refuses(verb, &u32::MAX.to_ne_bytes(), "of 67108864 that it may have");
        place.refuses(verb, &[framed(&id).as_slice(), b"x"].concat(), "something follows it");
        place.refuses(verb, &framed(b"\xff\xff\xff"), "unable to understand the");
        place.refuses(
            verb,
            &framed(b"\x0a\x03\x0a\x09c"),
            "unable to understand the message: it ends within",
        );
        place.refuses(verb, &framed(b""), "container_id is missing");
        place.refuses(verb, &framed(b"\x0a\0"), "container_id.value is missing");
        place.refuses(verb, &framed(b"\x0a\x03\x0a\x01\xff"), "it has a string that is not UTF-8");
    }
    place.refuses("launch", &framed(&id), "external-containerizer c: unable to launch: no directory is said");
}

#[test]
fn a_launch_that_cannot_be_done_makes_no_file() {
    let place = Place::new();
    let sandbox = place.path("sandbox");
    std::fs::create_dir(&sandbox).unwrap();
    let launch = |command: &str, directory: &str| {
        let text = format!(
            "container_id {{ value: \"c\" }} directory: {directory:?} \
             executor_info {{ executor_id {{ value: \"e\" }} command {{ {command} }} }}"
        );
        framed(&encode("Launch", &text))
    };
    let directory = sandbox.to_str().unwrap();
    let options = "value: \"v\" container { image: \"i\" options: \"-p\" }";
    place.refuses("launch", &launch(options, directory), "\"-p\" is not known");
    assert_eq!(std::fs::read_dir(&sandbox).unwrap().count(), 0);
}

#[test]
fn a_link_in_the_sandbox_is_not_written_through() {
    let place = Place::new();
    let sandbox = place.path("sandbox");
    std::fs::create_dir(&sandbox).unwrap();
    std::os::unix::fs::symlink(place.path("victim"), sandbox.join("stderr")).unwrap();
    std::fs::write(
        place.path("svctl"),
        "#!/bin/sh\n[ \"$1\" = containers ] || echo $1 >>\"${0%/*}/mark\"\necho '[]'\n",
    )
    .unwrap();
    let text = format!(
        "container_id {{ value: \"c\" }} directory: {:?} \
         executor_info {{ executor_id {{ value: \"e\" }} command {{ value: \"v\" }} }}",
        sandbox.to_str().unwrap()
    );
    place.refuses("launch", &framed(&encode("Launch", &text)), "unable to open ");
    assert!(!place.path("victim").exists());
}

#[test]
fn nothing_is_asked_for_an_answer_that_nobody_reads() {
    let place = Place::new();
    let id = framed(&encode("Wait", "container_id { value: \"c\" }"));
    for verb in ["wait", "usage", "containers"] {
        // A pipe without a reader, and a descriptor that is closed.
        let shell = format!("exec \"$0\" {verb} >&-");
        let mut closed = Command::new("/bin/sh");
        closed.args(["-c", &shell, env!("CARGO_BIN_EXE_external-containerizer")]);
        closed.env("EXTERNAL_CONTAINERIZER_SVCTL", place.path("svctl"));
        closed.stdin(Stdio::piped()).stderr(Stdio::piped());
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut piped = place.command(verb);
        piped.stdout(writer);
        for mut command in [closed, piped] {
            let mut child = command.spawn().unwrap();
            let _ = child.stdin.take().unwrap().write_all(&id);
            let done = child.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&done.stderr);
            assert_eq!(done.status.code(), Some(1), "{verb}: {said}");
            assert!(said.contains("nobody can read it"), "{verb}: {said}");
        }
    }
    assert!(!place.path("mark").exists());
}

#[test]
fn input_that_is_closed_is_no_message() {
    let place = Place::new();
    let done = Command::new("/bin/sh")
        .args(["-c", "exec \"$0\" launch <&-", env!("CARGO_BIN_EXE_external-containerizer")])
        .env("EXTERNAL_CONTAINERIZER_SVCTL", place.path("svctl"))
        .output()
        .unwrap();
    assert_eq!(done.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&done.stderr).contains("it ends before its length"));
}

#[test]
fn a_verb_that_there_is_not_is_an_error_and_help_is_none() {
    let place = Place::new();
    place.refuses("lunch", b"", "there is no verb \"lunch\"");
    let help = place.given("--help", b"");
    assert!(help.status.success());
    let help = String::from_utf8(help.stdout).unwrap();
    for verb in READING {
        assert!(help.contains(verb), "{help}");
    }
}
