//! What the options of `svctl run` say, as the text of a `service.toml`: one key a line, so that a mistake in a line is
//! one in the option that it came from.

use crate::compile::Diagnostic;
use std::fmt::Write;
use toml::de::{DeTable, DeValue};

/// One key of a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The key, with those of the tables that it is in before it, and dots between.
    pub key: String,
    /// The value, as TOML.
    pub value: String,
    /// The option that says so.
    pub origin: String,
}

impl Setting {
    /// A key whose value is text.
    #[must_use]
    pub fn text(key: &str, value: &str, origin: &str) -> Setting {
        Setting { key: key.to_owned(), value: quote(value), origin: origin.to_owned() }
    }

    /// A key whose value is what it looks like, and text if that is nothing else.
    #[must_use]
    pub fn guess(key: &str, value: &str, origin: &str) -> Setting {
        let value = if is_toml(value) { value.trim().to_owned() } else { quote(value) };
        Setting { key: key.to_owned(), value, origin: origin.to_owned() }
    }

    /// A word as a part of a key.
    #[must_use]
    pub fn key(word: &str) -> String {
        let bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if !word.is_empty() && word.bytes().all(bare) { word.to_owned() } else { quote(word) }
    }
}

/// All of them, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings(Vec<Setting>);

impl Settings {
    /// Adds one, in the place of one of the same key.
    pub fn add(&mut self, setting: Setting) {
        self.0.retain(|other| other.key != setting.key);
        self.0.push(setting);
    }

    /// Adds one unless there is one of its key, which says otherwise.
    pub fn add_default(&mut self, setting: Setting) {
        if !self.0.iter().any(|other| other.key == setting.key) {
            self.0.push(setting);
        }
    }

    /// Adds those that there are.
    pub fn extend(&mut self, settings: impl IntoIterator<Item = Setting>) {
        settings.into_iter().for_each(|setting| self.add(setting));
    }

    /// Adds a list of texts, if there are any.
    pub fn add_list(&mut self, key: &str, values: &[&str], origin: &str) {
        if !values.is_empty() {
            let quoted: Vec<String> = values.iter().map(|value| quote(value)).collect();
            let value = format!("[{}]", quoted.join(", "));
            self.add(Setting { key: key.to_owned(), value, origin: origin.to_owned() });
        }
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Setting> {
        self.0.iter()
    }

    /// The text.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::new();
        for Setting { key, value, .. } in &self.0 {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{key} = {value}");
        }
        text
    }

    /// Those of a text that [`Settings::encode`] made.
    #[must_use]
    pub fn decode(text: &str) -> Settings {
        let mut settings = Settings::default();
        for (key, value) in text.lines().filter_map(|line| line.split_once(" = ")) {
            let (key, value) = (key.to_owned(), value.to_owned());
            settings.add(Setting { key, value, origin: "an earlier update".to_owned() });
        }
        settings
    }

    /// These, and others over them.
    #[must_use]
    pub fn and(mut self, others: &Settings) -> Settings {
        self.extend(others.iter().cloned());
        self
    }

    /// What is wrong with the text, with the option that it came from before it.
    #[must_use]
    pub fn explain(&self, diagnostic: &Diagnostic) -> String {
        let line = diagnostic.place.map(|place| place.line);
        let setting = line.and_then(|line| self.0.get(line.checked_sub(1)?));
        match setting {
            Some(setting) => format!("{}: {diagnostic}", setting.origin.escape_debug()),
            None => diagnostic.to_string(),
        }
    }
}

/// Whether this is a value by itself. What is a number with a point, or a date, is more likely meant as text.
fn is_toml(value: &str) -> bool {
    let delimited = value.trim_start().starts_with(['"', '\'', '[', '{']);
    if value.contains(['\n', '\r']) || value.contains('#') && !delimited {
        return false;
    }
    let text = format!("x = {value}");
    let Ok(table) = DeTable::parse(&text) else { return false };
    let table = table.get_ref();
    let value = table.get("x").filter(|_| table.len() == 1);
    matches!(
        value.map(toml::Spanned::get_ref),
        Some(
            DeValue::String(_)
                | DeValue::Integer(_)
                | DeValue::Boolean(_)
                | DeValue::Array(_)
                | DeValue::Table(_)
        )
    )
}

/// Text in quotes.
#[must_use]
pub fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            _ if character.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(character));
            }
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::{Location, Place, Severity};

    #[test]
    fn a_value_is_what_it_looks_like_and_text_otherwise() {
        for (given, expected) in [
            ("100", "100"),
            ("true", "true"),
            ("[\"a\", 1]", "[\"a\", 1]"),
            ("{ a = 1 }", "{ a = 1 }"),
            ("\"5\"", "\"5\""),
            ("64MiB", "\"64MiB\""),
            ("5s", "\"5s\""),
            ("50%", "\"50%\""),
            ("1.5", "\"1.5\""),
            ("2026-01-01", "\"2026-01-01\""),
            ("1 # x", "\"1 # x\""),
            ("1\ny = 2", "\"1\\ny = 2\""),
            ("", "\"\""),
        ] {
            assert_eq!(Setting::guess("k", given, "").value, expected, "{given}");
        }
    }

    #[test]
    fn what_is_said_last_counts_and_a_default_only_without_it() {
        let mut settings = Settings::default();
        settings.add(Setting::text("a", "1", ""));
        settings.add(Setting::text("b", "2", ""));
        settings.add(Setting::text("a", "3", ""));
        settings.add_default(Setting::text("a", "4", ""));
        settings.add_default(Setting::text("c", "5", ""));
        assert_eq!(settings.encode(), "b = \"2\"\na = \"3\"\nc = \"5\"\n");
    }

    #[test]
    fn a_mistake_is_told_with_the_option_that_it_came_from() {
        let mut settings = Settings::default();
        settings.add(Setting::text("a", "1", "--a 1"));
        settings.add(Setting::text("b", "2", "--b 2"));
        let at = Location { path: "p".into(), place: Some(Place { line: 2, column: 5 }) };
        let wrong = Diagnostic::new(&at, Severity::Error, "no", None);
        assert_eq!(settings.explain(&wrong), "--b 2: p:2:5: no");
    }

    #[test]
    fn quoted_text_is_read_as_it_was() {
        for text in ["", "a b", "\"\\\n\t\u{1}\u{7f}\u{e9}"] {
            let line = format!("x = {}", quote(text));
            let table = DeTable::parse(&line).unwrap();
            assert_eq!(table.get_ref().get("x").unwrap().get_ref().as_str(), Some(text));
        }
    }
}
