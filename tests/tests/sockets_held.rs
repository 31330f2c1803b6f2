//! Sockets that are held for a service: whoever connects while it is started again, has crashed, or becomes another
//! version, waits and is not refused.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use tests::{Fixture, Machine, Pid, Signal, State, eventually, process};

/// A port that nobody has now.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn worker(port: u16, version: u32) -> String {
    let worker = env!("CARGO_BIN_EXE_socket-worker");
    format!(
        "command = [\"{worker}\", \"@T\", \"version\", \"{version}\"]\n[sockets]\nhttp = \"tcp 0.0.0.0:{port}\"\n\
         [restart]\ndelay = \"1ms\"\nmax-delay = \"5ms\""
    )
}

fn machine(port: u16) -> Machine {
    let machine = Fixture::new().service("web", &worker(port, 1)).boot();
    assert_eq!(machine.state("web"), State::Up);
    eventually("its program runs", || machine.fixture.read("starts").ends_with('\n'));
    machine
}

/// Clients that connect one after the other until they are told to end; each connection sends a byte, and wants it back.
struct Clients {
    threads: Vec<JoinHandle<Vec<String>>>,
    done: Arc<AtomicUsize>,
    end: Arc<AtomicBool>,
}

impl Clients {
    fn start(count: u8, port: u16) -> Clients {
        let (done, end) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let threads = (0..count)
            .map(|number| {
                // Each has an address of its own, so that there are ports enough.
                let address = SocketAddr::from(([127, 0, 0, number + 1], port));
                let (done, end) = (Arc::clone(&done), Arc::clone(&end));
                std::thread::spawn(move || {
                    let mut problems = Vec::new();
                    while !end.load(Ordering::Relaxed) && problems.len() < 10 {
                        if let Err(error) = ask(address, number) {
                            problems.push(error.to_string());
                        }
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                    problems
                })
            })
            .collect();
        Clients { threads, done, end }
    }

    fn done(&self) -> usize {
        self.done.load(Ordering::Relaxed)
    }

    /// What they complain of.
    fn end(self) -> Vec<String> {
        self.end.store(true, Ordering::Relaxed);
        self.threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    }
}

fn ask(address: SocketAddr, byte: u8) -> std::io::Result<()> {
    let mut connection = TcpStream::connect(address)?;
    connection.write_all(&[byte])?;
    let mut answer = [0];
    connection.read_exact(&mut answer)?;
    if answer == [byte] { Ok(()) } else { Err(std::io::ErrorKind::InvalidData.into()) }
}

/// Connects, and sends a byte; the answer comes when there is somebody to give it.
fn wait_in_line(port: u16) -> TcpStream {
    let mut connection = TcpStream::connect(("127.0.0.1", port)).unwrap();
    connection.write_all(b"x").unwrap();
    connection
}

fn is_served(mut connection: TcpStream) {
    let mut answer = [0];
    connection.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"x");
}

#[test]
fn none_of_20000_connections_is_refused_while_the_service_is_restarted_100_times() {
    let port = free_port();
    let machine = machine(port);
    let clients = Clients::start(4, port);
    for _ in 0..100 {
        let outcome = machine.svctl(&["restart", "web"]);
        assert_eq!(outcome.code, 0, "{outcome:?}");
    }
    eventually("20000 connections were made", || clients.done() >= 20_000);
    assert_eq!(clients.end(), [""; 0]);
    let starts = machine.fixture.read("starts");
    // One that is told to stop before it has begun says nothing.
    assert!(starts.lines().all(|line| line == "1 http true 1"), "{starts}");
    assert_eq!(machine.status("web").restarts, 100);
}

/// Stops the service where it is, and gets in line: nobody takes the connection before there is another process.
fn get_in_line(machine: &Machine, port: u16) -> (Pid, TcpStream) {
    let pid = machine.until("web", State::Up).pid.unwrap();
    machine.send(pid, Signal::STOP);
    (pid, wait_in_line(port))
}

fn another(machine: &Machine, old: Pid) -> Pid {
    let new = |status: &tests::Status| status.state == State::Up && status.pid.is_some_and(|pid| pid != old);
    machine.wait_for("web", "is another process", new).pid.unwrap()
}

#[test]
fn whoever_waits_is_served_after_a_crash_of_the_service_and_of_its_supervisor() {
    let port = free_port();
    let machine = machine(port);
    let (pid, waiting) = get_in_line(&machine, port);
    machine.send(pid, Signal::KILL);
    is_served(waiting);
    // Now the supervisor first: the next one starts the service again, with the same sockets.
    another(&machine, pid);
    let (pid, waiting) = get_in_line(&machine, port);
    machine.send(machine.status("web").supervisor.unwrap(), Signal::KILL);
    machine.send(pid, Signal::KILL);
    is_served(waiting);
    another(&machine, pid);
    eventually("there were three", || machine.fixture.read("starts").lines().count() == 3);
}

#[test]
fn whoever_waits_is_served_after_init_failed_and_after_everything_was_replaced() {
    let port = free_port();
    let machine = machine(port);
    let clients = Clients::start(2, port);
    let (pid, waiting) = get_in_line(&machine, port);
    process::send(machine.init(), Signal::parse("SEGV").unwrap());
    machine.wait_for_console("recovered from a fault");
    // What init keeps is what the next supervisor has.
    machine.send(machine.status("web").supervisor.unwrap(), Signal::KILL);
    machine.send(pid, Signal::KILL);
    is_served(waiting);
    let pid = another(&machine, pid);
    let (pid, waiting) = (pid, wait_in_line(port));
    assert_eq!(machine.svctl(&["reexec"]).code, 0);
    is_served(waiting);
    assert_eq!(machine.until("web", State::Up).pid, Some(pid));
    let (pid, waiting) = get_in_line(&machine, port);
    machine.send(pid, Signal::KILL);
    is_served(waiting);
    // A client of a process that was killed in the middle may complain; none was refused.
    let refused: Vec<String> = clients.end().into_iter().filter(|text| text.contains("refused")).collect();
    assert_eq!(refused, [""; 0]);
}

#[test]
fn an_upgrade_keeps_the_queue_and_only_another_address_is_another_socket() {
    let port = free_port();
    let machine = machine(port);
    let (pid, waiting) = get_in_line(&machine, port);
    // Another command, another name and another queue: the same socket.
    let upgraded = worker(port, 2).replace("http = ", "web = ").replace(
        &format!("\"tcp 0.0.0.0:{port}\""),
        &format!("{{ listen = \"tcp 0.0.0.0:{port}\", backlog = 9 }}"),
    );
    machine.fixture.write("services/web/service.toml", &upgraded);
    let outcome = machine.svctl(&["reload", "--no-wait"]);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    // It is told to stop and let go on: the connection is the next one's, if it does not take it itself.
    is_served(waiting);
    another(&machine, pid);
    let expected = "1 http true 1\n1 web true 2\n";
    eventually("there is another version", || machine.fixture.read("starts") == expected);
    let other = free_port();
    machine.fixture.write("services/web/service.toml", &worker(other, 3));
    assert_eq!(machine.svctl(&["reload"]).code, 0);
    is_served(wait_in_line(other));
    let old = TcpStream::connect(("127.0.0.1", port));
    assert_eq!(old.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
}

#[test]
fn an_address_in_use_is_told_and_tried_again_until_it_is_free() {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let machine = Fixture::new().service("web", &worker(port, 1)).boot();
    let status = machine.until("web", State::Backoff);
    let reason = format!("unable to listen at tcp 0.0.0.0:{port}: Address already in use");
    assert_eq!(status.reason, reason);
    assert!(machine.svctl(&["status", "web"]).output.contains(&reason));
    drop(listener);
    machine.until("web", State::Up);
    is_served(wait_in_line(port));
    assert_eq!(machine.fixture.read("starts"), "1 http true 1\n");
    let told = machine.svctl(&["status", "web"]).output;
    assert!(told.contains(&format!("http: tcp 0.0.0.0:{port}, 0 waiting")), "{told}");
    let (_, _waiting) = get_in_line(&machine, port);
    let told = machine.svctl(&["status", "web", "--json"]).output;
    let shown = format!("{{\"name\": \"http\", \"address\": \"tcp 0.0.0.0:{port}\", \"waiting\": 1}}");
    assert!(told.contains(&shown), "{told}");
}

#[test]
fn a_service_that_is_stopped_leaves_its_address() {
    let port = free_port();
    let machine = machine(port);
    assert_eq!(machine.svctl(&["stop", "web"]).code, 0);
    eventually("the address is free", || TcpListener::bind(("0.0.0.0", port)).is_ok());
    assert_eq!(machine.svctl(&["start", "web"]).code, 0);
    is_served(wait_in_line(port));
}
