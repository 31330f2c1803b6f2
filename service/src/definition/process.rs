//! What the main process of a service runs in: everything between its clone and its exec, its control group, and where
//! its standard descriptors lead.

use crate::codec::Writer;
use crate::codec::words::{join, split};
use crate::setup::{Namespace, Setup, Stage, Step};

/// What the main process runs in, beyond its command, its directory and its environment.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Process {
    /// What is done between clone and exec, in this order.
    pub setup: Vec<Step>,
    /// The namespaces that it gets of its own.
    pub namespaces: Vec<Apart>,
    /// Which users and groups of its own user namespace are which outside: `u` or `g`, then as in uid_map
    /// (user_namespaces(7)): the first number inside, the first outside, how many.
    pub user_map: Vec<String>,
    /// Its control group.
    pub group: ControlGroup,
    /// The file that is its standard input, if it is not /dev/null.
    pub input: Option<String>,
    /// The file that its standard output and error are appended to, if they do not go to the log.
    pub output: Option<String>,
    /// The file that its standard error is appended to, if it goes elsewhere than its output.
    pub error: Option<String>,
    /// The terminal that is its input and its output, and that it controls.
    pub terminal: Option<String>,
}

/// A namespace of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Apart {
    /// Of what.
    pub kind: Namespace,
    /// Whether it is done without, with a warning, if the kernel has none or refuses it.
    pub lenient: bool,
}

/// What is asked of control groups, version 2 (cgroups(7)).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ControlGroup {
    /// The service has one of its own, whatever its stop scope.
    pub wanted: bool,
    /// It has one in any case, to be counted by: where the machine's init has handed the memory controller on.
    pub counted: bool,
    /// What is written to which of its files before the process enters: `memory.max`, `104857600`.
    pub files: Vec<(String, String)>,
    /// It is the user's of the service, who may make groups below it; ours are not looked for there.
    pub delegate: bool,
    /// Whether a limit that cannot be set is a failure to start, and not a warning.
    pub strict: bool,
}

impl Process {
    /// Whether it gets a namespace of this kind of its own.
    #[must_use]
    pub fn apart(&self, kind: Namespace) -> bool {
        self.namespaces.iter().any(|apart| apart.kind == kind)
    }

    /// The same without the namespaces that it may do without, and without the steps that would change the machine's own
    /// in their place; and which these are. None if it has to have all of them. Users of its own, which many a machine
    /// refuses where it has all the others, go first and alone.
    #[must_use]
    pub fn without_lenient(&self) -> Option<(Process, Vec<Namespace>)> {
        let users = self.namespaces.iter().any(|apart| apart.lenient && apart.kind == Namespace::User);
        let goes = |apart: &Apart| apart.lenient && (!users || apart.kind == Namespace::User);
        let (lenient, strict): (Vec<Apart>, Vec<Apart>) =
            self.namespaces.iter().partition(|apart| goes(apart));
        let lacking: Vec<Namespace> = lenient.iter().map(|apart| apart.kind).collect();
        let kept = |step: &Step| {
            #[allow(clippy::wildcard_enum_match_arm, reason = "the others are the process's own")]
            let of = match step.setup {
                Setup::Hostname(_) => Namespace::Uts,
                Setup::Loopback => Namespace::Network,
                _ if step.setup.stage() == Stage::Files => Namespace::Mount,
                _ => return true,
            };
            !lacking.contains(&of)
        };
        let mut process = Process { namespaces: strict, ..self.clone() };
        process.setup.retain(kept);
        if lacking.contains(&Namespace::User) {
            process.user_map.clear();
        }
        (!lacking.is_empty()).then_some((process, lacking))
    }

    pub(super) fn encode(&self, out: &mut Writer) {
        out.lines("setup", &self.setup);
        for apart in &self.namespaces {
            let key = if apart.lenient { "try-namespace" } else { "namespace" };
            out.line(key, apart.kind.word());
        }
        out.lines("user-map", &self.user_map);
        if self.group.wanted {
            out.line("group", true);
        }
        if self.group.counted {
            out.line("group-counted", true);
        }
        for (file, value) in &self.group.files {
            out.line("group-file", join([file.clone(), value.clone()]));
        }
        if self.group.delegate {
            out.line("group-delegate", true);
        }
        if self.group.strict {
            out.line("group-strict", true);
        }
        out.lines("input", &self.input);
        out.lines("output", &self.output);
        out.lines("error", &self.error);
        out.lines("terminal", &self.terminal);
    }

    /// Takes a line of the compiled form; none if it is of something else, or unreadable.
    pub(super) fn set(&mut self, key: &str, value: String) -> Option<()> {
        match key {
            "setup" => self.setup.push(value.parse().ok()?),
            "namespace" | "try-namespace" => {
                let kind = Namespace::parse(&value)?;
                self.namespaces.push(Apart { kind, lenient: key == "try-namespace" });
            }
            "user-map" => self.user_map.push(value),
            "group" => self.group.wanted = value.parse().ok()?,
            "group-counted" => self.group.counted = value.parse().ok()?,
            "group-file" => {
                let words: [String; 2] = split(&value).try_into().ok()?;
                self.group.files.push(words.into());
            }
            "group-delegate" => self.group.delegate = value.parse().ok()?,
            "group-strict" => self.group.strict = value.parse().ok()?,
            "input" => self.input = Some(value),
            "output" => self.output = Some(value),
            "error" => self.error = Some(value),
            "terminal" => self.terminal = Some(value),
            _ => return None,
        }
        Some(())
    }
}

#[cfg(test)]
pub(super) fn full() -> Process {
    Process {
        setup: vec!["nice 5".parse().unwrap(), "try-directory /a%20b 493".parse().unwrap()],
        namespaces: vec![
            Apart { kind: Namespace::Pid, lenient: false },
            Apart { kind: Namespace::User, lenient: true },
        ],
        user_map: vec!["u 0 0 1".to_owned()],
        group: ControlGroup {
            wanted: true,
            counted: true,
            files: vec![("io.max".to_owned(), "8:0 rbps=1".to_owned())],
            delegate: true,
            strict: true,
        },
        input: Some("/i".to_owned()),
        output: Some("/o".to_owned()),
        error: Some("/e".to_owned()),
        terminal: Some("/dev/ttyS0".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Definition;
    use super::*;

    #[test]
    fn what_runs_has_to_be_restarted_for_an_attribute_but_not_for_a_limit_of_its_group() {
        let plain = Definition::new("a", "/a");
        let changed = |change: &dyn Fn(&mut Definition)| {
            let mut other = plain.clone();
            change(&mut other);
            assert_ne!(other.digest(), plain.digest());
            other.run_digest() != plain.run_digest()
        };
        let limit = ("memory.max".to_owned(), "1".to_owned());
        assert!(!changed(&|one| one.process.group.files = vec![limit.clone()]));
        assert!(!changed(&|one| one.process.group.strict = true));
        assert!(changed(&|one| one.process.group.wanted = true), "it runs in none");
        assert!(!changed(&|one| one.process.group.counted = true));
        let (mut before, mut after) = (plain.clone(), plain.clone());
        (before.process.group.counted, after.process.group.counted) = (true, true);
        after.process.group.wanted = true;
        assert_eq!(before.run_digest(), after.run_digest(), "it runs in one already");
        assert!(changed(&|one| one.process.group.delegate = true));
        assert!(changed(&|one| one.process.setup = vec!["nice 5".parse().unwrap()]));
        assert!(changed(&|one| one.process.terminal = Some("/dev/tty1".to_owned())));
    }

    #[test]
    fn what_may_be_missing_is_left_out_with_the_steps_that_would_change_the_machines_own() {
        let setup = ["hostname h", "loopback", "hide /a no", "working-directory /b", "seccomp 6"];
        let setup: Vec<Step> = setup.iter().map(|text| text.parse().unwrap()).collect();
        let apart = |kind, lenient| Apart { kind, lenient };
        let all = [Namespace::Mount, Namespace::Network, Namespace::User];
        let mut namespaces: Vec<Apart> = all.into_iter().map(|kind| apart(kind, true)).collect();
        namespaces.push(apart(Namespace::Uts, false));
        let process =
            Process { setup, namespaces, user_map: vec!["u 0 0 1".to_owned()], ..Process::default() };
        let (without, lacking) = process.without_lenient().unwrap();
        assert_eq!(lacking, [Namespace::User]);
        assert_eq!((without.user_map.len(), without.setup.len()), (0, process.setup.len()));
        let (without, lacking) = without.without_lenient().unwrap();
        assert_eq!(lacking, all[..2]);
        assert_eq!(without.namespaces, [apart(Namespace::Uts, false)]);
        let texts: Vec<String> = without.setup.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["hostname h", "working-directory /b", "seccomp 6"]);
        assert_eq!(without.without_lenient(), None);
    }
}
