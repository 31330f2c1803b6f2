//! Sockets of every kind that can be held for a service, and the files that belong to them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::io::{Read, Write};
use std::net::UdpSocket;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};
use tests::{Fixture, Signal, State, Supervised, eventually, process};

fn worker(sockets: &str) -> Fixture {
    let worker = env!("CARGO_BIN_EXE_socket-worker");
    let restart = "[restart]\ndelay = \"1ms\"\nmax-delay = \"5ms\"";
    Fixture::new().service("a", &format!("command = [\"{worker}\", \"@T\"]\n[sockets]\n{sockets}\n{restart}"))
}

fn is_served(mut connection: UnixStream) {
    connection.write_all(b"x").unwrap();
    let mut answer = [0];
    connection.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"x");
}

/// Stops the service where it is, does something, and kills the service.
fn crash_after(service: &Supervised, work: impl FnOnce()) {
    let pid = service.up();
    process::send(pid, Signal::STOP);
    work();
    process::send(pid, Signal::KILL);
    service
        .wait_for("there is another process", |status| status.state == State::Up && status.pid != Some(pid));
}

#[test]
fn every_kind_is_handed_over_by_name_and_in_the_order_of_the_definition() {
    let name = format!("mainstay-{}", std::process::id());
    let service = worker(&format!(
        "zero = \"unix @T/stream\"\nnamed = \"unix @{name}\"\nd-log = \"unix-datagram @T/datagram\"\n\
         packets = \"unix-packet @T/packet\"\nd-fifo = \"fifo @T/fifo\"\nsix = \"tcp [::1]:0\""
    ));
    // A port that is chosen anew is none that anybody would know.
    service.compile();
    assert!(
        service.read("compiler").contains("expected a port from 1 to 65535"),
        "{}",
        service.read("compiler")
    );
    drop(service);

    let service = worker(&format!(
        "zero = \"unix @T/stream\"\nnamed = \"unix @{name}\"\nd-log = \"unix-datagram @T/datagram\"\n\
         packets = \"unix-packet @T/packet\"\nd-fifo = \"fifo @T/fifo\"\nvirtual = \"vsock 47113\""
    ));
    let service = service.start();
    service.up();
    eventually("it has begun", || service.fixture.read("starts").ends_with('\n'));
    assert_eq!(service.fixture.read("starts"), "6 zero:named:d-log:packets:d-fifo:virtual true \n");
    is_served(UnixStream::connect(service.fixture.path("stream")).unwrap());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    is_served(UnixStream::connect_addr(&address).unwrap());
    let sender = UnixDatagram::unbound().unwrap();
    sender.send_to(b"one,", service.fixture.path("datagram")).unwrap();
    eventually("it came", || service.fixture.read("datagrams") == "one,");
    let mut fifo = std::fs::OpenOptions::new().write(true).open(service.fixture.path("fifo")).unwrap();
    fifo.write_all(b"two,").unwrap();
    eventually("that came too", || service.fixture.read("datagrams") == "one,two,");
}

#[test]
fn no_datagram_is_lost_while_the_service_is_dead() {
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let service = worker(&format!("d = \"udp 127.0.0.1:{port}\"")).start();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut expected = String::new();
    for round in 0..10 {
        crash_after(&service, || {
            for number in 0..5 {
                let text = format!("{round}-{number} ");
                socket.send_to(text.as_bytes(), ("127.0.0.1", port)).unwrap();
                expected.push_str(&text);
            }
        });
    }
    eventually("all came, in order", || service.fixture.read("datagrams") == expected);
}

#[test]
fn a_file_has_the_mode_that_was_asked_for_and_goes_with_the_service() {
    let service =
        worker("own = { listen = \"unix @T/own\", mode = \"0600\" }\nall = \"unix @T/all\"").start();
    service.up();
    let mode = |name: &str| service.fixture.path(name).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("own"), mode("all")), (0o600, 0o666));
    service.tell("stop");
    service.until(State::Down);
    assert!(!service.fixture.path("own").exists() && !service.fixture.path("all").exists());
    // What another has put there in the meantime is not ours to remove.
    service.tell("start");
    service.up();
    std::fs::remove_file(service.fixture.path("own")).unwrap();
    let other = UnixListener::bind(service.fixture.path("own")).unwrap();
    service.tell("stop");
    service.until(State::Down);
    assert!(UnixStream::connect(service.fixture.path("own")).is_ok());
    drop(other);
}

#[test]
fn a_file_that_nobody_listens_at_is_replaced_and_no_other() {
    let fixture = worker("a = \"unix @T/a\"");
    drop(UnixListener::bind(fixture.path("a")).unwrap());
    let service = fixture.start();
    service.up();
    is_served(UnixStream::connect(service.fixture.path("a")).unwrap());

    let fixture = worker("a = \"unix @T/a\"");
    let listener = UnixListener::bind(fixture.path("a")).unwrap();
    let service = fixture.start();
    let place = service.fixture.path("a").display().to_string();
    let reason = format!("unable to listen at unix {place}: Address already in use");
    service.wait_for("that is told", |status| status.state == State::Backoff && status.reason == reason);
    assert!(UnixStream::connect(&place).is_ok());
    drop(listener);
    service.up();

    let service = worker("a = \"unix @T/a\"").file("a", "precious").start();
    service.until(State::Backoff);
    assert_eq!(service.fixture.read("a"), "precious");
}

#[test]
fn only_the_main_process_has_the_sockets() {
    let fixture = Fixture::new()
        .service("a", "[sockets]\na = \"unix @T/a\"\nb = \"unix @T/b\"\n[ready]\nfd = 5")
        .run("readlink /proc/self/fd/3 /proc/self/fd/4 | cut -d: -f1 > @T/ran; env | grep LISTEN_ | sort | cut -d= -f1 >> @T/ran; echo >&5\nsleep 1000")
        .finish("readlink /proc/self/fd/3 /proc/self/fd/4 | cut -d: -f1 > @T/finished; env | grep -c LISTEN_ >> @T/finished");
    let service = fixture.start();
    service.up();
    service.tell("stop");
    service.until(State::Down);
    assert_eq!(service.fixture.read("ran"), "socket\nsocket\nLISTEN_FDNAMES\nLISTEN_FDS\nLISTEN_PID\n");
    assert_eq!(service.fixture.read("finished"), "0\n");
}
