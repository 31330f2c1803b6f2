//! Loggers in service directories, under s6-svscan, under runsvdir and under our init: the same directory, and no line
//! lost, whoever is stopped or killed. What is lost or doubled there, and not here, is asserted for each.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

use tests::oracle::{Under, World, possible};
use tests::wait::eventually_some;

/// A service that writes as many lines as it is told, and a logger that appends what it reads to a file.
const PREPARE: &str = "mkdir -p /etc/one/a/log && cd /etc/one/a && mkfifo /var/tmp/go\n\
    echo '#!/bin/sh' | tee run log/run > /dev/null && chmod +x run log/run\n\
    echo 'while read -r from to; do i=$from; while [ $i -le $to ]; do echo line $i; i=$((i + 1)); done; done <> /var/tmp/go' >> run\n\
    echo 'exec cat >> /var/tmp/out' >> log/run\ncd /";

fn write(world: &World, from: u32, to: u32) {
    assert!(world.run(&format!("echo {from} {to} > /var/tmp/go")).status.success());
}

/// Waits until exactly the lines up to this one are in the file, in order.
#[track_caller]
fn has_all(world: &World, to: u32) {
    world.wait_for("tail -n 1 /var/tmp/out", &format!("line {to}\n"));
    let expected: Vec<String> = (1..=to).map(|number| format!("line {number}")).collect();
    let found = world.says("cat /var/tmp/out").unwrap();
    let found: Vec<&str> = found.lines().collect();
    assert_eq!(found, expected);
}

fn each(test: fn(Under)) {
    if !possible() {
        eprintln!("NOT CHECKED: namespaces with a root of their own, which takes root");
        return;
    }
    std::thread::scope(|scope| {
        let others = [Under::S6, Under::Runit].map(|under| scope.spawn(move || test(under)));
        test(Under::Ours);
        for other in others {
            other.join().unwrap();
        }
    });
}

#[test]
fn no_line_is_lost_when_either_side_is_stopped_or_killed() {
    each(|under| {
        let mut world = World::start(under, "/etc/one", PREPARE);
        eventually_some("both run", || world.pid("a").and(world.pid(&world.name("a/log"))));
        write(&world, 1, 1000);
        has_all(&world, 1000);

        // The logger is down while lines are written: they stay in the pipe.
        world.ask(false, "a/log");
        world.wait_for("grep -l cat /proc/[0-9]*/comm | wc -l", "0");
        write(&world, 1001, 2000);
        world.ask(true, "a/log");
        has_all(&world, 2000);

        // The service is killed: the logger sees no end.
        let logger = world.pid(&world.name("a/log"));
        let service = world.pid("a").unwrap();
        assert!(world.run(&format!("kill -KILL {service}")).status.success());
        eventually_some("it runs again", || world.pid("a").filter(|pid| *pid != service));
        write(&world, 2001, 3000);
        has_all(&world, 3000);
        assert_eq!(world.pid(&world.name("a/log")), logger);
        world.shut_down();
    });
}

#[test]
fn a_killed_supervisor_costs_no_line_with_us_and_doubles_with_them() {
    each(|under| {
        let mut world = World::start(under, "/etc/one", PREPARE);
        let logger = eventually_some("both run", || world.pid("a").and(world.pid(&world.name("a/log"))));
        write(&world, 1, 1000);
        has_all(&world, 1000);
        let supervisor = world.supervisor("a/log").unwrap();
        assert!(world.run(&format!("kill -KILL {supervisor}")).status.success());
        if under == Under::Ours {
            eventually_some("there is another supervisor", || {
                let text = world.says("grep ^supervisor /run/mainstay/service/a-log/status")?;
                Some(text).filter(|text| !text.ends_with(&format!(" {supervisor}\n")))
            });
            assert_eq!(world.pid("a-log"), Some(logger), "it was taken over");
            write(&world, 1001, 2000);
            has_all(&world, 2000);
        } else {
            // A second one is started beside the first. Under s6 both read from the same pipe; under runit the second
            // has a pipe of its own, and so has the second copy of the service.
            world.wait_for("grep -lx cat /proc/[0-9]*/comm | wc -l", "2");
        }
        drop(world.run("kill -KILL -1"));
        if under == Under::Ours {
            world.shut_down();
        }
    });
}
