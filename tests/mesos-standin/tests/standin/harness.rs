//! Starts the programs of the stand-in on free ports and in a directory that goes away with them.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

const DEADLINE: Duration = Duration::from_secs(30);
const PROGRAM: &str = env!("CARGO_BIN_EXE_mesos-standin");

/// A directory and two ports, for one master and one agent.
pub(crate) struct Site {
    pub(crate) directory: PathBuf,
    /// A loopback address that no other site has: a port on it stays free until this site takes it.
    pub(crate) ip: Ipv4Addr,
    pub(crate) master_port: u16,
    pub(crate) agent_port: u16,
}

impl Site {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // Orphaned executors become ours, so that a test decides when they are reaped.
        nix::sys::prctl::set_child_subreaper(true).unwrap();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("mesos-standin-{}-{number}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let [_, _, high, low] = std::process::id().to_be_bytes();
        let ip = Ipv4Addr::new(127, 1 + high % 128, low, u8::try_from(number + 1).unwrap());
        Self { directory, ip, master_port: free_port(ip), agent_port: free_port(ip) }
    }

    pub(crate) fn work(&self) -> PathBuf {
        self.directory.join("agent")
    }

    pub(crate) fn master(&self) -> Program {
        let mut master = Program::start("mesos-master", &self.master_flags());
        master.expect("Elected as the leading master");
        master
    }

    pub(crate) fn master_flags(&self) -> Vec<String> {
        let (ip, port, work) = (self.ip, self.master_port, self.directory.join("master"));
        vec![format!("--ip={ip}"), format!("--port={port}"), format!("--work_dir={}", work.display())]
    }

    /// The flags of an agent, and `more`.
    pub(crate) fn agent_flags(&self, more: &[&str]) -> Vec<String> {
        let mut flags = vec![
            format!("--ip={}", self.ip),
            format!("--port={}", self.agent_port),
            format!("--master={}:{}", self.ip, self.master_port),
            format!("--work_dir={}", self.work().display()),
            format!("--runtime_dir={}", self.directory.join("run").display()),
            "--no-systemd_enable_support".to_owned(),
            "--no-standin_host_checks".to_owned(),
            "--registration_backoff_factor=80ms".to_owned(),
        ];
        flags.extend(more.iter().map(|flag| (*flag).to_owned()));
        flags
    }

    pub(crate) fn agent(&self, more: &[&str]) -> Program {
        Program::start("mesos-agent", &self.agent_flags(more))
    }

    /// An agent that has registered for the first time, with its executors connected.
    pub(crate) fn settled_agent(&self, more: &[&str]) -> Program {
        let mut agent = self.agent(more);
        agent.expect_all(&["Registered with master", "'standin.1' registered", "'standin.2' registered"]);
        agent
    }

    /// An agent that has come back to the executors of an earlier one.
    pub(crate) fn returned_agent(&self, more: &[&str]) -> Program {
        let mut agent = self.agent(more);
        agent.expect_all(&["Re-registered with master"]);
        agent
    }

    pub(crate) fn agent_id(&self) -> String {
        let link = fs::read_link(self.work().join("meta/slaves/latest")).unwrap();
        link.to_str().unwrap().to_owned()
    }

    /// The checkpointed pids of all executors, in the order of their names.
    pub(crate) fn executors(&self) -> Vec<Pid> {
        let mut files = Vec::new();
        find(&self.work().join("meta"), "forked.pid", &mut files);
        files.sort();
        files.iter().map(|file| Pid::from_raw(fs::read_to_string(file).unwrap().parse().unwrap())).collect()
    }

    /// Ends the executors, whose agent is gone, and reaps them.
    pub(crate) fn kill_executors(&self) {
        for pid in self.executors() {
            let _ = kill(pid, Signal::SIGKILL);
            let _ = waitpid(pid, None);
        }
    }

    /// The whole answer to a GET.
    pub(crate) fn get(&self, port: u16, path: &str) -> String {
        let mut stream = TcpStream::connect((self.ip, port)).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    pub(crate) fn agent_metric(&self, key: &str) -> String {
        metric(&self.get(self.agent_port, "/metrics/snapshot?timeout=5secs"), key)
    }

    pub(crate) fn master_metric(&self, key: &str) -> String {
        metric(&self.get(self.master_port, "/metrics/snapshot?timeout=5secs"), key)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.kill_executors();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

pub(crate) fn find(directory: &Path, name: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            find(&path, name, found);
        } else if entry.file_name() == name {
            found.push(path);
        }
    }
}

/// A running program, and what it has logged.
pub(crate) struct Program {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Program {
    pub(crate) fn start(name: &str, flags: &[String]) -> Self {
        let mut child = command(name, flags).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, lines, seen: Vec::new() }
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// Waits for a line with each of these texts, in any order, from now on.
    pub(crate) fn expect_all(&mut self, texts: &[&str]) {
        let deadline = Instant::now() + DEADLINE;
        let mut missing = texts.to_vec();
        while !missing.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left);
            let line = line.unwrap_or_else(|error| panic!("{missing:?}: {error}; seen: {:#?}", self.seen));
            missing.retain(|text| !line.contains(text));
            self.seen.push(line);
        }
    }

    pub(crate) fn expect(&mut self, text: &str) {
        self.expect_all(&[text]);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Sends a signal and waits for the end.
    pub(crate) fn end(mut self, signal: Signal) -> ExitStatus {
        self.signal(signal);
        let status = self.wait();
        assert!(signal == Signal::SIGUSR1 || status.signal() == Some(signal as i32), "{status}");
        status
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One of the programs, in a process group of its own and with no variable but PATH.
pub(crate) fn command(name: &str, flags: &[String]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.arg0(name).args(flags).env_clear().env("PATH", "/usr/bin:/bin");
    command.stdin(Stdio::null()).stdout(Stdio::null()).process_group(0);
    command
}

fn free_port(ip: Ipv4Addr) -> u16 {
    TcpListener::bind((ip, 0)).unwrap().local_addr().unwrap().port()
}

/// The value of a metric in an answer, as text.
fn metric(answer: &str, key: &str) -> String {
    let start = answer.find(&format!("\"{key}\":")).unwrap_or_else(|| panic!("no {key} in {answer}"));
    let value = &answer[start + key.len() + 3..];
    value[..value.find([',', '}']).unwrap()].to_owned()
}

/// The fields of `/proc/PID/stat` after the name: state, parent, group, session ...
pub(crate) fn stat(pid: Pid) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    text.rsplit_once(')').unwrap().1.split_whitespace().map(str::to_owned).collect()
}
