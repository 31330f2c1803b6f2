use super::*;
use crate::process::wait_for;
use nix::errno::Errno;
use service::WaitStatus;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};

fn strings(words: &[&str]) -> Vec<CString> {
    words.iter().map(|word| CString::new(*word).unwrap()).collect()
}

pub(super) fn run(
    words: &[&str],
    directory: Option<&CStr>,
    session: Session,
) -> Result<(String, WaitStatus), SpawnError> {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let (program, arguments) = (CString::new(words[0]).unwrap(), strings(words));
    let null = std::fs::File::open("/dev/null").unwrap();
    let child = spawn(&Spawn {
        environment: &strings(&["COLOUR=blue"]),
        directory,
        descriptors: &[(null.as_fd(), 0), (writer.as_fd(), 1), (writer.as_fd(), 2)],
        session,
        ..Spawn::new(&program, &arguments)
    })?;
    drop(writer);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    Ok((text, wait_for(child.pid).unwrap()))
}

#[test]
fn a_child_gets_its_arguments_environment_and_directory() {
    let script = "echo $0 $1 $COLOUR; pwd; exit 3";
    let (text, status) =
        run(&["/bin/sh", "-c", script, "zero", "one"], Some(c"/usr"), Session::Ours).unwrap();
    assert_eq!(text, "zero one blue\n/usr\n");
    assert_eq!(status, WaitStatus::Exited(3));
}

#[test]
fn a_failure_names_its_step_and_reason() {
    let failure = |result: Result<_, SpawnError>| result.unwrap_err();
    assert_eq!(
        failure(run(&["/nonexistent/program"], None, Session::Ours)),
        SpawnError { step: Step::Execute, errno: Errno::ENOENT }
    );
    assert_eq!(
        failure(run(&["/bin/sh"], Some(c"/nonexistent"), Session::Ours)).to_string(),
        "unable to enter the directory: No such file or directory"
    );
    assert_eq!(failure(run(&["/etc/passwd"], None, Session::Ours)).errno, Errno::EACCES);
}

#[test]
fn a_child_starts_with_no_signal_blocked_or_ignored() {
    crate::signals::restore_defaults();
    let _blocked = crate::signals::Signals::block(&[service::Signal::USR1]).unwrap();
    // Without exec the shell, which blocks signals while it forks, would read its own.
    let script = "exec grep -E 'Sig(Blk|Ign)' /proc/self/status";
    let (text, _) = run(&["/bin/sh", "-c", script], None, Session::Ours).unwrap();
    let zero = "0000000000000000";
    assert_eq!(text, format!("SigBlk:\t{zero}\nSigIgn:\t{zero}\n"));
}

#[test]
fn a_session_is_led_by_the_child_itself() {
    let (text, _) = run(&["/bin/sh", "-c", "cut -d' ' -f1,5,6 /proc/$$/stat"], None, Session::New).unwrap();
    let numbers: Vec<&str> = text.split_whitespace().collect();
    assert!(numbers.iter().all(|number| *number == numbers[0]), "{text}");
}

#[test]
fn no_descriptor_leaks_into_a_child() {
    let _kept = std::fs::File::open("/dev/zero").unwrap();
    let (text, _) = run(&["/bin/sh", "-c", "ls -l /proc/$$/fd"], None, Session::Ours).unwrap();
    assert!(text.contains("pipe:") && !text.contains("/dev/zero") && !text.contains("pidfd"), "{text}");
}

#[test]
fn descriptors_can_be_swapped() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let null = std::fs::File::open("/dev/null").unwrap();
    let child = spawn(&Spawn {
        descriptors: &[(null.as_fd(), 3), (writer.as_fd(), 9), (null.as_fd(), 0)],
        ..Spawn::new(c"/bin/sh", &strings(&["sh", "-c", "echo high >&9; cat <&3"]))
    })
    .unwrap();
    drop(writer);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "high\n");
    assert_eq!(wait_for(child.pid), Some(WaitStatus::Exited(0)));
}

#[test]
fn a_child_can_be_told_its_own_number() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let child = spawn(&Spawn {
        environment: &strings(&["COLOUR=blue"]),
        descriptors: &[(writer.as_fd(), 1)],
        own_number: &[c"LISTEN_PID="],
        ..Spawn::new(c"/bin/sh", &strings(&["sh", "-c", "echo $LISTEN_PID $COLOUR"]))
    })
    .unwrap();
    drop(writer);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, format!("{} blue\n", child.pid));
    assert_eq!(wait_for(child.pid), Some(WaitStatus::Exited(0)));
}

#[test]
fn a_child_can_lead_a_process_group_of_our_session() {
    let script = "cut -d' ' -f1,5,6 /proc/$$/stat";
    let (text, _) = run(&["/bin/sh", "-c", script], None, Session::Foreground).unwrap();
    let numbers: Vec<&str> = text.split_whitespace().collect();
    let ours = nix::unistd::getsid(None).unwrap().to_string();
    assert!(numbers[0] == numbers[1] && numbers[2] == ours, "{text}");
}

#[test]
fn the_first_process_of_a_new_namespace_puts_down_its_number_outside_and_knows_its_parent() {
    let path = std::env::temp_dir().join(format!("spawn-namespace-{}", std::process::id()));
    let record = crate::record::open(&path, "b").unwrap();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let started = spawn(&Spawn {
        descriptors: &[(writer.as_fd(), 1)],
        session: Session::New,
        namespaces: &[Namespace::Pid],
        record: Some(Record { file: record.as_fd(), slot: crate::record::Slot::Main }),
        ..Spawn::new(c"/bin/sh", &strings(&["sh", "-c", "echo $$"]))
    });
    drop(writer);
    match started {
        Ok(child) => {
            let mut text = String::new();
            reader.read_to_string(&mut text).unwrap();
            assert_eq!(text, "1\n");
            assert_eq!(
                crate::record::read(&path, crate::record::Slot::Main).map(|(pid, _)| pid),
                Some(child.pid)
            );
            assert_eq!(wait_for(child.pid), Some(WaitStatus::Exited(0)));
        }
        // It takes a privilege, which not everybody has who tests.
        Err(failure) => assert_eq!((failure.step, failure.errno), (Step::Namespace, Errno::EPERM)),
    }
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_child_is_recorded_although_its_descriptors_take_the_places_of_ours() {
    let path = std::env::temp_dir().join(format!("spawn-record-{}", std::process::id()));
    let record = crate::record::open(&path, "b").unwrap();
    let null = std::fs::File::open("/dev/null").unwrap();
    let every: Vec<(BorrowedFd<'_>, i32)> = (0..64).map(|number| (null.as_fd(), number)).collect();
    let start = |program| {
        spawn(&Spawn {
            descriptors: &every,
            session: Session::New,
            record: Some(Record { file: record.as_fd(), slot: crate::record::Slot::Main }),
            ..Spawn::new(program, &strings(&["true"]))
        })
    };
    let recorded = || crate::record::read(&path, crate::record::Slot::Main).map(|(pid, _)| pid);
    let child = start(c"/bin/true").unwrap();
    assert_eq!(recorded(), Some(child.pid));
    assert_eq!(wait_for(child.pid), Some(WaitStatus::Exited(0)));
    assert_eq!(start(c"/none").unwrap_err().step, Step::Execute);
    assert_eq!(recorded(), None);
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_program_that_is_not_there_may_be_looked_for_elsewhere() {
    let start = |others: &[&str]| {
        let (others, words) = (strings(others), strings(&["true"]));
        spawn(&Spawn { otherwise: &others, ..Spawn::new(c"/nonexistent/true", &words) })
    };
    let child = start(&["/etc/passwd/true", "/etc/passwd", "/bin/true", "/bin/false"]).unwrap();
    assert_eq!(wait_for(child.pid), Some(WaitStatus::Exited(0)));
    let failure = |errno| SpawnError { step: Step::Execute, errno };
    assert_eq!(start(&["/etc/passwd", "/none"]).map(|child| child.pid).unwrap_err(), failure(Errno::EACCES));
    assert_eq!(start(&["/none"]).map(|child| child.pid).unwrap_err(), failure(Errno::ENOENT));
}
