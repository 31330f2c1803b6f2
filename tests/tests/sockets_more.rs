//! Held sockets where things come together: instances and drop-ins, reloads that change which there are, datagrams that
//! start a service, a supervisor that is gone while one listens, and what a process finds in its descriptors.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use tests::{Fixture, Machine, Signal, State, eventually, process};

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn worker(behaviour: &str, sockets: &str) -> String {
    let worker = env!("CARGO_BIN_EXE_socket-worker");
    format!(
        "command = [\"{worker}\", \"@T\", {behaviour}]\n[restart]\ndelay = \"1ms\"\nmax-delay = \"1s\"\n[sockets]\n{sockets}"
    )
}

fn is_served(mut connection: impl Read + Write) {
    connection.write_all(b"x").unwrap();
    let mut answer = [0];
    connection.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"x");
}

fn refused(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

#[test]
fn an_instance_has_its_own_sockets_and_what_is_laid_over_adds_and_replaces() {
    let machine = Fixture::new()
        .service(
            "web@",
            &worker("\"version\", \"%i\"", "own = \"unix @T/%i\"\nreplaced = \"unix @T/%i.old\""),
        )
        .file(
            "services/web@one/service.d/a.toml",
            "[sockets]\nreplaced = \"unix @T/new\"\nmore = \"unix @T/%i.more\"\n",
        )
        .tracing("b", "requires = [\"web@two\"]")
        .boot();
    for name in ["web@one", "web@two"] {
        machine.until(name, State::Up);
    }
    let connect = |name: &str| UnixStream::connect(machine.fixture.path(name));
    for name in ["one", "new", "one.more", "two", "two.old"] {
        is_served(connect(name).unwrap_or_else(|error| panic!("{name}: {error}")));
    }
    assert!(connect("one.old").is_err() && connect("two.more").is_err());
    let starts = || {
        let text = machine.fixture.read("starts");
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    eventually("both have begun", || starts().len() == 2);
    assert_eq!(starts(), ["2 own:replaced true two", "3 own:replaced:more true one"]);
}

#[test]
fn a_reload_opens_what_is_new_closes_what_is_gone_and_keeps_the_rest_with_its_queue() {
    let ports = [free_port(), free_port(), free_port()];
    let [kept, gone, new] = ports;
    let of = |name: &str, port: u16| format!("{name} = \"tcp 127.0.0.1:{port}\"");
    let before = worker("\"version\", \"1\"", &format!("{}\n{}", of("kept", kept), of("gone", gone)));
    let machine = Fixture::new().service("a", &before).boot();
    let pid = machine.until("a", State::Up).pid.unwrap();
    assert!(refused(new));
    // Nobody takes this one before there is another process.
    machine.send(pid, Signal::STOP);
    let mut waiting = TcpStream::connect(("127.0.0.1", kept)).unwrap();
    waiting.write_all(b"x").unwrap();
    let after = worker("\"version\", \"2\"", &format!("{}\n{}", of("new", new), of("kept", kept)));
    machine.fixture.write("services/a/service.toml", &after);
    assert_eq!(machine.svctl(&["reload", "--no-wait"]).code, 0);
    let mut answer = [0];
    waiting.read_exact(&mut answer).unwrap();
    machine
        .wait_for("a", "is another process", |status| status.state == State::Up && status.pid != Some(pid));
    is_served(TcpStream::connect(("127.0.0.1", new)).unwrap());
    is_served(TcpStream::connect(("127.0.0.1", kept)).unwrap());
    assert!(refused(gone));
    eventually("both versions began", || machine.fixture.read("starts").lines().count() == 2);
    assert_eq!(machine.fixture.read("starts"), "2 kept:gone true 1\n2 new:kept true 2\n");
}

#[test]
fn a_reload_of_a_service_that_listens_is_applied_without_a_start() {
    let (old, new) = (free_port(), free_port());
    let on = |port: u16| {
        worker("\"idle\", \"10\"", &format!("start = \"on-connection\"\na = \"tcp 127.0.0.1:{port}\""))
    };
    let machine = Fixture::new().service("a", &on(old)).boot();
    assert_eq!(machine.state("a"), State::Listening);
    machine.fixture.write("services/a/service.toml", &on(new));
    assert_eq!(machine.svctl(&["reload"]).code, 0);
    eventually("it listens at the new address", || !refused(new));
    // That was a connection: somebody answers, and it listens again.
    machine.until("a", State::Listening);
    is_served(TcpStream::connect(("127.0.0.1", new)).unwrap());
    machine.until("a", State::Listening);
    assert!(refused(old));
}

#[test]
fn a_datagram_and_a_connection_by_tcp_start_a_service_too() {
    let (tcp, udp) = (free_port(), UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port());
    let sockets =
        format!("start = \"on-connection\"\na = \"tcp 127.0.0.1:{tcp}\"\nd = \"udp 127.0.0.1:{udp}\"");
    let service = Fixture::new().service("a", &worker("\"idle\", \"10\"", &sockets)).start();
    // A process for each: what it says is read before it listens again.
    let again = |starts: u32| {
        service.wait_for("it listens again", |status| {
            let started = status.started.map_or(0, |_| status.restarts + 1);
            status.state == State::Listening && started == starts
        });
    };
    service.until(State::Listening);
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    sender.send_to(b"first,", ("127.0.0.1", udp)).unwrap();
    eventually("the first datagram is read", || service.fixture.read("datagrams") == "first,");
    again(1);
    is_served(TcpStream::connect(("127.0.0.1", tcp)).unwrap());
    again(2);
    sender.send_to(b"second,", ("127.0.0.1", udp)).unwrap();
    eventually("the second is", || service.fixture.read("datagrams") == "first,second,");
    again(3);
    // A process for each, and no more: what has come is read before it ends.
    let starts = service.fixture.read("starts");
    assert_eq!(starts, "2 a:d true \n".repeat(3), "{}", service.log());
    assert!(!service.log().contains("warning"), "{}", service.log());
}

#[test]
fn a_supervisor_that_is_killed_while_it_listens_is_followed_by_one_that_does() {
    let port = free_port();
    let sockets = format!("start = \"on-connection\"\na = \"tcp 127.0.0.1:{port}\"");
    let machine: Machine = Fixture::new().service("a", &worker("\"version\", \"1\"", &sockets)).boot();
    let mut before = machine.status("a").supervisor.unwrap();
    for _ in 0..3 {
        machine.send(before, Signal::KILL);
        let after = machine.wait_for("a", "has another supervisor", |status| {
            status.supervisor.is_some_and(|one| one != before) && status.state == State::Listening
        });
        before = after.supervisor.unwrap();
    }
    assert_eq!(machine.fixture.read("starts"), "");
    // The queue is the same: whoever came while nobody looked is served by the first process there is.
    machine.send(before, Signal::STOP);
    let waiting = TcpStream::connect(("127.0.0.1", port)).unwrap();
    machine.send(before, Signal::KILL);
    is_served(waiting);
    machine.until("a", State::Up);
    assert_eq!(machine.fixture.read("starts"), "1 a true 1\n");
    assert_eq!(machine.svctl(&["stop", "a"]).code, 0);
    assert!(refused(port));
}

/// What a process finds in its descriptors and its environment, told by a shell.
const LOOK: &str = "for n in 3 4 5 6; do readlink /proc/$$/fd/$n | grep -o ^socket; done > @T/look.new\n\
                    echo $LISTEN_FDS $LISTEN_FDNAMES $([ \"$LISTEN_PID\" = $$ ] && echo ours) >> @T/look.new\n\
                    grep -h ^flags /proc/$$/fdinfo/3 >> @T/look.new\n\
                    mv @T/look.new @T/look; echo start >> @T/trace; exec sleep 1000";

#[test]
fn a_process_finds_its_sockets_and_no_other_at_every_start() {
    let service = Fixture::new()
        .service(
            "a",
            "[sockets]\none = \"tcp 127.0.0.1:@PORT\"\ntwo = \"unix @T/two\""
                .replace("@PORT", &free_port().to_string())
                .as_str(),
        )
        .run(LOOK)
        .start();
    let mut pid = service.up();
    for round in 1..=3 {
        service.wait_for_trace(round);
        let look = service.fixture.read("look");
        // Blocking, open for reading and writing, and inherited: the kernel would show 02000000 for what is closed at an exec.
        let expected = [
            "socket\nsocket\n2 one:two ours\nflags:\t02\n",
            "socket\nsocket\n2 one:two ours\nflags:\t0100002\n",
        ];
        assert!(expected.contains(&look.as_str()), "{look}");
        // The same sockets at each start, which the supervisor has as well.
        let inode = |pid, number| std::fs::read_link(format!("/proc/{pid}/fd/{number}")).unwrap();
        let held: Vec<_> = std::fs::read_dir(format!("/proc/{}/fd", service.supervisor()))
            .unwrap()
            .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
            .collect();
        assert!(held.contains(&inode(pid, 3)) && held.contains(&inode(pid, 4)));
        let old = pid;
        process::send(pid, Signal::KILL);
        pid = service
            .wait_for("it runs again", |status| status.state == State::Up && status.pid != Some(old))
            .pid
            .unwrap();
    }
}

#[test]
fn a_link_that_has_taken_the_place_of_a_socket_or_a_fifo_is_not_followed() {
    for kind in ["unix", "fifo"] {
        let toml = format!("command = [\"sleep\", \"1000\"]\n[sockets]\na = \"{kind} @T/there\"");
        let service = Fixture::new().service("a", &toml).start();
        service.up();
        let (victim, place) = (service.fixture.path("victim"), service.fixture.path("there"));
        std::fs::write(&victim, "").unwrap();
        std::fs::set_permissions(&victim, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::remove_file(&place).unwrap();
        std::os::unix::fs::symlink(&victim, &place).unwrap();
        // It sees to its sockets anew.
        service.tell("reexec");
        service.tell("restart");
        service.wait_for_log("/there: something else is there by now");
        assert_eq!(victim.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{kind}");
    }
}

#[test]
fn the_queue_is_as_long_as_it_is_said_to_be_and_stays_so() {
    let port = free_port();
    if std::process::Command::new("ss").arg("-V").output().is_err() {
        return eprintln!("skipped: there is no ss to tell how long a queue may be");
    }
    let toml = |backlog: u32| {
        let idle = "command = [\"sleep\", \"1000\"]\n";
        format!("{idle}[sockets.a]\nlisten = \"tcp 127.0.0.1:{port}\"\nbacklog = {backlog}")
    };
    let machine = Fixture::new().service("a", &toml(3)).boot();
    assert_eq!(backlog(port), Some(3));
    assert_eq!(machine.svctl(&["reexec"]).code, 0);
    machine.until("a", State::Up);
    assert_eq!(backlog(port), Some(3));
    machine.fixture.write("services/a/service.toml", &toml(9));
    assert_eq!(machine.svctl(&["reload"]).code, 0);
    eventually("the queue is longer", || backlog(port) == Some(9));
}

/// As many may wait at a port, by ss(8); none without that.
fn backlog(port: u16) -> Option<u32> {
    let output =
        std::process::Command::new("ss").args(["-Hltn", &format!("sport = :{port}")]).output().ok()?;
    String::from_utf8(output.stdout).ok()?.split_whitespace().nth(2)?.parse().ok()
}

#[test]
fn a_connection_from_the_virtual_machine_itself_is_served() {
    let port = 47_200 + std::process::id() % 10_000;
    let service =
        Fixture::new().service("a", &worker("\"version\", \"1\"", &format!("v = \"vsock {port}\""))).start();
    service.up();
    // struct sockaddr_vm to VMADDR_CID_LOCAL: the loopback of vsock (vsock(7), Linux 5.6).
    let script = format!(
        "socket($s, 40, 1, 0) or die $!; connect($s, pack(\"SSLLL\", 40, 0, {port}, 1, 0)) or die $!; \
         syswrite($s, \"x\"); sysread($s, $b, 1); print \"$b\\n\""
    );
    let output = std::process::Command::new("perl").args(["-e", &script]).output().unwrap();
    let why = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        let absent = [
            "No such device",
            "not supported",
            "unreachable",
            "Cannot assign",
            "Connection reset",
            "timed out",
        ];
        assert!(absent.iter().any(|text| why.contains(text)), "{why}");
        return eprintln!("skipped: this kernel has no loopback of vsock: {why}");
    }
    assert_eq!(output.stdout, b"x\n");
}
