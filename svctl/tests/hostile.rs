//! Against those who answer nothing, nonsense, or without end: every wait is bounded, and every failure is told.

mod common;

use common::Fixture;
use std::io::Write;
use std::os::unix::net::{UnixListener, UnixStream};

#[test]
fn a_listener_that_hangs_with_a_full_queue_is_not_waited_for_without_end() {
    let fixture = Fixture::new();
    let path = fixture.root.join("run/init/control");
    let _listener = UnixListener::bind(&path).unwrap();
    // The queue takes some and then no more, which a caller who does not want to wait is told.
    let mut waiting = Vec::new();
    while let Ok(stream) = sys::socket::connect(&path, std::time::Duration::from_millis(1)) {
        waiting.push(stream);
        assert!(waiting.len() < 10_000);
    }
    let ran = fixture.run(&["wait", "-t", "100ms", "a"]);
    assert!(ran.code == 99 && ran.err.contains("whoever listens there hangs"), "{ran:?}");
}

#[test]
fn a_listener_that_never_answers_ends_the_waiting() {
    let fixture = Fixture::new();
    fixture.define("a", "command = [\"x\"]");
    fixture.compile();
    for words in [
        &["start", "-t", "100ms", "a"][..],
        &["wait", "-t", "100ms", "a"],
        &["wait", "--boot", "-t", "100ms"],
    ] {
        let player = fixture.init(|mut player| player.until_gone());
        let ran = fixture.run(words);
        player.join().unwrap();
        std::fs::remove_file(fixture.root.join("run/init/control")).unwrap();
        assert_eq!(ran.code, 99, "{ran:?}");
    }
}

#[test]
fn whoever_is_turned_away_unheard_comes_again_and_says_the_same() {
    let fixture = Fixture::new();
    let path = fixture.root.join("run/service/a");
    std::fs::create_dir_all(&path).unwrap();
    let listener = UnixListener::bind(path.join("control")).unwrap();
    let server = std::thread::spawn(move || {
        for _ in 0..3 {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(b"error too many clients\n").unwrap();
        }
        let (mut stream, _) = listener.accept().unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(&mut stream), &mut line).unwrap();
        assert_eq!(line, "reload\n");
        stream.write_all(b"ok\n").unwrap();
    });
    let ran = fixture.run(&["reload", "a"]);
    server.join().unwrap();
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
}

#[test]
fn nonsense_and_endless_lines_are_failures_and_no_answers() {
    let endless = |mut stream: UnixStream| while stream.write_all(&[b'x'; 4096]).is_ok() {};
    let nonsense = |mut stream: UnixStream| {
        let _ = stream.write_all(b"okay\nevent\nevent a sideways up timely 1 1\n\xff\xfe\n\n");
    };
    for (name, act) in [("endless", endless as fn(UnixStream)), ("nonsense", nonsense)] {
        let fixture = Fixture::new();
        let path = fixture.root.join("run/service/a");
        std::fs::create_dir_all(&path).unwrap();
        let listener = UnixListener::bind(path.join("control")).unwrap();
        let server = std::thread::spawn(move || act(listener.accept().unwrap().0));
        let ran = fixture.run(&["restart", "-t", "5s", "a"]);
        server.join().unwrap();
        assert!([102, 111].contains(&ran.code) && ran.err.starts_with("svctl: a: "), "{name}: {ran:?}");
    }
}
