//! runit's `control` scripts: before a signal is sent its script is run, and if that ends with success the signal
//! is not sent (runsv(8)). The KILL at the end of a stop is sent whatever they say.

use crate::launch::Surroundings;
use crate::supervisor::Supervisor;
use service::definition::Scope;
use service::status::{State, Want};
use service::{Pid, Signal, Tick, WaitStatus};
use std::os::fd::AsFd;
use std::time::Duration;

/// How long a script may take; then the signal is sent.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How many signals may wait for a script that runs. Those beyond are sent at once.
const WAITING_MAX: usize = 8;

/// What a signal is sent to, and which of its processes.
type Sent = (Pid, Signal, Scope);

/// The scripts, and the signals that wait for them.
#[derive(Debug, Default)]
pub(crate) struct Controls {
    running: Option<Control>,
    /// Signals that were asked for while a script ran, each with its own scripts: one comes after the other.
    waiting: Vec<(Sent, Vec<String>)>,
}

/// A script that runs, and what waits for its end.
#[derive(Debug)]
struct Control {
    script: Pid,
    deadline: Tick,
    signal: Sent,
    /// What is run after it, last first.
    rest: Vec<String>,
    /// Whether the signal is to be sent is decided: what the second one ends with means nothing.
    decided: bool,
}

impl Supervisor {
    /// Has the scripts for a signal run in its place; false if there are none.
    pub(crate) fn controlled(&mut self, pid: Pid, signal: Signal, scope: Scope) -> bool {
        let stopping = self.machine.state() == State::Stopping;
        // The CONT of a stop is sent whatever there is for it.
        if stopping && signal == Signal::CONT {
            return false;
        }
        if self.machine.pid() != Some(pid) || (stopping && signal == Signal::KILL) {
            self.end_control();
            return false;
        }
        let letters = self.letters(signal, stopping && self.machine.want() == Want::Down);
        if letters.is_empty() {
            return false;
        }
        if self.controls.running.is_none() {
            return self.begin_scripts((pid, signal, scope), letters);
        }
        let taken = self.controls.waiting.len() < WAITING_MAX;
        if taken {
            self.controls.waiting.push(((pid, signal, scope), letters));
        }
        taken
    }

    /// False if none of them can be run, and the signal is still to be sent.
    fn begin_scripts(&mut self, (pid, signal, scope): Sent, mut letters: Vec<String>) -> bool {
        letters.reverse();
        // Of those for a stop, `d` does not take the place of the signal: it comes after it.
        let decided = letters.last().is_some_and(|letter| letter == "d");
        if decided {
            self.send(pid, signal, scope);
        }
        self.next_script((pid, signal, scope), letters, decided)
    }

    /// Goes on with what was asked for meanwhile.
    fn next_signal(&mut self) {
        while self.controls.running.is_none() && !self.controls.waiting.is_empty() {
            let (sent, letters) = self.controls.waiting.remove(0);
            let (pid, signal, scope) = sent;
            if self.machine.pid() == Some(pid) && !self.begin_scripts(sent, letters) {
                self.send(pid, signal, scope);
            }
        }
    }

    /// The scripts for a signal, in their order: for one that stops it, to stay down, there are two.
    fn letters(&self, signal: Signal, down: bool) -> Vec<String> {
        let stops = signal == self.definition.stop.signal;
        let letter = match signal.number() {
            1 => "h",
            2 => "i",
            3 => "q",
            9 => "k",
            10 => "1",
            12 => "2",
            14 => "a",
            15 => "t",
            18 => "c",
            19 => "p",
            _ if stops => "t",
            _ => return Vec::new(),
        };
        let down = if down && stops { "d" } else { letter };
        let mut letters = vec![letter, down];
        letters.dedup();
        letters.retain(|letter| self.definition.controls.iter().any(|known| known == letter));
        letters.into_iter().map(str::to_owned).collect()
    }

    fn next_script(&mut self, signal: Sent, mut rest: Vec<String>, decided: bool) -> bool {
        while let Some(letter) = rest.pop() {
            let mut definition = self.definition.clone();
            definition.working_directory.clone_from(&self.definition.directory);
            let command = [format!("./control/{letter}")];
            let surroundings = Surroundings {
                input: self.null.as_fd(),
                output: None,
                ours_alone: true,
                ..self.surroundings()
            };
            match self.launch(&definition, &command, &surroundings) {
                Ok(child) => {
                    let deadline = sys::clock::now().after(TIMEOUT);
                    self.controls.running =
                        Some(Control { script: child.pid, deadline, signal, rest, decided });
                    return true;
                }
                Err(problem) => self.say(&format!("warning: control script: {problem} (going on without)")),
            }
        }
        decided
    }

    /// Whether the process that has ended was a script; then what it was run for goes on.
    pub(crate) fn control_ended(&mut self, pid: Pid, status: WaitStatus) -> bool {
        let running = self.controls.running.take_if(|control| control.script == pid);
        let Some(control) = running else { return false };
        let (main, signal, scope) = control.signal;
        if !control.decided && !status.success() && self.machine.pid() == Some(main) {
            self.send(main, signal, scope);
        }
        self.next_script(control.signal, control.rest, true);
        self.next_signal();
        true
    }

    pub(crate) fn control_deadline(&self) -> Option<Tick> {
        self.controls.running.as_ref().map(|control| control.deadline)
    }

    /// Kills a script that takes too long: its end is that of one that failed.
    pub(crate) fn hurry_control(&mut self, now: Tick) {
        if let Some(control) = self.controls.running.as_mut().filter(|control| control.deadline <= now) {
            control.deadline = now.after(TIMEOUT);
            let _ = sys::process::signal_group(control.script, Signal::KILL);
        }
    }

    /// What they would have decided is decided.
    fn end_control(&mut self) {
        self.controls.waiting.clear();
        if let Some(control) = self.controls.running.take() {
            let _ = sys::process::signal_group(control.script, Signal::KILL);
        }
    }
}
