//! The fifty services, and what is wanted of each by now.

use std::collections::BTreeSet;
use tests::{Fixture, State};

/// A service as the soak knows it.
pub(crate) struct Spec {
    pub(crate) name: String,
    pub(crate) oneshot: bool,
    /// It dies by itself.
    pub(crate) crashes: bool,
    /// It is in the tree only now and then.
    pub(crate) comes_and_goes: bool,
    /// The service that reads what it writes, if that is not the logger.
    pub(crate) sink: Option<String>,
    /// It would lose what it has read if it were killed.
    pub(crate) sinks: bool,
    /// Its definition, as it was first.
    pub(crate) definition: String,
    requires: Vec<String>,
    wants: Vec<String>,
}

/// All of them.
pub(crate) struct Model {
    pub(crate) specs: Vec<Spec>,
    wanted: BTreeSet<String>,
    absent: BTreeSet<String>,
}

/// A class of services: how many, the rest of their definition, and how the worker behaves.
const CLASSES: [(&str, usize, &str, &str); 12] = [
    ("plain", 5, "", ""),
    ("flow", 1, "[stop]\ntimeout = \"1s\"", "pause 40"),
    ("sink", 1, "", "sinks 1"),
    ("ready", 8, "[ready]\nfd = 3", "ready-after 20"),
    ("finish", 5, "", ""),
    ("slow", 5, "", "stop-delay 100"),
    ("deaf", 5, "[stop]\ntimeout = \"200ms\"", "deaf 1"),
    ("crash", 5, "", "dies-within 500"),
    ("notify", 4, "[ready]\nnotify = true", "notify-after 15"),
    ("health", 3, "[health]\ncommand = [\"true\"]\ninterval = \"500ms\"", ""),
    ("extra", 2, "", ""),
    ("once", 2, "type = \"oneshot\"", "ends-after 30"),
];

/// What requires or wants what.
const CHAIN: [(&str, &str, &[&str], &[&str]); 4] = [
    ("base", "", &[], &[]),
    ("middle", "requires = [\"base\", \"once-0\"]\n", &["base", "once-0"], &[]),
    ("top", "requires = [\"middle\"]\nafter = [\"once-1\"]\n", &["middle"], &[]),
    ("side", "wants = [\"base\"]\nafter = [\"base\"]\n", &[], &["base"]),
];

/// Adds the services to a fixture.
pub(crate) fn build(mut fixture: Fixture) -> (Fixture, Model) {
    let mut specs = Vec::new();
    for (class, count, toml, behaviour) in CLASSES {
        for number in 0..count {
            let name = format!("{class}-{number}");
            let definition = definition(&name, "", toml, behaviour);
            fixture = fixture.service(&name, &definition);
            if class == "finish" {
                fixture = fixture.finish("exit 0");
            }
            let spec = Spec {
                name,
                oneshot: class == "once",
                crashes: class == "crash",
                comes_and_goes: class == "extra",
                sink: (class == "flow").then(|| "sink-0".to_owned()),
                sinks: class == "sink",
                definition,
                requires: Vec::new(),
                // Who writes to another wants it.
                wants: if class == "flow" { vec!["sink-0".to_owned()] } else { Vec::new() },
            };
            specs.push(spec);
        }
    }
    for (name, edges, requires, wants) in CHAIN {
        let definition = definition(name, edges, "", "ready-after 10");
        fixture = fixture.service(name, &definition);
        let all = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let (requires, wants) = (all(requires), all(wants));
        specs.push(Spec {
            name: name.to_owned(),
            oneshot: false,
            crashes: false,
            comes_and_goes: false,
            sink: None,
            sinks: false,
            definition,
            requires,
            wants,
        });
    }
    let wanted = specs.iter().map(|spec| spec.name.clone()).collect();
    (fixture, Model { specs, wanted, absent: BTreeSet::new() })
}

fn definition(name: &str, edges: &str, toml: &str, behaviour: &str) -> String {
    let worker = env!("CARGO_BIN_EXE_soak-worker");
    let words = [worker, "@T", name].into_iter().chain(behaviour.split_whitespace());
    let words: Vec<String> = words.map(|word| format!("\"{word}\"")).collect();
    let (top, tables) = match toml.find('[') {
        Some(start) => toml.split_at(start),
        None => (toml, ""),
    };
    let ready =
        if edges.is_empty() && !behaviour.starts_with("ready-after 10") { "" } else { "[ready]\nfd = 3\n" };
    let to = if name == "flow-0" { "to = \"sink-0\"\n" } else { "" };
    format!(
        "command = [{}]\n{edges}{top}\n{tables}\n{ready}[restart]\ndelay = \"10ms\"\nmax-delay = \"80ms\"\n\
         [log]\n{to}rotate = {{ size = \"256KiB\", keep = 1000 }}\n",
        words.join(", ")
    )
}

impl Model {
    pub(crate) fn spec(&self, name: &str) -> &Spec {
        self.specs.iter().find(|spec| spec.name == name).unwrap()
    }

    /// Whether it is in the tree.
    pub(crate) fn is_there(&self, name: &str) -> bool {
        !self.absent.contains(name)
    }

    /// It has been taken out of the tree, or put back, which starts it.
    pub(crate) fn set_there(&mut self, name: &str, there: bool) {
        if there {
            self.absent.remove(name);
            self.start(name);
        } else {
            self.absent.insert(name.to_owned());
            self.stop(name);
        }
    }

    /// Whether a change of its definition says nothing of anything but itself.
    pub(crate) fn may_change(&self, name: &str) -> bool {
        let spec = self.spec(name);
        !spec.oneshot && !spec.crashes && spec.requires.is_empty() && spec.wants.is_empty() && name != "base"
    }

    /// Wants a service and what it needs.
    pub(crate) fn start(&mut self, name: &str) {
        let spec = self.spec(name);
        let needs: Vec<String> = spec.requires.iter().chain(&spec.wants).cloned().collect();
        self.wanted.insert(name.to_owned());
        for name in needs {
            self.start(&name);
        }
    }

    /// A service, and everything that requires it.
    pub(crate) fn with_dependents(&self, name: &str) -> Vec<String> {
        let mut found = vec![name.to_owned()];
        let mut next = 0;
        while let Some(name) = found.get(next).cloned() {
            next += 1;
            let new = self.specs.iter().filter(|spec| spec.requires.contains(&name));
            found.extend(new.map(|spec| spec.name.clone()));
        }
        found
    }

    pub(crate) fn stop(&mut self, name: &str) {
        self.wanted.remove(name);
    }

    pub(crate) fn wanted(&self, name: &str) -> bool {
        self.wanted.contains(name)
    }

    /// Whether it is wanted, and all that it requires is too.
    pub(crate) fn should_run(&self, name: &str) -> bool {
        self.wanted(name) && self.spec(name).requires.iter().all(|other| self.should_run(other))
    }

    /// Whether this is how it is in the end.
    pub(crate) fn fits(&self, name: &str, state: State) -> bool {
        let spec = self.spec(name);
        match (self.should_run(name), self.wanted(name)) {
            (true, _) if spec.oneshot => state == State::Done,
            (true, _) => state == State::Up,
            // What it requires is not wanted.
            (false, true) => state == State::Failed,
            (false, false) => state == State::Down,
        }
    }
}
