//! What is seen of files, and what can be done with them.

use crate::{Place, forbids, outcome, privileged, service};

#[test]
fn a_system_that_is_read_only_is_so_but_for_its_exceptions() {
    if !privileged() {
        return;
    }
    let place = Place::new();
    let write = place.text("for d in open closed; do echo x 2>/dev/null >@P/$d/new && echo \"> $d\" && rm @P/$d/new; done; echo '> end'");
    let strict = "system = \"strict\"";
    forbids(strict, &write, "end", "open closed end");
    let writable = place.text("system = \"strict\"\nwritable = [\"@P/open\", \"-@P/none\"]");
    assert_eq!(outcome(&writable, &write), "open end");
    // Devices, and the kernel's own trees, are no part of it.
    let kernel = "echo x >/dev/null && echo 17 >/proc/self/oom_score_adj && echo '> yes'";
    assert_eq!(outcome(strict, kernel), "yes");
    let program = "if [ -w /usr/bin ]; then echo '> writable'; else echo '> no'; fi";
    forbids("system = \"full\"", program, "no", "writable");
    forbids(
        "system = \"full\"",
        "if [ -w /etc ]; then echo '> writable'; else echo '> no'; fi",
        "no",
        "writable",
    );
    assert_eq!(outcome("system = \"full\"", &write), "open closed end");
}

#[test]
fn places_can_be_read_only_with_what_is_writable_below_them() {
    if !privileged() {
        return;
    }
    let place = Place::new();
    let write = place
        .text("for f in open/f closed/f; do echo x 2>/dev/null >@P/$f && echo \"> $f\"; done; echo '> end'");
    let setting = place.text("read-only = [\"@P\", \"-@P/none\"]\nwritable = [\"@P/open\"]");
    forbids(&setting, &write, "open/f end", "open/f closed/f end");
}

#[test]
fn what_is_hidden_cannot_be_read_by_root() {
    if !privileged() {
        return;
    }
    let place = Place::new();
    let look = place
        .text("ls @P/closed | sed 's/^/> /'; cat @P/open/file 2>/dev/null | sed 's/^/> /'; echo '> end'");
    let setting = place.text("hidden = [\"@P/closed\", \"@P/open/file\", \"-@P/none\"]");
    forbids(&setting, &look, "end", "file text end");
}

#[test]
fn homes_are_hidden_or_read_only() {
    if !privileged() {
        return;
    }
    let look = "touch /root/.sandbox-probe 2>/dev/null && echo '> wrote'; ls -a /root | grep -q profile && echo '> read'; echo '> end'; rm -f /root/.sandbox-probe 2>/dev/null";
    forbids("home = \"read-only\"", look, "read end", "wrote read end");
    forbids("home = \"hidden\"", look, "end", "wrote read end");
}

#[test]
fn a_tmp_of_its_own_is_empty_and_nobody_else_sees_what_is_in_it() {
    if !privileged() {
        return;
    }
    let mark = std::path::PathBuf::from(format!("/tmp/sandbox-mark-{}", std::process::id()));
    std::fs::write(&mark, "").unwrap();
    let name = mark.display();
    let look = format!(
        "[ -e {name} ] && echo '> seen'; echo x >{name}.new && echo '> wrote'; [ -e /var/tmp/sandbox-mark-{}.new ] && echo '> there too'",
        std::process::id()
    );
    forbids("private-tmp = true", &look, "wrote there too", "seen wrote");
    let new = std::path::PathBuf::from(format!("{name}.new"));
    // The one without the setting has written it.
    std::fs::remove_file(&new).unwrap();
    assert_eq!(outcome("private-tmp = true\nsystem = \"strict\"", &look), "wrote there too");
    assert!(!new.exists());
    std::fs::remove_file(mark).unwrap();
}

#[test]
fn what_is_temporary_is_empty_and_what_is_written_there_is_seen_by_nobody() {
    if !privileged() {
        return;
    }
    let place = Place::new();
    let look =
        place.text("ls @P/open | sed 's/^/> /'; echo x >@P/open/new && echo '> wrote'; rm -f @P/open/new");
    let setting = place.text("temporary = [\"@P/open\"]");
    forbids(&setting, &look, "wrote", "file wrote");
    assert_eq!(outcome(&format!("system = \"strict\"\n{setting}"), &look), "wrote");
    let left = place.text("echo x >@P/open/left");
    outcome(&setting, &left);
    assert!(!place.0.join("open/left").exists());
    outcome("", &left);
    assert!(place.0.join("open/left").exists());
}

#[test]
fn a_device_that_is_made_in_a_tmp_of_its_own_cannot_be_used() {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let of_tmp = mounts.lines().find(|line| line.split(' ').nth(1) == Some("/tmp"));
    if !privileged() || of_tmp.is_some_and(|line| line.contains("nodev")) {
        return;
    }
    let make = "mknod /tmp/zero-$$ c 1 5 && echo '> made'; (head -c 1 /tmp/zero-$$ >/dev/null) 2>/dev/null && echo '> read'; rm /tmp/zero-$$";
    forbids("private-tmp = true", make, "made", "made read");
}

#[test]
fn devices_of_its_own_are_those_that_do_no_harm() {
    if !privileged() {
        return;
    }
    let look = "for d in null zero full random urandom tty pts shm ptmx fd kmsg mem vda; do [ -e /dev/$d ] && printf '%s ' $d; done | sed 's/^/> /'; echo";
    assert_eq!(
        outcome("private-devices = true", look).trim(),
        "null zero full random urandom tty pts shm ptmx fd"
    );
    forbids(
        "private-devices = true",
        "if [ -e /dev/kmsg ]; then echo '> kmsg'; else echo '> no'; fi",
        "no",
        "kmsg",
    );
    let used = "head -c 8 /dev/urandom | wc -c | sed 's/^/> /'; head -c 1 /dev/zero >/dev/null && echo '> zero'; echo x >/dev/shm/x && echo '> shm'; (exec 3<>/dev/ptmx) && ls /dev/pts | grep -q ptmx && echo '> pty'";
    assert_eq!(outcome("private-devices = true", used), "8 zero shm pty");
    let make = "mknod /dev/shm/made-$$ b 7 0 2>/dev/null && echo '> made' && rm /dev/shm/made-$$; touch /dev/made-$$ 2>/dev/null && echo '> file' && rm /dev/made-$$; echo '> end'";
    forbids("private-devices = true", make, "end", "made file end");
}

/// Whether the kernel is of this release, or a later one.
fn is_kernel(major: u32, minor: u32) -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).map_while(|word| word.parse::<u32>().ok());
    (numbers.next().unwrap(), numbers.next().unwrap()) >= (major, minor)
}

/// As `forbids`, by landlock: a kernel that lacks a part of it runs nothing, unless it is said that what it can do will do.
#[track_caller]
fn shuts_in(setting: &str, script: &str, with: &str, without: &str) {
    let ports = setting.contains("bind") || setting.contains("connect");
    if is_kernel(6, if ports { 7 } else { 2 }) {
        return forbids(setting, script, with, without);
    }
    let refused = "unable to restrict itself by landlock: Operation not supported";
    let failed = service(setting, script).start();
    failed.wait_for_log(&format!("warning: {refused}"));
    assert!(!failed.log().contains("> "), "{}", failed.log());
    let doing_without = format!("{setting}\nkernel-lacks = \"warning\"");
    forbids(&doing_without, script, if ports { without } else { with }, without);
    let warned = service(&doing_without, script).start();
    warned.wait_for_log(&format!("warning: {refused}"));
    warned.wait_for_log("(going on without)");
}

#[test]
fn landlock_leaves_the_ports_that_are_listed() {
    let ports: Vec<u16> = (0..2)
        .map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port())
        .collect();
    let bind = "exec perl -MIO::Socket::INET -e 'for (@ARGV) { print \"> $_\\n\" if IO::Socket::INET->new(Listen => 1, LocalAddr => \"127.0.0.1\", LocalPort => $_) }'";
    let bind = format!("{bind} {} {}", ports[0], ports[1]);
    let both = format!("{} {}", ports[0], ports[1]);
    shuts_in(&format!("landlock = {{ bind = [{}] }}", ports[0]), &bind, &ports[0].to_string(), &both);
    let listeners = [0, 0].map(|port: u16| std::net::TcpListener::bind(("127.0.0.1", port)).unwrap());
    let open: Vec<u16> = listeners.iter().map(|one| one.local_addr().unwrap().port()).collect();
    let connect = format!(
        "exec bash -c 'for p in {} {}; do (exec 3<>/dev/tcp/127.0.0.1/$p) 2>/dev/null && echo \"> $p\"; done; true'",
        open[0], open[1]
    );
    let both = format!("{} {}", open[0], open[1]);
    shuts_in(&format!("landlock = {{ connect = [{}] }}", open[1]), &connect, &open[1].to_string(), &both);
}

#[test]
fn landlock_puts_everything_out_of_reach_that_is_not_listed() {
    let place = std::env::temp_dir().join(format!("landlock-{}", std::process::id()));
    for directory in ["open", "closed"] {
        std::fs::create_dir_all(place.join(directory)).unwrap();
        std::fs::write(place.join(directory).join("file"), "text\n").unwrap();
    }
    let text = |text: &str| text.replace("@P", place.to_str().unwrap());
    let look = text(
        "for d in open closed; do read line 2>/dev/null <@P/$d/file && echo \"> read $d\"; (echo text >@P/$d/file) 2>/dev/null && echo \"> wrote $d\"; done; echo '> end'",
    );
    let base = "execute = [\"/bin\", \"/usr\", \"-/lib\", \"-/lib64\"], write = [\"/dev/null\"";
    let write = text(&format!("landlock = {{ {base}, \"@P/open\"] }}"));
    let all = "read open wrote open read closed wrote closed end";
    shuts_in(&write, &look, "read open wrote open end", all);
    let read = text(&format!("landlock = {{ {base}], read = [\"@P/open\"] }}"));
    shuts_in(&read, &look, "read open end", all);
    // What may be read may not be executed.
    std::fs::copy("/bin/true", place.join("open/true")).unwrap();
    let run = text("@P/open/true 2>/dev/null && echo '> ran'; echo '> end'");
    shuts_in(&read, &run, "end", "ran end");
    std::fs::remove_dir_all(&place).unwrap();
}
