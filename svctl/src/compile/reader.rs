//! Reading TOML values as what they should be, with every mistake noted and none of them fatal.

use super::diagnostic::{Diagnostic, Location, Severity};
use super::sources::Sources;
use super::units;
use crate::suggest::nearest;
use service::Signal;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

/// A value with its place.
pub(super) type Value<'a> = &'a Spanned<DeValue<'a>>;

/// One key of a table with its value.
pub(super) struct Item<'a> {
    pub(super) key: &'a str,
    pub(super) span: Range<usize>,
    pub(super) value: Value<'a>,
}

/// Longer than this is never, and `never` says so.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// Collects the mistakes of the files that make up one definition.
pub(super) struct Reader<'a> {
    sources: &'a Sources,
    /// Mistakes in here are not reported: what stands there has been misread.
    misread: Vec<Range<usize>>,
    pub(super) diagnostics: Vec<Diagnostic>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(sources: &'a Sources) -> Reader<'a> {
        Reader { sources, misread: Vec::new(), diagnostics: Vec::new() }
    }

    pub(super) fn location(&self, span: &Range<usize>) -> Location {
        self.sources.location(span.start)
    }

    /// Notes a mistake in the form of a file: nothing from there to its end can be relied upon.
    pub(super) fn syntax(&mut self, span: &Range<usize>, message: &str) {
        self.push(Severity::Error, span, message, None);
        self.misread.push(span.start..self.sources.end(span.start));
    }

    /// Whether the files' form is right, so that what is absent is really absent.
    pub(super) fn is_whole(&self) -> bool {
        self.misread.is_empty()
    }

    fn reliable(&self, span: &Range<usize>) -> bool {
        !self.misread.iter().any(|range| range.contains(&span.start))
    }

    pub(super) fn error(&mut self, span: &Range<usize>, message: impl Into<String>) {
        self.suggest(span, message, None);
    }

    pub(super) fn suggest(
        &mut self,
        span: &Range<usize>,
        message: impl Into<String>,
        suggestion: Option<&str>,
    ) {
        if self.reliable(span) {
            self.push(Severity::Error, span, &message.into(), suggestion);
        }
    }

    pub(super) fn warning(&mut self, span: &Range<usize>, message: impl Into<String>) {
        if self.reliable(span) {
            self.push(Severity::Warning, span, &message.into(), None);
        }
    }

    fn push(&mut self, severity: Severity, span: &Range<usize>, message: &str, suggestion: Option<&str>) {
        let at = self.location(span);
        self.diagnostics.push(Diagnostic::new(&at, severity, message, suggestion));
    }

    /// A key that nothing is known of, in the section called `section` (empty at the top).
    pub(super) fn unknown(&mut self, item: &Item<'_>, section: &str, known: &[&str]) {
        let kind = if section.is_empty() && item.value.get_ref().is_table() { "section" } else { "key" };
        let place = if section.is_empty() { String::new() } else { format!(" in [{section}]") };
        let key = item.key.escape_debug();
        self.suggest(
            &item.span,
            format!("unknown {kind} \"{key}\"{place}"),
            nearest(item.key, known.iter().copied()),
        );
    }

    fn mismatch(&mut self, value: Value<'_>, expected: &str) {
        let found = describe(value.get_ref());
        self.error(&value.span(), format!("expected {expected}, found {found}"));
    }

    pub(super) fn string<'v>(&mut self, value: Value<'v>) -> Option<&'v str> {
        let DeValue::String(text) = value.get_ref() else {
            // What stands there is probably meant, but for the quotes.
            let quoted = match value.get_ref() {
                DeValue::Integer(number) => Some(number.as_str().to_owned()),
                DeValue::Float(number) => Some(number.as_str().to_owned()),
                DeValue::Boolean(truth) => Some(truth.to_string()),
                DeValue::Datetime(time) => Some(time.to_string()),
                DeValue::String(_) | DeValue::Array(_) | DeValue::Table(_) => None,
            };
            let found = describe(value.get_ref());
            let advice = quoted.map(|text| format!(": write \"{text}\"")).unwrap_or_default();
            self.error(&value.span(), format!("expected a string, found {found}{advice}"));
            return None;
        };
        if text.contains('\0') {
            self.error(&value.span(), "a string must not contain a NUL character");
            return None;
        }
        Some(text)
    }

    pub(super) fn filled<'v>(&mut self, value: Value<'v>) -> Option<&'v str> {
        let text = self.string(value)?;
        if text.is_empty() {
            self.error(&value.span(), "expected a string that is not empty");
            return None;
        }
        Some(text)
    }

    /// An array of strings, each with its place.
    pub(super) fn strings<'v>(&mut self, value: Value<'v>) -> Option<Vec<(&'v str, Range<usize>)>> {
        let DeValue::Array(items) = value.get_ref() else {
            self.mismatch(value, "an array of strings");
            return None;
        };
        let strings: Vec<_> =
            items.iter().map(|item| self.string(item).map(|text| (text, item.span()))).collect();
        strings.into_iter().collect()
    }

    /// A string, or an array of them.
    pub(super) fn one_or_more<'v>(&mut self, value: Value<'v>) -> Option<Vec<(&'v str, Range<usize>)>> {
        if value.get_ref().is_array() {
            return self.strings(value);
        }
        self.string(value).map(|text| vec![(text, value.span())])
    }

    /// A program with its arguments.
    pub(super) fn command(&mut self, value: Value<'_>) -> Option<Vec<String>> {
        if let DeValue::String(text) = value.get_ref() {
            let words: Vec<String> = text.split_whitespace().map(|word| format!("{word:?}")).collect();
            let advice =
                format!("expected an array of strings, found a string: write [{}]", words.join(", "));
            self.error(&value.span(), advice);
            return None;
        }
        let words = self.strings(value)?;
        match words.first() {
            None => self.error(&value.span(), "a command needs a program"),
            Some((program, span)) if program.is_empty() || program.ends_with('/') => {
                self.error(span, "expected the name of a program");
            }
            Some((program, span)) if program.contains('/') && !program.starts_with('/') => {
                let message = format!("\"{program}\" is neither a name nor an absolute path");
                self.error(span, message);
            }
            Some(_) => return Some(words.into_iter().map(|(word, _)| word.to_owned()).collect()),
        }
        None
    }

    pub(super) fn boolean(&mut self, value: Value<'_>) -> Option<bool> {
        if let DeValue::Boolean(truth) = value.get_ref() {
            return Some(*truth);
        }
        self.mismatch(value, "true or false");
        None
    }

    pub(super) fn integer(&mut self, value: Value<'_>, range: RangeInclusive<u32>) -> Option<u32> {
        let DeValue::Integer(number) = value.get_ref() else {
            self.mismatch(value, "an integer");
            return None;
        };
        let read = i128::from_str_radix(number.as_str(), number.radix()).ok();
        let found = read.and_then(|number| u32::try_from(number).ok()).filter(|n| range.contains(n));
        if found.is_none() {
            let (low, high) = (range.start(), range.end());
            self.error(&value.span(), format!("expected a number from {low} to {high}"));
        }
        found
    }

    /// A number that may be below zero.
    pub(super) fn signed(&mut self, value: Value<'_>, range: RangeInclusive<i32>) -> Option<i32> {
        let DeValue::Integer(number) = value.get_ref() else {
            self.mismatch(value, "an integer");
            return None;
        };
        let read = i128::from_str_radix(number.as_str(), number.radix()).ok();
        let found = read.and_then(|number| i32::try_from(number).ok()).filter(|n| range.contains(n));
        if found.is_none() {
            let (low, high) = (range.start(), range.end());
            self.error(&value.span(), format!("expected a number from {low} to {high}"));
        }
        found
    }

    pub(super) fn duration(&mut self, value: Value<'_>) -> Option<Duration> {
        let text = match value.get_ref() {
            DeValue::String(text) => text,
            DeValue::Integer(number) => {
                let guess = format!("{}s", number.as_str());
                let message = "expected a duration with a unit, found an integer";
                self.suggest(&value.span(), message, Some(&guess));
                return None;
            }
            DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => {
                self.mismatch(value, "a duration such as \"10s\"");
                return None;
            }
        };
        match units::duration(text) {
            Ok(duration) if duration > LONGEST => self.error(&value.span(), "longer than a year"),
            Ok(duration) => return Some(duration),
            Err(message) => self.error(&value.span(), message),
        }
        None
    }

    /// A duration that `0s` and `never` take away: for ever.
    pub(super) fn limit(&mut self, value: Value<'_>) -> Option<Option<Duration>> {
        if value.get_ref().as_str() == Some("never") {
            return Some(None);
        }
        self.duration(value).map(|limit| Some(limit).filter(|limit| !limit.is_zero()))
    }

    /// A duration that must be at least `shortest`.
    pub(super) fn period(&mut self, value: Value<'_>, shortest: Duration) -> Option<Duration> {
        let period = self.duration(value)?;
        if period < shortest {
            let shortest = shortest.as_millis();
            self.error(&value.span(), format!("expected a duration of at least {shortest}ms"));
            return None;
        }
        Some(period)
    }

    pub(super) fn size(&mut self, value: Value<'_>) -> Option<u64> {
        let text = decimal(value.get_ref()).or_else(|| value.get_ref().as_str());
        let Some(text) = text else {
            self.mismatch(value, "a size such as 4096 or \"1MiB\"");
            return None;
        };
        let guess = units::size_unit(text);
        units::size(text).map_err(|message| self.suggest(&value.span(), message, guess.as_deref())).ok()
    }

    pub(super) fn signal(&mut self, value: Value<'_>) -> Option<Signal> {
        let name = match decimal(value.get_ref()) {
            Some(number) => number,
            None => self.string(value)?,
        };
        let signal = Signal::parse(name);
        if signal.is_none() {
            let guess = name.get(..3).filter(|start| start.eq_ignore_ascii_case("SIG")).and(name.get(3..));
            let guess = nearest(guess.unwrap_or(name), Signal::names().iter().copied());
            self.suggest(&value.span(), format!("unknown signal \"{}\"", name.escape_debug()), guess);
        }
        signal
    }

    /// One of the words that `parse` knows.
    pub(super) fn word<T>(
        &mut self,
        value: Value<'_>,
        words: &[&str],
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.string(value)?;
        self.choice(text, &value.span(), words, parse)
    }

    /// One of the words that `parse` knows, which stands at a place.
    pub(super) fn choice<T>(
        &mut self,
        text: &str,
        span: &Range<usize>,
        words: &[&str],
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let parsed = parse(text);
        if parsed.is_none() {
            let list = words.join("\", \"");
            let message = format!("expected one of \"{list}\", found \"{}\"", text.escape_debug());
            self.suggest(span, message, nearest(text, words.iter().copied()));
        }
        parsed
    }

    /// An array of integers in a range.
    pub(super) fn integers(&mut self, value: Value<'_>, range: &RangeInclusive<u32>) -> Option<Vec<u32>> {
        let DeValue::Array(items) = value.get_ref() else {
            self.mismatch(value, "an array of numbers");
            return None;
        };
        let numbers: Vec<_> = items.iter().map(|item| self.integer(item, range.clone())).collect();
        numbers.into_iter().collect()
    }

    /// The keys of a table, in the order in which they are written.
    pub(super) fn table<'v>(&mut self, value: Value<'v>, what: &str) -> Vec<Item<'v>> {
        if let DeValue::Table(table) = value.get_ref() {
            return items(table);
        }
        self.mismatch(value, what);
        Vec::new()
    }
}

/// The keys of a table, in the order in which they are written.
pub(super) fn items<'v>(table: &'v DeTable<'v>) -> Vec<Item<'v>> {
    let mut items: Vec<Item<'v>> =
        table.iter().map(|(key, value)| Item { key: key.get_ref(), span: key.span(), value }).collect();
    items.sort_by_key(|item| item.span.start);
    items
}

/// The digits of an integer that is written in decimal.
fn decimal<'v>(value: &'v DeValue<'_>) -> Option<&'v str> {
    value.as_integer().filter(|number| number.radix() == 10).map(DeInteger::as_str)
}

fn describe(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}
