//! The text form of everything that the programs hand each other: lines of `key value`, one value a line,
//! with backslash escapes for what would end it. `cat` shows it, and reading it needs no parser's heap.

pub mod words;

use std::fmt::Write;

/// Writes lines of `key value`.
#[derive(Debug, Default)]
pub struct Writer {
    text: String,
}

impl Writer {
    /// A text that begins with the line `header`.
    #[must_use]
    pub fn new(header: &str) -> Writer {
        Writer { text: format!("{header}\n") }
    }

    /// Appends a line.
    pub fn line(&mut self, key: &str, value: impl std::fmt::Display) {
        self.text.push_str(key);
        self.text.push(' ');
        escape_into(&mut self.text, format_args!("{value}"));
        self.text.push('\n');
    }

    /// Appends a line for each value.
    pub fn lines<T: std::fmt::Display>(&mut self, key: &str, values: impl IntoIterator<Item = T>) {
        for value in values {
            self.line(key, value);
        }
    }

    /// The text.
    #[must_use]
    pub fn finish(self) -> String {
        self.text
    }
}

/// Appends `value` with newline, NUL and backslash escaped.
pub fn escape_into(text: &mut String, value: std::fmt::Arguments<'_>) {
    struct Escaping<'a>(&'a mut String);
    impl Write for Escaping<'_> {
        fn write_str(&mut self, part: &str) -> std::fmt::Result {
            for character in part.chars() {
                match character {
                    '\\' => self.0.push_str("\\\\"),
                    '\n' => self.0.push_str("\\n"),
                    '\r' => self.0.push_str("\\r"),
                    '\0' => self.0.push_str("\\0"),
                    other => self.0.push(other),
                }
            }
            Ok(())
        }
    }
    // Writing to a String cannot fail.
    let _ = Escaping(text).write_fmt(value);
}

/// Undoes [`escape_into`]. An unknown escape is kept as it stands.
#[must_use]
pub fn unescape(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match (character, character == '\\') {
            (_, true) => match characters.next() {
                Some('n') => text.push('\n'),
                Some('r') => text.push('\r'),
                Some('0') => text.push('\0'),
                Some('\\') | None => text.push('\\'),
                Some(other) => {
                    text.push('\\');
                    text.push(other);
                }
            },
            (other, false) => text.push(other),
        }
    }
    text
}

/// The lines of a text as pairs of key and escaped value; a line without a value has an empty one.
pub fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter(|line| !line.is_empty()).map(|line| line.split_once(' ').unwrap_or((line, "")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_value_comes_back(value in any::<String>()) {
            let mut writer = Writer::new("header 1");
            writer.line("key", &value);
            let text = writer.finish();
            prop_assert_eq!(text.lines().count(), 2);
            let (key, escaped) = pairs(&text).nth(1).unwrap();
            prop_assert_eq!(key, "key");
            prop_assert_eq!(unescape(escaped), value);
        }
    }
}
