//! Debian's own service directories for runit (runit-services, socklog-run), as its packages have set them up, with the
//! real daemons: once under Debian's runit, once under ours.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

use tests::oracle::{Under, World, possible};

/// Settings of the daemons, not of the directories: the clock and the kernel's messages are this machine's.
const PREPARE: &str = "echo 'DAEMON_OPTS=\"-F 1 -x\"' > /etc/default/chrony\n\
    sed -i /imklog/d /etc/rsyslog.conf\n\
    echo '@reboot root touch /var/tmp/cron-ran' > /etc/cron.d/test\n\
    echo 'ServerName localhost' > /etc/apache2/conf-enabled/name.conf\n\
    echo it works > /var/www/html/index.html";

const GET: &str = "exec 3<>/dev/tcp/127.0.0.1/80; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3";

/// What each daemon is for, and what it says when it does it.
const USES: [(&str, &str, &str); 6] = [
    ("cron", "test -e /var/tmp/cron-ran && echo ran", "ran"),
    ("chrony", "chronyc tracking", "Leap status"),
    ("rsyslog", "logger a line for syslog; grep 'a line for syslog' /var/log/syslog", "a line for syslog"),
    (
        "dbus",
        "dbus-send --system --print-reply --dest=org.freedesktop.DBus / org.freedesktop.DBus.GetId",
        "string",
    ),
    ("apache2", GET, "it works"),
    ("mariadb", "mariadb --skip-column-names --execute 'select 6 * 7'", "42"),
];

fn both(test: fn(Under)) {
    if !possible() {
        eprintln!("NOT CHECKED: daemons that change their users, which takes root");
        return;
    }
    std::thread::scope(|scope| {
        let theirs = scope.spawn(|| test(Under::Runit));
        test(Under::Ours);
        theirs.join().unwrap();
    });
}

#[test]
fn debians_services_do_their_work_and_are_restarted_and_stopped_as_under_runit() {
    both(|under| {
        let mut world = World::start(under, "/etc/runit/runsvdir/default", PREPARE);
        for (_, script, text) in USES {
            world.wait_for(script, text);
        }
        for (name, script, text) in USES {
            world.kill(name);
            world.wait_for(script, text);
        }
        world.shut_down();
        let log = world.written("var/log/runit/mariadb/current");
        assert!(log.contains("ready for connections"), "{log}");
        assert!(log.trim_end().ends_with("Shutdown complete"), "it was stopped, and not killed: {log}");
    });
}

#[test]
fn socklog_receives_a_line_and_its_logger_writes_it() {
    const ONE: &str = "mkdir -p /etc/one && ln -s /etc/sv/socklog-unix /etc/one/socklog-unix";
    both(|under| {
        let mut world = World::start(under, "/etc/one", ONE);
        world.wait_for("test -S /dev/log && logger -p daemon.info first && echo sent", "sent");
        world.wait_for("cat /var/log/runit/socklog/daemon/current", "first");
        world.kill("socklog-unix");
        world.wait_for(
            "logger -p daemon.info second && grep second /var/log/runit/socklog/main/current",
            "second",
        );
        world.shut_down();
        let log = world.written("var/log/runit/socklog/main/current");
        assert!(log.contains("first") && log.contains("second"), "{log}");
    });
}

#[test]
fn scripts_that_steer_runit_by_sv_do_not_steer_us() {
    // `sv` speaks to runsv, by the files in the service directory, and we write none there. dbus.dep-fixer is a part of
    // Debian's runit: it waits for dbus with `sv start dbus`, and takes itself down with `sv down .`.
    const TWO: &str = "mkdir -p /etc/two && ln -s /etc/sv/dbus /etc/sv/dbus.dep-fixer /etc/two";
    both(|under| {
        let mut world = World::start(under, "/etc/two", TWO);
        if under == Under::Ours {
            world.wait_for("cat /run/mainstay/service/dbus.dep-fixer/status", "last-exit exit 1");
        } else {
            world.wait_for("cat /etc/sv/dbus.dep-fixer/supervise/stat", "down");
        }
        world.shut_down();
    });
}
