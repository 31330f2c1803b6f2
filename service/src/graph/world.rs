//! A small world: services with the edges between them, supervisors that obey, die, fail and give up, commands and
//! reports that cross on their way, and people who change their minds.

use super::invariants::{self, Moment, Violation};
use super::*;
use crate::definition::Kind;
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

/// What a supervisor is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    Idle,
    Starting,
    Up,
    Backoff,
    Stopping { again: bool },
    Ended,
    Failed,
}

/// A supervisor, and what is on its way to and from it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Supervisor {
    pub(super) phase: Phase,
    pub(super) want: Want,
    exiting: bool,
    commands: VecDeque<Told>,
    reports: VecDeque<(State, Want)>,
}

/// What a supervisor is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Told {
    Start,
    Stop,
    Restart,
    Halt,
}

/// How much may happen that nobody can foresee.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Budget {
    /// Requests.
    pub(super) requests: u8,
    /// Deaths and failures.
    pub(super) failures: u8,
    /// Commands that are given to a supervisor past init.
    pub(super) strangers: u8,
    /// What takes its time.
    pub(super) slow: Slow,
}

/// What takes its time on its way, so that other things happen meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Slow {
    Nothing,
    Reports,
    ReportsAndCommands,
}

/// Something that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Happening {
    Request(Request),
    /// A supervisor takes its next command.
    Hears(Index),
    /// The graph takes a supervisor's next report.
    Reports(Index),
    /// What runs goes on to this phase.
    Goes(Index, Phase),
    /// Somebody speaks to a supervisor past init.
    Stranger(Index, bool),
}

/// A graph with its supervisors, and what people have asked for, kept apart from what the graph makes of it.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) graph: Graph,
    pub(super) supervisors: Vec<Supervisor>,
    /// What is wanted, by the words of the requests alone.
    pub(super) wanted: Vec<bool>,
    pub(super) down: bool,
    /// Somebody has spoken to a supervisor past init: what is wanted is no longer told by the requests alone.
    pub(super) tainted: bool,
    budget: Budget,
}

impl World {
    /// `"b requires a, after c"` and so on, one service a line.
    pub(super) fn new(lines: &[&str], budget: Budget) -> World {
        World::of(tests::graph(lines), budget)
    }

    pub(super) fn of(graph: Graph, budget: Budget) -> World {
        let idle = Supervisor {
            phase: Phase::Idle,
            want: Want::Down,
            exiting: false,
            commands: VecDeque::new(),
            reports: VecDeque::new(),
        };
        let size = graph.nodes.len();
        World {
            graph,
            supervisors: vec![idle; size],
            wanted: vec![false; size],
            down: false,
            tainted: false,
            budget,
        }
    }

    /// Tells this state of the world from others.
    pub(super) fn key(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for node in &self.graph.nodes {
            (node.state, node.obstacle, node.wanted, node.once, node.should_run).hash(&mut hasher);
            (node.told, node.heard, node.halted, node.restart, node.hurry).hash(&mut hasher);
            (node.obeyed, node.repeat).hash(&mut hasher);
            (node.barred, node.presence).hash(&mut hasher);
        }
        (&self.supervisors, &self.wanted, self.down, self.tainted, self.budget).hash(&mut hasher);
        hasher.finish()
    }

    /// From now on nothing happens that nobody could foresee.
    pub(super) fn calm(&mut self) {
        self.budget = Budget { requests: 0, failures: 0, strangers: 0, ..self.budget };
    }

    /// Whether nothing is on its way and nothing goes on by itself.
    pub(super) fn at_rest(&self) -> bool {
        self.supervisors.iter().all(|supervisor| {
            let rests = matches!(supervisor.phase, Phase::Idle | Phase::Up | Phase::Ended | Phase::Failed);
            rests && supervisor.commands.is_empty() && supervisor.reports.is_empty()
        })
    }

    /// Whether there is a process, or what a oneshot has done and can undo.
    pub(super) fn runs(&self, index: Index) -> bool {
        match self.supervisors[index].phase {
            Phase::Idle | Phase::Failed => false,
            Phase::Ended => self.graph.nodes[index].entry.undo,
            Phase::Starting | Phase::Up | Phase::Backoff | Phase::Stopping { .. } => true,
        }
    }

    /// Everything that can happen next.
    pub(super) fn happenings(&self) -> Vec<Happening> {
        let mut all = Vec::new();
        for (index, supervisor) in self.supervisors.iter().enumerate() {
            if !supervisor.commands.is_empty() {
                all.push(Happening::Hears(index));
            }
            if !supervisor.reports.is_empty() {
                all.push(Happening::Reports(index));
            }
            let oneshot = self.graph.nodes[index].entry.kind == Kind::Oneshot;
            let success = if oneshot { Phase::Ended } else { Phase::Up };
            let (free, failing): (Option<Phase>, &[Phase]) = match supervisor.phase {
                Phase::Starting => (Some(success), &[Phase::Failed, Phase::Backoff]),
                Phase::Up => (None, &[Phase::Starting, Phase::Backoff, Phase::Failed]),
                Phase::Backoff => (Some(Phase::Starting), &[]),
                Phase::Stopping { again } => (Some(if again { Phase::Starting } else { Phase::Idle }), &[]),
                Phase::Idle | Phase::Ended | Phase::Failed => (None, &[]),
            };
            all.extend(free.map(|phase| Happening::Goes(index, phase)));
            if self.budget.failures > 0 {
                all.extend(failing.iter().map(|phase| Happening::Goes(index, *phase)));
            }
            if self.budget.strangers > 0 && self.graph.nodes[index].entry.kind != Kind::Bundle {
                all.extend([Happening::Stranger(index, true), Happening::Stranger(index, false)]);
            }
        }
        if !self.down {
            if self.budget.requests > 0 {
                all.extend(self.requests().map(Happening::Request));
            }
            all.push(Happening::Request(Request::PowerOff));
        }
        all
    }

    /// Every request that can be made.
    pub(super) fn requests(&self) -> impl Iterator<Item = Request> {
        let of = |index| {
            [Request::Start(index), Request::Stop(index), Request::Restart(index), Request::Switch(index)]
        };
        (0..self.graph.nodes.len()).flat_map(of)
    }

    /// Has it happen, and everything that follows from it at once.
    pub(super) fn happen(&mut self, happening: Happening) -> Result<(), Violation> {
        self.happen_alone(happening)?;
        while self.budget.slow == Slow::Nothing
            && let Some(index) = self.supervisors.iter().position(|other| !other.reports.is_empty())
        {
            self.happen_alone(Happening::Reports(index))?;
        }
        Ok(())
    }

    fn happen_alone(&mut self, happening: Happening) -> Result<(), Violation> {
        let before: Vec<(bool, bool)> =
            self.graph.nodes.iter().map(|node| (node.wanted, node.told.is_some())).collect();
        match happening {
            Happening::Request(request) => {
                if request != Request::PowerOff {
                    self.budget.requests = self.budget.requests.saturating_sub(1);
                }
                self.ask(request);
            }
            Happening::Hears(index) => self.hear(index),
            Happening::Reports(index) => {
                if let Some((state, want)) = self.supervisors[index].reports.pop_front() {
                    self.graph.report(index, state, want, false);
                }
            }
            Happening::Goes(index, phase) => {
                let free = match self.supervisors[index].phase {
                    Phase::Starting => !matches!(phase, Phase::Failed | Phase::Backoff),
                    Phase::Up => false,
                    Phase::Idle | Phase::Backoff | Phase::Stopping { .. } | Phase::Ended | Phase::Failed => {
                        true
                    }
                };
                self.budget.failures -= u8::from(!free);
                self.change(index, |supervisor| supervisor.phase = phase);
            }
            Happening::Stranger(index, start) => {
                self.budget.strangers -= 1;
                self.tainted = true;
                self.obey(index, if start { Told::Start } else { Told::Stop });
            }
        }
        let done = self.carry_out()?;
        invariants::check(&Moment::Done { before: &before, world: self, happening, steps: &done })
    }

    fn ask(&mut self, request: Request) {
        if self.graph.request(request).is_err() {
            return;
        }
        match request {
            Request::Start(index) | Request::Once(index) | Request::Restart(index) => self.want(index),
            Request::Stop(index) => self.unwant(index),
            Request::Switch(index) => {
                self.wanted.fill(false);
                self.want(index);
            }
            Request::PowerOff => self.down = true,
        }
    }

    /// By the names in the entries, not by the graph's own edges.
    pub(super) fn named(&self, index: Index, edges: fn(&Entry) -> &[String]) -> Vec<Index> {
        let names = edges(&self.graph.nodes[index].entry);
        names.iter().filter_map(|name| self.graph.find(name)).collect()
    }

    pub(super) fn rivals(&self, index: Index) -> Vec<Index> {
        let all = 0..self.graph.nodes.len();
        all.filter(|other| self.excluded(index).contains(other) || self.excluded(*other).contains(&index))
            .filter(|other| *other != index)
            .collect()
    }

    /// What it names as conflicting, and the members of what it names.
    fn excluded(&self, index: Index) -> Vec<Index> {
        let mut found = self.named(index, |entry| &entry.conflicts);
        for other in found.clone() {
            found.extend(self.named(other, |entry| &entry.contents));
        }
        found
    }

    fn want(&mut self, index: Index) {
        if !std::mem::replace(&mut self.wanted[index], true) {
            for rival in self.rivals(index) {
                self.wanted[rival] = false;
            }
        }
        let edges: [fn(&Entry) -> &[String]; 3] =
            [|entry| &entry.requires, |entry| &entry.wants, |entry| &entry.contents];
        for other in edges.into_iter().flat_map(|edges| self.named(index, edges)).collect::<Vec<_>>() {
            self.want(other);
        }
    }

    fn unwant(&mut self, index: Index) {
        self.wanted[index] = false;
        for member in self.named(index, |entry| &entry.contents) {
            self.unwant(member);
        }
    }

    /// Does what the graph says until nothing is left.
    fn carry_out(&mut self) -> Result<Vec<Step>, Violation> {
        let mut done = Vec::new();
        while let Some(step) = self.graph.step() {
            invariants::check(&Moment::Step(self, step))?;
            match step {
                Step::Launch(index) => self.tell(index, Told::Start),
                Step::Restart(index) => self.tell(index, Told::Restart),
                Step::Stop(index) => self.tell(index, Told::Stop),
                Step::Halt(index) => self.tell(index, Told::Halt),
                Step::Publish(_) => {}
                Step::Forget(index) => self.graph.forgotten(index),
            }
            done.push(step);
            if done.len() > 200 {
                return Err(Violation { invariant: "no_wedge", story: format!("no end: {done:?}") });
            }
        }
        Ok(done)
    }

    fn tell(&mut self, index: Index, told: Told) {
        self.supervisors[index].commands.push_back(told);
        if self.budget.slow != Slow::ReportsAndCommands {
            self.hear(index);
        }
    }

    fn hear(&mut self, index: Index) {
        if let Some(told) = self.supervisors[index].commands.pop_front() {
            self.obey(index, told);
        }
    }

    fn obey(&mut self, index: Index, told: Told) {
        let undo = self.graph.nodes[index].entry.undo;
        self.change(index, |supervisor| {
            if supervisor.exiting && told != Told::Halt {
                return;
            }
            supervisor.want = if matches!(told, Told::Stop | Told::Halt) { Want::Down } else { Want::Up };
            supervisor.exiting |= told == Told::Halt;
            supervisor.phase = match (told, supervisor.phase) {
                (Told::Start | Told::Restart, Phase::Stopping { .. }) | (Told::Restart, Phase::Up) => {
                    Phase::Stopping { again: true }
                }
                (Told::Start, phase @ (Phase::Starting | Phase::Up)) => phase,
                (Told::Start | Told::Restart, _) => Phase::Starting,
                (Told::Stop | Told::Halt, Phase::Starting | Phase::Up | Phase::Stopping { .. }) => {
                    Phase::Stopping { again: false }
                }
                (Told::Stop | Told::Halt, Phase::Ended) if undo => Phase::Stopping { again: false },
                (Told::Stop | Told::Halt, _) => Phase::Idle,
            };
        });
    }

    /// A change of a supervisor, which it reports if it can be seen.
    fn change(&mut self, index: Index, change: impl FnOnce(&mut Supervisor)) {
        let supervisor = &mut self.supervisors[index];
        let before = (supervisor.state(), supervisor.want);
        change(supervisor);
        let after = (supervisor.state(), supervisor.want);
        if before != after {
            supervisor.reports.push_back(after);
        }
    }
}

impl Supervisor {
    pub(super) fn state(&self) -> State {
        match self.phase {
            Phase::Idle => State::Down,
            Phase::Starting => State::Starting,
            Phase::Up => State::Up,
            Phase::Backoff => State::Backoff,
            Phase::Stopping { .. } => State::Stopping,
            Phase::Ended => State::Done,
            Phase::Failed => State::Failed,
        }
    }
}
