use super::*;
use crate::process::wait_for;
use crate::spawn::{Child, Session, Spawn, spawn};
use service::WaitStatus;
use std::io::Read;
use std::os::fd::AsFd;

/// Steps from their texts.
fn steps(texts: &[&str]) -> Vec<service::setup::Step> {
    let mut steps: Vec<_> = texts.iter().map(|text| text.parse().unwrap()).collect();
    service::setup::order(&mut steps);
    steps
}

/// What a shell script prints when it is started with these steps, and what it was started without.
fn run(texts: &[&str], script: &str) -> Result<(String, Vec<Failure>), SpawnError> {
    let prepared = Prepared::new(&steps(texts)).unwrap();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let null = std::fs::File::open("/dev/null").unwrap();
    let words = ["sh", "-c", script].map(|word| CString::new(word).unwrap());
    let Child { pid, without, .. } = spawn(&Spawn {
        descriptors: &[(null.as_fd(), 0), (writer.as_fd(), 1), (writer.as_fd(), 2)],
        session: Session::New,
        directory: Some(c"/"),
        setup: Some(&prepared),
        ..Spawn::new(c"/bin/sh", &words)
    })?;
    drop(writer);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(wait_for(pid), Some(WaitStatus::Exited(0)), "{text}");
    Ok((text, without))
}

fn output(texts: &[&str], script: &str) -> String {
    let (text, without) = run(texts, script).unwrap();
    assert_eq!(without, []);
    text.trim_end().to_owned()
}

/// Whether what takes a privilege can be tested.
fn privileged() -> bool {
    nix::unistd::geteuid().is_root()
}

/// The line of /proc/self/status that begins with `key`.
fn status(texts: &[&str], key: &str) -> String {
    output(texts, &format!("exec sed -n 's/^{key}:[[:space:]]*//p' /proc/self/status"))
}

#[test]
fn numbers_are_those_of_the_child_and_not_ours() {
    let fields = "exec cut -d ' ' -f 19,41 /proc/self/stat";
    let own = output(&[], fields);
    assert_ne!(own, "18 3");
    assert_eq!(output(&["nice 18", "scheduler batch 0"], fields), "18 3");
    assert_eq!(output(&[], fields), own);
    assert_eq!(output(&["oom-score 321"], "cat /proc/self/oom_score_adj"), "321");
    assert_ne!(std::fs::read_to_string("/proc/self/oom_score_adj").unwrap().trim(), "321");
    assert_eq!(output(&["limit nofile 20 30", "umask 23"], "ulimit -Sn; ulimit -Hn; umask"), "20\n30\n0027");
    assert_eq!(output(&["limit core 0 0"], "ulimit -c"), "0");
    assert_eq!(status(&["affinity 0"], "Cpus_allowed_list"), "0");
}

#[test]
fn the_priority_of_io_is_set() {
    // ioprio_get(2) of the child, asked by us while it waits.
    let prepared = Prepared::new(&steps(&["io-priority best-effort 6"])).unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    let words = [CString::new("cat").unwrap()];
    let child = spawn(&Spawn {
        descriptors: &[(reader.as_fd(), 0)],
        setup: Some(&prepared),
        ..Spawn::new(c"/bin/cat", &words)
    })
    .unwrap();
    let priority = call::numbers(libc::SYS_ioprio_get, [1, i64::from(child.pid.number())]).unwrap();
    assert_eq!(priority, 2 << 13 | 6);
    drop((reader, writer));
    assert_eq!(wait_for(child.pid), Some(WaitStatus::Exited(0)));
}

#[test]
fn credentials_and_capabilities_are_exactly_those_asked_for() {
    if !privileged() {
        return;
    }
    let user = "credentials 65534 65533 yes 11 12";
    assert_eq!(output(&[user], "id -u; id -g; id -G"), "65534\n65533\n65533 11 12");
    assert_eq!(status(&[user], "CapEff"), "0000000000000000");
    assert_eq!(status(&["ambient 1024", user], "CapEff"), "0000000000000400");
    assert_eq!(status(&["ambient 1024", user], "CapAmb"), "0000000000000400");
    assert_eq!(status(&["bounding 1025"], "CapBnd"), "0000000000000401");
    assert_eq!(status(&["bounding 1025"], "CapEff"), "0000000000000401");
    assert_eq!(status(&["no-new-privileges"], "NoNewPrivs"), "1");
    assert_eq!(status(&[user], "NoNewPrivs"), "0");
    let own = std::fs::read_to_string("/proc/self/status").unwrap();
    assert!(own.contains("\nNoNewPrivs:\t0\n") && nix::unistd::geteuid().is_root(), "{own}");
    assert_eq!(nix::sys::prctl::get_dumpable(), Ok(true), "our memory is as it was");
}

#[test]
fn the_directory_is_entered_as_the_user() {
    if !privileged() {
        return;
    }
    let place = std::env::temp_dir().join(format!("setup-directory-{}", std::process::id()));
    std::fs::create_dir(&place).unwrap();
    let mode = |mode| std::os::unix::fs::PermissionsExt::from_mode(mode);
    std::fs::set_permissions(&place, mode(0o700)).unwrap();
    let directory = CString::new(place.to_str().unwrap()).unwrap();
    let prepared = Prepared::new(&steps(&["credentials 65534 65534 no"])).unwrap();
    let words = [CString::new("true").unwrap()];
    let started = spawn(&Spawn {
        directory: Some(&directory),
        setup: Some(&prepared),
        ..Spawn::new(c"/bin/true", &words)
    });
    let failure = SpawnError { step: Step::Directory, errno: Errno::EACCES };
    assert_eq!(started.map(|child| child.pid).unwrap_err(), failure);
    std::fs::remove_dir(&place).unwrap();
}

#[test]
fn a_step_that_fails_is_known_by_its_place() {
    let texts = ["umask 0", "working-directory /nonexistent"];
    let failure = SpawnError { step: Step::Setup(1), errno: Errno::ENOENT };
    assert_eq!(run(&texts, "").unwrap_err(), failure);
    // A hard limit beyond what the kernel allows anybody.
    let failure = SpawnError { step: Step::Setup(0), errno: Errno::EINVAL };
    assert_eq!(run(&["limit nofile 9 8"], "").unwrap_err(), failure);
}

#[test]
fn a_lenient_step_that_fails_is_told_of_and_the_rest_is_done() {
    let (text, without) =
        run(&["try-working-directory /nonexistent", "umask 7", "try-limit nofile 9 8"], "umask").unwrap();
    assert_eq!(text, "0007\n");
    let (einval, enoent) = (Errno::EINVAL, Errno::ENOENT);
    assert_eq!(without, [Failure { index: 0, errno: einval }, Failure { index: 1, errno: enoent }]);
    let many = ["try-limit nofile 9 8"; TOLERATED_MAX + 4];
    assert_eq!(run(&many, "true").unwrap().1.len(), TOLERATED_MAX);
}

#[test]
fn what_cannot_be_made_ready_is_refused_before_there_is_a_process() {
    let refused = |text| Prepared::new(&steps(&[text])).unwrap_err();
    let setup = Setup::WorkingDirectory("/a\0b".to_owned());
    let odd = Prepared::new(&[service::setup::Step { setup, lenient: true }]).unwrap_err();
    assert_eq!(odd, Failure { index: 0, errno: Errno::EINVAL });
    assert_eq!(refused("credentials nobody 1 no"), Failure { index: 0, errno: Errno::EINVAL });
    assert_eq!(refused("credentials 4294967295 1 no"), Failure { index: 0, errno: Errno::EINVAL });
}

/// A control group for a test, where there may be one; version 2 may be beside version 1.
fn group(name: &str) -> Option<std::path::PathBuf> {
    let roots = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(std::path::Path::new);
    let root = roots.into_iter().find(|root| root.join("cgroup.controllers").exists())?;
    let place = root.join(format!("spawn-{name}-{}", std::process::id()));
    std::fs::create_dir(&place).ok().map(|()| place)
}

/// The group that a child of this one finds itself in.
fn found_in(place: &std::path::Path) -> String {
    let group = std::fs::File::open(place).unwrap();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let words = ["sh", "-c", "cat /proc/self/cgroup"].map(|word| CString::new(word).unwrap());
    let child = spawn(&Spawn {
        descriptors: &[(writer.as_fd(), 1)],
        cgroup: Some(group.as_fd()),
        ..Spawn::new(c"/bin/sh", &words)
    })
    .unwrap();
    drop(writer);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(wait_for(child.pid), Some(WaitStatus::Exited(0)));
    text.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default().to_owned()
}

#[test]
fn a_child_is_in_its_control_group_also_in_one_whose_processes_were_killed() {
    let Some(place) = group("member") else { return };
    let name = place.file_name().unwrap().to_str().unwrap();
    assert_eq!(found_in(&place), name);
    if std::fs::write(place.join("cgroup.kill"), "1").is_ok() {
        assert_eq!(found_in(&place), name);
    }
    std::fs::remove_dir(&place).unwrap();
}

#[test]
fn a_control_group_that_cannot_be_entered_is_named() {
    let directory = std::fs::File::open("/").unwrap();
    let words = [CString::new("true").unwrap()];
    let started = spawn(&Spawn { cgroup: Some(directory.as_fd()), ..Spawn::new(c"/bin/true", &words) });
    let failure = started.map(|child| child.pid).unwrap_err();
    assert_eq!((failure.step, failure.errno), (Step::Cgroup, Errno::ENOENT));
}
