//! What has to be kept of the graph so that another process can go on in this one's place.

use super::{Goal, Graph, Index, Node, Obstacle, Presence};
use crate::plan::Entry;
use crate::status::{State, Want};
use std::fmt;

/// Where one service stands, without its edges, which come from the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saved {
    state: State,
    obstacle: Obstacle,
    wanted: bool,
    once: bool,
    overdue: bool,
    told: Option<Want>,
    obeyed: bool,
    repeat: bool,
    heard: Want,
    halted: bool,
    restart: bool,
    hurry: bool,
    barred: Option<Index>,
    presence: Presence,
}

impl Graph {
    /// What to keep of a service.
    #[must_use]
    pub fn saved(&self, index: Index) -> Option<Saved> {
        // Every field is named, so that a new one is not forgotten. Edges and the order come from the plan, and what
        // should run is computed.
        let Node {
            entry: _,
            state,
            obstacle,
            wanted,
            once,
            overdue,
            should_run: _,
            told,
            obeyed,
            repeat,
            heard,
            halted,
            restart,
            hurry,
            barred,
            presence,
            requires: _,
            wants: _,
            after: _,
            followers: _,
            conflicts: _,
            place: _,
            reader: _,
        } = self.nodes.get(index)?;
        Some(Saved {
            state: *state,
            obstacle: *obstacle,
            wanted: *wanted,
            once: *once,
            overdue: *overdue,
            told: *told,
            obeyed: *obeyed,
            repeat: *repeat,
            heard: *heard,
            halted: *halted,
            restart: *restart,
            hurry: *hurry,
            barred: *barred,
            presence: *presence,
        })
    }

    /// The graph of the entries of all nodes, those included that are in no plan any more, each where it stood.
    #[must_use]
    pub fn restored(entries: Vec<(Entry, Option<Saved>)>, goal: Goal, going_down: bool) -> Graph {
        let mut graph = Graph { goal, going_down, ..Graph::default() };
        graph.nodes = entries
            .into_iter()
            .map(|(entry, saved)| {
                let node = Node::new(entry);
                match saved {
                    Some(saved) => saved.restore(node),
                    None => node,
                }
            })
            .collect();
        graph.connect();
        graph.count_draining();
        graph
    }
}

impl Saved {
    fn restore(self, node: Node) -> Node {
        Node {
            state: self.state,
            obstacle: self.obstacle,
            wanted: self.wanted,
            once: self.once,
            overdue: self.overdue,
            told: self.told,
            obeyed: self.obeyed,
            repeat: self.repeat,
            heard: self.heard,
            halted: self.halted,
            restart: self.restart,
            hurry: self.hurry,
            barred: self.barred,
            presence: self.presence,
            ..node
        }
    }

    fn flags(self) -> [(bool, char); 8] {
        [
            (self.wanted, 'w'),
            (self.once, '1'),
            (self.overdue, 'o'),
            (self.halted, 'h'),
            (self.restart, 'r'),
            (self.hurry, 'n'),
            (self.obeyed, 'b'),
            (self.repeat, 'a'),
        ]
    }

    /// Reads what [`fmt::Display`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Saved> {
        let mut words = text.split(' ');
        let mut word = || words.next();
        let state = State::parse(word()?)?;
        let flags = word()?;
        let told = word()?;
        let told = if told == "-" { None } else { Some(Want::parse(told)?) };
        let heard = Want::parse(word()?)?;
        let presence = word()?;
        let presence = Presence::ALL.iter().find(|(name, _)| *name == presence)?.1;
        let barred = word()?;
        let barred = if barred == "-" { None } else { Some(barred.parse().ok()?) };
        let obstacle = match (word()?, word().and_then(|other| other.parse().ok())) {
            ("waits", Some(other)) => Obstacle::Waits(other),
            ("requires", Some(other)) => Obstacle::Requires(other),
            ("conflicts", Some(other)) => Obstacle::Conflicts(other),
            _ => Obstacle::None,
        };
        let flag = |letter| flags.contains(letter);
        Some(Saved {
            state,
            obstacle,
            wanted: flag('w'),
            once: flag('1'),
            overdue: flag('o'),
            told,
            obeyed: flag('b'),
            repeat: flag('a'),
            heard,
            halted: flag('h'),
            restart: flag('r'),
            hurry: flag('n'),
            barred,
            presence,
        })
    }
}

impl Presence {
    const ALL: [(&str, Presence); 4] = [
        ("listed", Presence::Listed),
        ("leaving", Presence::Leaving),
        ("forgotten", Presence::Forgotten),
        ("gone", Presence::Gone),
    ];
}

impl fmt::Display for Saved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -", self.state.word())?;
        for (_, letter) in self.flags().iter().filter(|(set, _)| *set) {
            write!(f, "{letter}")?;
        }
        let presence = Presence::ALL.iter().find(|(_, presence)| *presence == self.presence);
        let presence = presence.map_or("listed", |(word, _)| word);
        write!(f, " {} {} {presence} ", self.told.map_or("-", Want::word), self.heard.word())?;
        match self.barred {
            Some(other) => write!(f, "{other}")?,
            None => f.write_str("-")?,
        }
        match self.obstacle {
            Obstacle::None => f.write_str(" free"),
            Obstacle::Waits(other) => write!(f, " waits {other}"),
            Obstacle::Requires(other) => write!(f, " requires {other}"),
            Obstacle::Conflicts(other) => write!(f, " conflicts {other}"),
        }
    }
}

impl Goal {
    /// Reads what [`fmt::Display`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Goal> {
        match text {
            "none" => Some(Goal::None),
            "everything" => Some(Goal::Everything),
            index => index.parse().ok().map(Goal::Bundle),
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Goal::None => f.write_str("none"),
            Goal::Everything => f.write_str("everything"),
            Goal::Bundle(index) => write!(f, "{index}"),
        }
    }
}
