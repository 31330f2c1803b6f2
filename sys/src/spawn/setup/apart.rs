//! Tests of the steps that need namespaces, and of those that restrict. They take privileges, or a kernel that gives
//! everybody user namespaces.

use super::*;
use crate::process::wait_for;
use crate::spawn::{Child, Maps, Session, Spawn, spawn};
use service::setup::Namespace;
use std::io::Read;
use std::os::fd::AsFd;

/// What a shell script prints in these namespaces, or why it was not started; and what it was started without.
fn run(
    kinds: &[Namespace],
    maps: Option<&Maps>,
    texts: &[&str],
    script: &str,
) -> Result<(String, Vec<Failure>), SpawnError> {
    let mut steps: Vec<service::setup::Step> = texts.iter().map(|text| text.parse().unwrap()).collect();
    service::setup::order(&mut steps);
    let prepared = Prepared::new(&steps).unwrap();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let null = std::fs::File::open("/dev/null").unwrap();
    let words = ["sh", "-c", script].map(|word| CString::new(word).unwrap());
    let Child { pid, without, .. } = spawn(&Spawn {
        environment: &[CString::new("PATH=/usr/sbin:/usr/bin:/sbin:/bin").unwrap()],
        descriptors: &[(null.as_fd(), 0), (writer.as_fd(), 1), (writer.as_fd(), 2)],
        session: Session::New,
        directory: Some(c"/"),
        namespaces: kinds,
        users: maps,
        setup: Some(&prepared),
        ..Spawn::new(c"/bin/sh", &words)
    })?;
    drop(writer);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    let _ = wait_for(pid);
    Ok((text, without))
}

fn mounts(texts: &[&str], script: &str) -> String {
    let mut all = vec!["propagation yes"];
    all.extend(texts);
    let (text, without) = run(&[Namespace::Mount], None, &all, script).unwrap();
    assert_eq!(without, []);
    text
}

fn privileged() -> bool {
    nix::unistd::geteuid().is_root()
}

/// A directory of this test's own, with what it is given.
struct Place(std::path::PathBuf);

impl Place {
    fn new(name: &str, files: &[&str]) -> Place {
        let place = std::env::temp_dir().join(format!("apart-{name}-{}", std::process::id()));
        for file in files {
            let file = place.join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, "secret\n").unwrap();
        }
        Place(place)
    }

    fn text(&self, text: &str) -> String {
        text.replace("@T", self.0.to_str().unwrap())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn a_restricted_place_cannot_be_written_to_but_for_its_exceptions() {
    if !privileged() {
        return;
    }
    let place = Place::new("remount", &["a/f", "a/b/f", "c/f"]);
    let script = place.text("for f in a/f a/b/f c/f; do echo x 2>/dev/null >@T/$f && echo $f; done");
    assert_eq!(mounts(&[], &script), "a/f\na/b/f\nc/f\n");
    let step = place.text("remount @T/a r no no @T/a/b -@T/a/none");
    assert_eq!(mounts(&[&step], &script), "a/b/f\nc/f\n");
    // All that there is, and what is mounted below.
    let step = place.text("remount / r yes no @T/c");
    assert_eq!(mounts(&[&step], &script), "c/f\n");
    let (below, all) = (place.text("mount tmpfs tmpfs @T/a % mode=755"), place.text("remount / r yes no"));
    let made = place.text("mount tmpfs tmpfs @T/c % mode=755");
    assert_eq!(
        mounts(&[&made, &below, &all], &place.text("echo x 2>/dev/null >@T/c/new || echo no")),
        "no\n"
    );
    assert_eq!(mounts(&[&place.text("remount @T/none r no yes")], "echo on"), "on\n");
    let failed = run(&[Namespace::Mount], None, &[&place.text("remount @T/none r no no")], "").unwrap_err();
    assert_eq!(failed, SpawnError { step: Step::Setup(0), errno: Errno::ENOENT });
    assert!(std::fs::write(place.0.join("a/f"), "ours").is_ok(), "nothing has changed outside");
}

#[test]
fn what_is_hidden_cannot_be_looked_into_even_by_root() {
    if !privileged() {
        return;
    }
    let place = Place::new("hide", &["d/f", "f"]);
    let script =
        place.text("ls @T/d; cat @T/f 2>/dev/null || echo none; echo x 2>/dev/null >@T/d/g || echo no");
    assert_eq!(mounts(&[], &script), "f\nsecret\n");
    let (directory, file) = (place.text("hide @T/d no"), place.text("hide @T/f no"));
    assert_eq!(mounts(&[&directory, &file], &script), "none\nno\n");
    assert_eq!(mounts(&[&place.text("hide @T/none yes")], "echo on"), "on\n");
    assert!(place.0.join("d/f").exists());
}

#[test]
fn a_tree_is_made_of_directories_files_links_binds_and_mounts_and_becomes_the_root() {
    if !privileged() {
        return;
    }
    let place = Place::new("root", &["shown/f"]);
    std::fs::create_dir(place.0.join("r")).unwrap();
    let steps = [
        "mount tmpfs tmpfs @T/r % mode=755",
        "directory @T/r/deep/er 448",
        "directory @T/r/s 493",
        "file @T/r/file 384",
        "link @T/r/link file",
        "bind @T/shown @T/r/s no r no",
        "bind @T/none @T/r/s no % yes",
        "directory @T/r/old 493",
        "bind / @T/r/old yes % no",
    ];
    let mut steps: Vec<String> = steps.iter().map(|text| place.text(text)).collect();
    for directory in
        ["bin", "lib", "lib64", "usr"].iter().filter(|name| std::path::Path::new("/").join(name).exists())
    {
        steps.push(place.text(&format!("directory @T/r/{directory} 493")));
        steps.push(place.text(&format!("bind /{directory} @T/r/{directory} yes % no")));
    }
    steps.push(place.text("root @T/r"));
    let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
    let script = "stat -c '%a %F' /deep /deep/er /file; readlink /link; cat /s/f; echo x 2>&- >/s/f || echo no; \
                  pwd; ls -d /tmp 2>&- || echo gone";
    let expected = "755 directory\n700 directory\n600 regular empty file\nfile\nsecret\nno\n/\ngone\n";
    assert_eq!(mounts(&steps, script), expected);
}

#[test]
fn a_network_of_its_own_has_a_loopback_interface_that_is_up() {
    if !privileged() {
        return;
    }
    let apart = |texts: &[&str]| {
        run(
            &[Namespace::Network],
            None,
            texts,
            "cat /proc/net/fib_trie | grep -c 127.0.0.1; wc -l < /proc/net/dev",
        )
        .unwrap()
        .0
    };
    assert_eq!(apart(&[]), "0\n3\n", "there is nothing but the loopback interface, and it is down");
    assert!(apart(&["loopback"]).starts_with(|up: char| up != '0'));
}

#[test]
fn a_host_name_of_its_own_is_not_ours() {
    if !privileged() {
        return;
    }
    let own = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let (text, _) =
        run(&[Namespace::Uts], None, &["hostname another"], "cat /proc/sys/kernel/hostname").unwrap();
    assert_eq!(text, "another\n");
    assert_eq!(std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap(), own);
}

#[test]
fn a_namespace_that_is_there_can_be_entered() {
    if !privileged() {
        return;
    }
    let own = nix::fcntl::readlink("/proc/self/ns/net").unwrap().into_string().unwrap();
    let join = format!("join network /proc/{}/ns/net", std::process::id());
    let (text, _) = run(&[Namespace::Network], None, &[&join], "readlink /proc/self/ns/net").unwrap();
    assert_eq!(text.trim(), own);
    let failed = run(&[], None, &["join network /nonexistent"], "").unwrap_err();
    assert_eq!(failed, SpawnError { step: Step::Setup(0), errno: Errno::ENOENT });
}

#[test]
fn users_of_its_own_are_mapped_before_anything_is_done() {
    let (user, group) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    let map = Maps {
        users: format!("0 {user} 1\n"),
        groups: format!("0 {group} 1\n"),
        keep_groups: user != 0,
        ..Maps::default()
    };
    let kinds = [Namespace::User, Namespace::Mount, Namespace::Pid, Namespace::Uts];
    let script = "id -u; id -g; echo $$; cat /proc/self/uid_map | tr -s ' '; cat /proc/sys/kernel/hostname";
    let steps = ["hostname inner", "mount proc proc /proc sdx %"];
    match run(&kinds, Some(&map), &steps, script) {
        Ok((text, _)) => assert_eq!(text, format!("0\n0\n1\n 0 {user} 1\ninner\n")),
        // Not every kernel lets everybody.
        Err(failure) => assert!(user != 0 && failure.step == Step::Namespace, "{failure:?}"),
    }
    if user == 0 {
        let far = Maps {
            users: "0 100000 65536\n".to_owned(),
            groups: "0 100000 65536\n".to_owned(),
            keep_groups: false,
            strange_user: true,
            strange_group: true,
        };
        let steps = ["propagation no", "mount tmpfs tmpfs /tmp % mode=1777", "credentials 33 33 no"];
        let script = "id -u; touch /tmp/x; stat -c %u /tmp/x; sleep 0; kill -0 1 2>/dev/null || echo alone";
        let (text, _) = run(&[Namespace::User, Namespace::Mount], Some(&far), &steps, script).unwrap();
        assert_eq!(text, "33\n33\nalone\n");
    }
    let wrong = Maps { users: "0 0\n".to_owned(), ..map };
    let failure = run(&[Namespace::User], Some(&wrong), &[], "").unwrap_err();
    assert_eq!((failure.step, failure.errno), (Step::Users, Errno::EINVAL));
    // The helpers have all been reaped.
    // SAFETY: there is nothing to wait for, and nothing is written.
    let none = unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG | libc::__WCLONE) };
    assert_eq!((none, Errno::last()), (-1, Errno::ECHILD));
}

/// Whether the kernel has landlock, of this version at least.
fn landlock(version: i64) -> bool {
    call::numbers(libc::SYS_landlock_create_ruleset, [0, 0, 1]).is_ok_and(|found| found >= version)
}

#[test]
fn landlock_grants_what_it_is_told_and_nothing_else() {
    if !landlock(3) {
        return;
    }
    let place = Place::new("landlock", &["r/f", "w/f"]);
    let (read, write): (u64, u64) = (1 << 2 | 1 << 3, 1 << 1 | 1 << 8 | 1 << 14);
    let script = place.text(
        "cat @T/r/f; cat @T/w/f 2>/dev/null || echo no; echo x >@T/w/f && echo wrote; \
                             echo x 2>/dev/null >@T/r/f || echo no",
    );
    let handled = read | write;
    let step = place.text(&format!(
        "landlock {handled} 0 {read} @T/r {write} @T/w {read} /usr {read} /lib {read} -/lib64 {read} /etc \
         {read} -/none {handled} /dev/null"
    ));
    let open = |texts: &[&str]| run(&[], None, texts, &script).unwrap().0;
    assert_eq!(open(&[&step]), "secret\nno\nwrote\nno\n");
    assert_eq!(open(&[]), "secret\nx\nwrote\n");
    // A right that no kernel knows.
    let more = step.replacen(&handled.to_string(), &(handled | 1 << 50).to_string(), 1);
    let failure = run(&[], None, &[&more], "").unwrap_err();
    assert_eq!(failure, SpawnError { step: Step::Setup(0), errno: Errno::EOPNOTSUPP });
    std::fs::write(place.0.join("r/f"), "secret\n").unwrap();
    let (text, without) = run(&[], None, &[&format!("try-{more}")], &script).unwrap();
    assert_eq!(text, "secret\nno\nwrote\nno\n", "as far as the kernel can");
    assert_eq!(without, [Failure { index: 0, errno: Errno::EOPNOTSUPP }]);
}

#[test]
fn ports_are_those_that_landlock_grants() {
    if !landlock(4) {
        return;
    }
    let listening = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listening.local_addr().unwrap().port();
    let script = format!("exec 3<>/dev/tcp/127.0.0.1/{port} && echo connected");
    let bash =
        |texts: &[&str]| run(&[], None, texts, &format!("exec bash -c '{script}' 2>/dev/null")).unwrap().0;
    assert_eq!(bash(&[]), "connected\n");
    assert_eq!(bash(&[&format!("landlock 0 2 2 {port}")]), "connected\n");
    assert_eq!(bash(&[&format!("landlock 0 2 2 {}", port ^ 1)]), "");
}

#[test]
fn a_filter_decides_what_may_be_called() {
    // getppid fails with EPERM: load the number, compare, refuse, allow.
    let number = libc::SYS_uname;
    let program = [
        0x20_u64,
        0x15 | 1 << 24 | u64::try_from(number).unwrap() << 32,
        0x06 | 0x0005_0001 << 32,
        0x06 | 0x7fff_0000 << 32,
    ];
    let words: Vec<String> = program.iter().map(|word| format!("{word:x}")).collect();
    let step = format!("seccomp {}", words.join(" "));
    let script = "uname -s 2>/dev/null || echo refused";
    assert_eq!(run(&[], None, &["no-new-privileges", &step], script).unwrap().0, "refused\n");
    assert_eq!(run(&[], None, &[], script).unwrap().0, "Linux\n");
    // No program at all.
    let failure = run(&[], None, &["no-new-privileges", "seccomp ffff"], "").unwrap_err();
    assert_eq!(failure, SpawnError { step: Step::Setup(1), errno: Errno::EINVAL });
}
