//! What `svctl metrics` tells: a page that every reader of the format takes, true to what runs, written as a whole, and
//! answered to whoever asks at a socket that is held.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use tests::exposition::Page;
use tests::programs::program;
use tests::{Fixture, Machine, Signal, State, eventually, process};

const IDLE: &str = "command = [\"sleep\", \"1000\"]\n";

fn page(machine: &Machine) -> Page {
    let outcome = machine.svctl(&["metrics"]);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    Page::parse(&outcome.output).unwrap_or_else(|why| panic!("{why}\n{}", outcome.output))
}

#[test]
fn the_page_tells_of_every_service_and_of_init_what_is_so() {
    let machine = Fixture::new()
        .service("a", &format!("{IDLE}[stop]\nscope = \"cgroup\"\n[restart]\ndelay = \"1ms\""))
        .service(
            "failing",
            "command = [\"/bin/sh\", \"-c\", \"exit 7\"]\n[restart]\ngive-up = { deaths = 1 }",
        )
        .service("once", "type = \"oneshot\"\ncommand = [\"true\"]")
        .service("down@1", &format!("{IDLE}autostart = false"))
        .service("broken", "command = 3")
        .boot();
    machine.until("failing", State::Failed);
    let seen = page(&machine);
    let of = |name: &str, labels: &[&str]| seen.get(&format!("mainstay_service_{name}"), labels);
    for (service, kind, state) in [
        ("a", "longrun", "up"),
        ("failing", "longrun", "failed"),
        ("once", "oneshot", "done"),
        ("down@1", "longrun", "down"),
        ("broken", "longrun", "invalid"),
    ] {
        let service = format!("service={service}");
        assert_eq!(of("info", &[&service, &format!("kind={kind}")]), Some(1.0), "{service}");
        for one in ["up", "failed", "done", "down", "invalid", "listening"] {
            let expected = if one == state { 1.0 } else { 0.0 };
            assert_eq!(of("state", &[&service, &format!("state={one}")]), Some(expected), "{service} {one}");
        }
    }
    assert_eq!((of("good", &["service=a"]), of("good", &["service=failing"])), (Some(1.0), Some(0.0)));
    assert_eq!((of("wanted", &["service=a"]), of("wanted", &["service=down@1"])), (Some(1.0), Some(0.0)));
    assert_eq!(of("last_exit_code", &["service=failing"]), Some(7.0));
    assert!(of("log_bytes", &["service=failing"]).is_some_and(|size| size > 0.0));
    let version = format!("version={}", env!("CARGO_PKG_VERSION"));
    assert_eq!(seen.get("mainstay_init_info", &[&version]), Some(1.0));
    assert_eq!(seen.get("mainstay_init_faults_total", &[]), Some(0.0));
    let started = of("start_time_seconds", &["service=a"]).unwrap();

    let before = machine.status("a").pid.unwrap();
    machine.send(before, Signal::KILL);
    machine.wait_for("a", "runs again", |status| status.state == State::Up && status.pid != Some(before));
    let seen = page(&machine);
    let of = |name: &str| seen.get(&format!("mainstay_service_{name}"), &["service=a"]);
    assert_eq!((of("restarts_total"), of("last_exit_signal")), (Some(1.0), Some(9.0)));
    assert_eq!(of("last_exit_oom"), Some(0.0));
    assert!(of("start_time_seconds").unwrap() > started);
    let group = machine.status("a").group;
    if std::path::Path::new(&group).join("cpu.stat").exists() {
        assert!(seen.get("mainstay_service_cpu_seconds_total", &["service=a", "mode=user"]).is_some());
        assert_eq!(of("oom_kills_total"), Some(0.0));
    }
}

#[test]
fn a_file_for_the_textfile_collector_is_never_seen_half() {
    let machine = Fixture::new().service("a", IDLE).boot();
    let file = machine.fixture.path("a.prom");
    let words = ["metrics", "--output", file.to_str().unwrap()];
    assert_eq!(machine.svctl(&words).code, 0);
    let reader = std::thread::spawn({
        let file = file.clone();
        move || {
            for _ in 0..2000 {
                let text = std::fs::read_to_string(&file).unwrap();
                assert!(!Page::parse(&text).unwrap().is_empty());
            }
        }
    });
    for _ in 0..20 {
        assert_eq!(machine.svctl(&words).code, 0);
    }
    reader.join().unwrap();
    let refused = machine.svctl(&["metrics", "--output", "/nonexistent/a.prom"]);
    assert_eq!(refused.code, 111, "{refused:?}");
    let nobody = machine.svctl(&["metrics", "--listen"]);
    assert_eq!(nobody.code, 100, "{nobody:?}");
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A machine whose service of metrics ends when nobody has asked for this long.
fn answering(port: u16, idle: &str) -> Machine {
    let svctl = program("svctl");
    let toml = format!(
        "command = [\"{}\", \"--run\", \"@T/run\", \"--logs\", \"@T/logs\", \"metrics\", \"--listen\", \"--idle\", \"{idle}\"]\n\
         [sockets]\nstart = \"on-connection\"\nhttp = \"tcp 127.0.0.1:{port}\"\n\
         [sandbox]\ndeny = [\"namespaces\", \"write-execute\"]\naddress-families = []\nsystem-calls = [\"@service\"]",
        svctl.display()
    );
    Fixture::new().service("metrics", &toml).service("a", IDLE).boot()
}

/// The status and the body that are answered to a request.
fn ask(port: u16, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer.as_str(), ""));
    let mut lines = head.lines();
    let status = lines.next().unwrap_or_default().split(' ').nth(1).unwrap_or_default().to_owned();
    let length = lines.find_map(|line| line.strip_prefix("Content-Length: ")?.parse::<usize>().ok());
    if !request.starts_with("HEAD") {
        assert_eq!(length.unwrap_or_default(), body.len(), "{answer:?}");
    }
    (status, body.to_owned())
}

const SCRAPE: &str = "GET /metrics HTTP/1.1\r\nHost: a\r\nAccept: text/plain\r\n\r\n";

#[test]
fn a_scrape_starts_what_answers_it_and_nothing_stays_when_nobody_asks() {
    let port = free_port();
    let machine = answering(port, "50ms");
    assert_eq!(machine.state("metrics"), State::Listening);
    for _ in 0..3 {
        let (status, body) = ask(port, SCRAPE);
        assert_eq!(status, "200");
        let seen = Page::parse(&body).unwrap();
        let up = seen.get("mainstay_service_state", &["service=a", "state=up"]);
        assert_eq!(up, Some(1.0), "{body}");
        // The one that answers is a service too, which runs or is about to be known to.
        let own = ["up", "starting", "listening"].map(|state| format!("state={state}"));
        let own =
            own.iter().filter_map(|state| seen.get("mainstay_service_state", &["service=metrics", state]));
        assert_eq!(own.sum::<f64>(), 1.0, "{body}");
        machine.until("metrics", State::Listening);
    }
    let log = machine.log("metrics").join("\n");
    assert!(!log.contains("warning"), "{log}");
    assert_eq!(machine.status("metrics").pid, None);
}

#[test]
fn whoever_asks_badly_or_says_nothing_keeps_nobody_waiting() {
    let port = free_port();
    let machine = answering(port, "1h");
    let mut silent: Vec<TcpStream> =
        (0..3).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    for stream in &mut silent {
        stream.write_all(b"GET /met").unwrap();
    }
    assert_eq!(ask(port, SCRAPE).0, "200");
    for (request, status) in [
        ("HEAD /metrics HTTP/1.1\r\n\r\n", "200"),
        ("GET / HTTP/1.1\r\n\r\n", "404"),
        ("DELETE /metrics HTTP/1.1\r\n\r\n", "405"),
        ("what\r\n\r\n", "400"),
    ] {
        assert_eq!(ask(port, request).0, status, "{request:?}");
    }
    let long = format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(9000));
    assert_eq!(ask(port, &long).0, "431");
    // The silent ones are let go without an answer, and it goes on.
    for mut stream in silent {
        let mut answer = Vec::new();
        stream.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
        let waited = |error: &std::io::Error| error.kind() == std::io::ErrorKind::WouldBlock;
        assert!(
            !stream.read_to_end(&mut answer).is_err_and(|error| waited(&error)),
            "it is still waited for"
        );
        assert!(answer.is_empty(), "{answer:?}");
    }
    // Far more at once than are answered at once: each is answered, or may ask again, and it lives.
    let pid = machine.until("metrics", State::Up).pid.unwrap();
    let all: Vec<_> = (0..40)
        .map(|_| {
            std::thread::spawn(move || {
                eventually("it is answered", || {
                    let asked = TcpStream::connect(("127.0.0.1", port)).and_then(|mut stream| {
                        stream.write_all(SCRAPE.as_bytes())?;
                        let mut answer = String::new();
                        stream.read_to_string(&mut answer).map(|_| answer)
                    });
                    asked.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200 "))
                });
            })
        })
        .collect();
    all.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(machine.until("metrics", State::Up).pid, Some(pid));
    // Between two scrapes it sleeps.
    let outside = machine.outside(pid);
    eventually("it sleeps", || process::stat(outside).is_some_and(|stat| stat.state == 'S'));
}
