use super::text::{Kind, Sample, family, seconds};
use super::*;
use service::definition::Kind as ServiceKind;
use service::exit::WaitStatus;
use service::status::{State, Status, Want};

fn metrics(status: Status, group: Group) -> String {
    let moment = Moment { now: Tick(10_000_000_000), wall: Duration::from_secs(1_000_010) };
    let row = Row::of(status);
    families::write(None, &[Seen { row, group, log: Some(77) }], moment)
}

fn value(text: &str, series: &str) -> Option<String> {
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ').map(str::to_owned))
}

#[test]
fn labels_and_help_are_escaped_and_empty_families_are_left_out() {
    let mut text = String::new();
    family(&mut text, "none", Kind::Gauge, "Nothing.", &[]);
    let odd = Sample::new(1).with("service", "a\"b\\c\nd").with("kind", "x");
    family(&mut text, "odd", Kind::Counter, "One \\ two\nthree.", &[odd, Sample::new("0.5")]);
    let expected = "# HELP odd One \\\\ two\\nthree.\n# TYPE odd counter\n\
                    odd{service=\"a\\\"b\\\\c\\nd\",kind=\"x\"} 1\nodd 0.5\n";
    assert_eq!(text, expected);
    assert_eq!(seconds(1_000_002), "1.000002");
}

#[test]
fn a_service_is_told_by_its_status_and_its_group() {
    let mut status = Status::new("a@1", ServiceKind::Longrun);
    (status.state, status.want, status.has_readiness) = (State::Up, Want::Up, true);
    (status.pid, status.started) = (service::Pid::new(1), Some(Tick(4_000_000_000)));
    status.ready_since = Some(Tick(5_500_000_000));
    (status.restarts, status.oom_kills, status.group) = (3, 2, "/g".to_owned());
    (status.last_exit, status.last_exit_at) = (Some(WaitStatus::Exited(7)), Some(Tick(3_000_000_000)));
    let group = Group {
        memory: Some(4096),
        cpu_user: Some(2_500_000),
        read: Some(9),
        waited: vec![("io", 1_500_000)],
        ..Group::default()
    };
    let text = metrics(status, group);
    for (series, expected) in [
        ("mainstay_service_info{service=\"a@1\",kind=\"longrun\"}", "1"),
        ("mainstay_service_state{service=\"a@1\",state=\"up\"}", "1"),
        ("mainstay_service_state{service=\"a@1\",state=\"failed\"}", "0"),
        ("mainstay_service_wanted{service=\"a@1\"}", "1"),
        ("mainstay_service_ready{service=\"a@1\"}", "1"),
        ("mainstay_service_restarts_total{service=\"a@1\"}", "3"),
        ("mainstay_service_start_time_seconds{service=\"a@1\"}", "1000004.000"),
        ("mainstay_service_ready_seconds{service=\"a@1\"}", "1.500000"),
        ("mainstay_service_last_exit_code{service=\"a@1\"}", "7"),
        ("mainstay_service_last_exit_signal{service=\"a@1\"}", "0"),
        ("mainstay_service_last_exit_time_seconds{service=\"a@1\"}", "1000003.000"),
        ("mainstay_service_last_exit_oom{service=\"a@1\"}", "0"),
        ("mainstay_service_oom_kills_total{service=\"a@1\"}", "2"),
        ("mainstay_service_pressure_waiting_seconds_total{service=\"a@1\",resource=\"io\"}", "1.500000"),
        ("mainstay_service_cpu_seconds_total{service=\"a@1\",mode=\"user\"}", "2.500000"),
        ("mainstay_service_io_bytes_total{service=\"a@1\",direction=\"read\"}", "9"),
        ("mainstay_service_memory_bytes{service=\"a@1\"}", "4096"),
        ("mainstay_service_log_bytes{service=\"a@1\"}", "77"),
    ] {
        assert_eq!(value(&text, series).as_deref(), Some(expected), "{series} in {text}");
    }
    // What this kernel does not count is not there, rather than 0.
    for absent in ["memory_limit_bytes", "stalled", "mode=\"system\"", "processes", "direction=\"write\""] {
        assert!(!text.contains(absent), "{absent}");
    }
    let fresh = metrics(Status::new("b", ServiceKind::Oneshot), Group::default());
    for absent in ["last_exit", "start_time", "oom_kills", "ready", "memory"] {
        assert!(!fresh.contains(absent), "{absent}");
    }
}

#[test]
fn a_group_is_read_as_the_kernel_writes_it() {
    let place = std::env::temp_dir().join(format!("metrics-{}", std::process::id()));
    fs::create_dir(&place).unwrap();
    for (file, text) in [
        ("memory.current", "2097152\n"),
        ("memory.max", "max\n"),
        ("pids.current", "3\n"),
        ("cpu.stat", "usage_usec 12\nuser_usec 5\nsystem_usec 7\n"),
        ("io.stat", "8:0 rbytes=10 wbytes=1 rios=1\n8:16 rbytes=5 wbytes=0\n"),
        (
            "memory.pressure",
            "some avg10=1.50 avg60=0.00 avg300=0.00 total=9\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=4\n",
        ),
        ("cpu.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=8\n"),
    ] {
        fs::write(place.join(file), text).unwrap();
    }
    let expected = Group {
        memory: Some(2_097_152),
        processes: Some(3),
        cpu_user: Some(5),
        cpu_system: Some(7),
        read: Some(15),
        written: Some(1),
        waited: vec![("cpu", 8), ("memory", 9)],
        stalled: vec![("memory", 4)],
        ..Group::default()
    };
    assert_eq!(Group::read(place.to_str().unwrap()), expected);
    assert_eq!((Group::read(""), Group::read("/nonexistent/x")), (Group::default(), Group::default()));
    fs::remove_dir_all(&place).unwrap();
}

#[test]
fn a_file_is_replaced_as_a_whole_and_nothing_is_left_beside_it() {
    let place = std::env::temp_dir().join(format!("metrics-file-{}", std::process::id()));
    fs::create_dir(&place).unwrap();
    let file = place.join("a.prom");
    replace(&file, "one\n").unwrap();
    replace(&file, "two\n").unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), "two\n");
    let names: Vec<_> = fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["a.prom"]);
    fs::create_dir(place.join("directory")).unwrap();
    assert!(replace(&place.join("directory"), "").is_err() && replace(&place.join("no/a.prom"), "").is_err());
    assert_eq!(fs::read_dir(&place).unwrap().count(), 2);
    fs::remove_dir_all(&place).unwrap();
}
