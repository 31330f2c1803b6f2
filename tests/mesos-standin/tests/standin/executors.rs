//! What `restart mesos-agent` must not touch, and what only a drain may.

use std::fs;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid, waitpid};
use nix::unistd::Pid;

use crate::harness::{Site, stat};

/// Reaps orphans as an init does, whenever they die.
fn reap_when_dead(pids: &[Pid]) -> Vec<std::thread::JoinHandle<()>> {
    pids.iter().map(|&pid| std::thread::spawn(move || assert!(waitpid(pid, None).is_ok()))).collect()
}

#[test]
fn executors_survive_the_sigkill_of_their_agent_and_the_next_one_finds_them() {
    let site = Site::new();
    let _master = site.master();
    let agent = site.settled_agent(&[]);
    let before = site.executors();
    assert_eq!(before.len(), 2);
    agent.end(Signal::SIGKILL);
    let mut agent = site.agent(&[]);
    agent.expect_all(&[
        "Recovered executor 'standin.1'",
        "Recovered executor 'standin.2'",
        "Re-registered with master",
    ]);
    assert_eq!(site.executors(), before);
    let state = site.get(site.agent_port, "/state");
    for pid in before {
        assert!(state.contains(&format!("\"pid\":{pid},\"running\":true,\"connected\":true")), "{state}");
    }
}

#[test]
fn an_executor_has_its_own_session_and_none_of_the_agents_environment() {
    let site = Site::new();
    let _master = site.master();
    let agent = site.settled_agent(&[]);
    for pid in site.executors() {
        let stat = stat(pid);
        assert_eq!(stat[3], pid.to_string(), "session");
        let environment = fs::read_to_string(format!("/proc/{pid}/environ")).unwrap();
        assert!(environment.contains("MESOS_EXECUTOR_ID=standin."), "{environment}");
        let names = environment.split('\0').filter(|variable| !variable.is_empty());
        assert!(
            names
                .clone()
                .all(|variable| variable.starts_with("MESOS_") || variable.starts_with("LIBPROCESS_IP="))
        );
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        assert!(status.contains(&format!("PPid:\t{}", agent.pid())), "{status}");
    }
}

/// The processes of a group, without its leader.
fn others_in_group(group: Pid) -> Vec<Pid> {
    let pids = fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).map(Pid::from_raw);
    pids.filter(|pid| *pid != group)
        .filter(|pid| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace().nth(2);
            fields == Some(group.to_string().as_str())
        })
        .collect()
}

#[test]
fn a_logger_stays_in_the_agents_group_with_its_stderr_until_its_executor_ends() {
    let site = Site::new();
    let _master = site.master();
    let mut agent = site.settled_agent(&[]);
    let stderr = |pid: Pid| -> PathBuf { fs::read_link(format!("/proc/{pid}/fd/2")).unwrap() };
    let loggers = others_in_group(agent.pid());
    assert_eq!(loggers.len(), 2);
    let pipe = stderr(agent.pid());
    agent.signal(Signal::SIGKILL);
    agent.wait();
    for logger in &loggers {
        assert_eq!(stderr(*logger), pipe, "the agent is gone and its stderr is not");
    }
    for executor in site.executors() {
        kill(executor, Signal::SIGTERM).unwrap();
        waitpid(executor, None).unwrap();
        agent.expect("the executor has ended");
    }
    for logger in loggers {
        waitpid(logger, None).unwrap();
    }
}

#[test]
fn a_sandbox_has_a_line_for_each_thing_that_happened() {
    let site = Site::new();
    let _master = site.master();
    site.settled_agent(&[]).end(Signal::SIGKILL);
    let agent = site.returned_agent(&[]);
    let loggers = loggers_of(&site);
    agent.end(Signal::SIGKILL);
    for executor in site.executors() {
        kill(executor, Signal::SIGTERM).unwrap();
        waitpid(executor, None).unwrap();
    }
    for logger in loggers {
        waitpid(logger, None).unwrap();
    }
    let mut files = Vec::new();
    crate::harness::find(&site.work().join("slaves"), "stdout", &mut files);
    assert_eq!(files.len(), 2);
    for file in files {
        let text = fs::read_to_string(file).unwrap();
        assert_eq!(text.matches("Connected with agent").count(), 2, "{text}");
        assert!(text.contains("a stand-in for tests") && text.contains("Received SIGTERM"), "{text}");
    }
}

/// The loggers of a site's executors, whichever agent they came with.
fn loggers_of(site: &Site) -> Vec<Pid> {
    let work = site.work().display().to_string();
    let pids = fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).map(Pid::from_raw);
    pids.filter(|pid| {
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.starts_with("mesos-logrotate-logger") && line.contains(&work)
    })
    .collect()
}

#[test]
fn a_zombie_counts_as_running_until_somebody_reaps_it() {
    let site = Site::new();
    let _master = site.master();
    site.settled_agent(&[]).end(Signal::SIGKILL);
    let executors = site.executors();
    let mut agent = site.returned_agent(&[]);
    kill(executors[0], Signal::SIGKILL).unwrap();
    waitid(Id::Pid(executors[0]), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).unwrap();
    agent.expect(&format!("(pid {}) disconnected", executors[0]));
    assert_eq!(site.agent_metric("slave/executors_running"), "2");
    waitpid(executors[0], None).unwrap();
    assert_eq!(site.agent_metric("slave/executors_running"), "1");
}

#[test]
fn sigusr1_drains_the_agent() {
    let site = Site::new();
    let mut master = site.master();
    let mut agent = site.settled_agent(&[]);
    let executors = site.executors();
    agent.signal(Signal::SIGUSR1);
    agent.expect("Received SIGUSR1 signal from process");
    agent.expect_all(&[
        &format!("(pid {}) is gone", executors[0]),
        &format!("(pid {}) is gone", executors[1]),
    ]);
    assert_eq!(agent.wait().code(), Some(0));
    master.expect("unregistered");
    for pid in executors {
        assert_eq!(kill(pid, None), Err(Errno::ESRCH));
    }
    assert!(!site.work().join("meta/slaves/latest").exists(), "the next agent is a new one");
}

#[test]
fn sigusr1_drains_executors_that_an_earlier_agent_launched() {
    let site = Site::new();
    let _master = site.master();
    site.settled_agent(&[]).end(Signal::SIGTERM);
    let executors = site.executors();
    let reapers = reap_when_dead(&executors);
    let agent = site.returned_agent(&[]);
    assert_eq!(agent.end(Signal::SIGUSR1).code(), Some(0));
    for reaper in reapers {
        reaper.join().unwrap();
    }
}

#[test]
fn an_executor_that_ignores_the_drain_is_killed_after_the_grace_period() {
    let site = Site::new();
    let _master = site.master();
    let mut agent = site.settled_agent(&["--executor_shutdown_grace_period=50ms"]);
    let executors = site.executors();
    kill(executors[1], Signal::SIGSTOP).unwrap();
    agent.signal(Signal::SIGUSR1);
    agent.expect("still there after 50ms");
    agent.expect(&format!("(pid {}) with SIGKILL", executors[1]));
    assert_eq!(agent.wait().code(), Some(0));
    assert_eq!(kill(executors[1], None), Err(Errno::ESRCH));
}

#[test]
fn executors_end_by_themselves_when_no_agent_returns_in_time() {
    let site = Site::new();
    let _master = site.master();
    site.settled_agent(&["--recovery_timeout=10ms"]).end(Signal::SIGKILL);
    for pid in site.executors() {
        let status = waitpid(pid, None).unwrap();
        assert!(matches!(status, nix::sys::wait::WaitStatus::Exited(_, 0)), "{status:?}");
    }
}
