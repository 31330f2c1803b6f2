//! The compiled settings of the machine: what `/etc/init.toml` says, as init reads it.

use crate::codec::{Writer, pairs, unescape};
use crate::shutdown::Limits;
use std::time::Duration;

/// The first line of compiled settings; the number is their version.
pub const HEADER: &str = "mainstay-settings 1";

/// Who besides root may ask init for what. Whatever no rule allows is refused.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Rule {
    /// The users, by number.
    pub users: Vec<u32>,
    /// The groups, by number: any of a client's groups will do (unix(7), `SO_PEERGROUPS`).
    pub groups: Vec<u32>,
    /// The verbs, as [`crate::wire::InitCommand::verb`] has them; `*` is every one.
    pub verbs: Vec<String>,
    /// The services: names, in which `*` stands for any characters. Verbs without a service need `*`.
    pub services: Vec<String>,
}

/// Settings of the machine.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Settings {
    /// Who may do what, besides root.
    pub rules: Vec<Rule>,
    /// How long the stages of going down may take.
    pub limits: Limits,
    /// The hardware watchdog's timeout; none leaves it alone.
    pub watchdog: Option<Duration>,
}

impl Rule {
    /// Whether this rule lets a client with these numbers use `verb` on `service`.
    #[must_use]
    pub fn allows(&self, user: u32, groups: &[u32], verb: &str, service: Option<&str>) -> bool {
        let who = self.is_for(user, groups);
        let what = self.verbs.iter().any(|word| word == "*" || word == verb);
        let whom = |pattern: &String| match service {
            Some(name) => matches(pattern, name),
            None => pattern == "*",
        };
        who && what && self.services.iter().any(whom)
    }

    fn is_for(&self, user: u32, groups: &[u32]) -> bool {
        self.users.contains(&user) || groups.iter().any(|group| self.groups.contains(group))
    }
}

/// Whether `name` is of the form of `pattern`, in which `*` stands for any characters.
#[must_use]
pub fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, rest)) => name.strip_prefix(head).is_some_and(|tail| {
            let starts = tail.char_indices().map(|(place, _)| place).chain([tail.len()]);
            starts.into_iter().any(|place| tail.get(place..).is_some_and(|tail| matches(rest, tail)))
        }),
    }
}

impl Settings {
    /// Whether a client that is not root may use `verb` on `service`.
    #[must_use]
    pub fn allow(&self, user: u32, groups: &[u32], verb: &str, service: Option<&str>) -> bool {
        self.rules.iter().any(|rule| rule.allows(user, groups, verb, service))
    }

    /// Whether any rule is for this client.
    #[must_use]
    pub fn knows(&self, user: u32, groups: &[u32]) -> bool {
        self.rules.iter().any(|rule| rule.is_for(user, groups))
    }

    /// The text of the settings.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = Writer::new(HEADER);
        let limits = &self.limits;
        for (key, limit) in [
            ("limit-services", limits.services),
            ("limit-terminate", limits.terminate),
            ("limit-kill", limits.kill),
            ("limit-logger", limits.logger),
            ("limit-unmount", limits.unmount),
        ] {
            out.line(key, limit.as_millis());
        }
        if let Some(watchdog) = self.watchdog {
            out.line("watchdog", watchdog.as_millis());
        }
        for rule in &self.rules {
            out.line("rule", "");
            out.lines("user", &rule.users);
            out.lines("group", &rule.groups);
            out.lines("verb", &rule.verbs);
            out.lines("service", &rule.services);
        }
        out.finish()
    }

    /// Reads settings; none if they are not settings, or of another version.
    #[must_use]
    pub fn decode(text: &str) -> Option<Settings> {
        if text.lines().next()? != HEADER {
            return None;
        }
        let mut settings = Settings::default();
        for (key, escaped) in pairs(text).skip(1) {
            settings.set(key, unescape(escaped))?;
        }
        Some(settings)
    }

    fn set(&mut self, key: &str, value: String) -> Option<()> {
        let milliseconds = || value.parse().ok().map(Duration::from_millis);
        match key {
            "limit-services" => self.limits.services = milliseconds()?,
            "limit-terminate" => self.limits.terminate = milliseconds()?,
            "limit-kill" => self.limits.kill = milliseconds()?,
            "limit-logger" => self.limits.logger = milliseconds()?,
            "limit-unmount" => self.limits.unmount = milliseconds()?,
            "watchdog" => self.watchdog = Some(milliseconds()?),
            "rule" => self.rules.push(Rule::default()),
            "user" => self.rules.last_mut()?.users.push(value.parse().ok()?),
            "group" => self.rules.last_mut()?.groups.push(value.parse().ok()?),
            "verb" => self.rules.last_mut()?.verbs.push(value),
            "service" => self.rules.last_mut()?.services.push(value),
            _ => return None,
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operators() -> Rule {
        Rule {
            users: vec![1000],
            groups: vec![50],
            verbs: vec!["restart".to_owned(), "stop".to_owned()],
            services: vec!["mesos-*".to_owned(), "sshd".to_owned()],
        }
    }

    #[test]
    fn settings_come_back_from_their_text() {
        let settings = Settings {
            rules: vec![operators(), Rule::default()],
            watchdog: Some(Duration::from_secs(30)),
            ..Settings::default()
        };
        assert_eq!(Settings::decode(&settings.encode()), Some(settings));
        assert_eq!(Settings::decode("mainstay-settings 0\n"), None);
        assert_eq!(Settings::decode(&format!("{HEADER}\nuser 1\n")), None);
    }

    #[test]
    fn what_no_rule_allows_is_refused() {
        let settings = Settings { rules: vec![operators()], ..Settings::default() };
        assert!(settings.allow(1000, &[], "restart", Some("mesos-agent")));
        assert!(settings.allow(7, &[3, 50], "stop", Some("sshd")));
        for (user, groups, verb, service) in [
            (7, [3], "restart", Some("sshd")),
            (1000, [3], "kill", Some("sshd")),
            (1000, [3], "restart", Some("mesos")),
            (1000, [3], "restart", None),
        ] {
            assert!(!settings.allow(user, &groups, verb, service), "{user} {verb} {service:?}");
        }
        assert!(settings.knows(1000, &[]) && settings.knows(7, &[50]) && !settings.knows(7, &[3]));
    }

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, name, expected) in [
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abcb", false),
            ("*agent*", "mesos-agent", true),
            ("a*b*c", "a-b-b-c", true),
            ("a", "ab", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
