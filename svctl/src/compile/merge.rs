//! Laying one table over another, and filling in an instance's name.

use super::reader::Reader;
use super::sources::Sources;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Parses the texts and lays each over those before it: tables are merged, everything else replaces.
pub(super) fn parse<'s>(sources: &'s Sources, reader: &mut Reader<'_>) -> DeTable<'s> {
    let mut merged = DeTable::new();
    for (base, text) in sources.texts() {
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            let span = error.span().unwrap_or(base..base);
            // What is wrong with the very beginning must not be taken for the end of the text before.
            let span = span.start.max(base)..span.end.max(base);
            reader.syntax(&span, &error.message().replace('\n', " "));
        }
        lay_over(&mut merged, table.into_inner());
    }
    merged
}

fn lay_over<'s>(below: &mut DeTable<'s>, above: DeTable<'s>) {
    for (key, value) in above {
        // The key stands where it was written last, and so does what it says in the order of things.
        let (key, value) = match (below.remove_entry(key.get_ref().as_ref()), value) {
            (Some((old_key, old)), value) if old.get_ref().is_table() && value.get_ref().is_table() => {
                let span = value.span();
                match (old.into_inner(), value.into_inner()) {
                    (DeValue::Table(mut old), DeValue::Table(new)) => {
                        lay_over(&mut old, new);
                        (old_key, Spanned::new(span, DeValue::Table(old)))
                    }
                    (_, new) => (key, Spanned::new(span, new)),
                }
            }
            (_, value) => (key, value),
        };
        below.insert(key, value);
    }
}

/// What the specifiers of a template stand for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Specifiers<'a> {
    /// `%n`: the instance's whole name.
    pub(super) name: &'a str,
    /// `%i`: what is after the `@`.
    pub(super) instance: &'a str,
}

/// Replaces `%i`, `%n` and `%%` in all strings of a template.
pub(super) fn fill_in(reader: &mut Reader<'_>, table: &mut DeTable<'_>, specifiers: Specifiers<'_>) {
    for (_, value) in table.iter_mut() {
        fill_in_value(reader, value, specifiers);
    }
}

fn fill_in_value(reader: &mut Reader<'_>, value: &mut Spanned<DeValue<'_>>, specifiers: Specifiers<'_>) {
    let span = value.span();
    match value.get_mut() {
        DeValue::String(text) if text.contains('%') => match replace(text, specifiers) {
            Ok(filled) => *text = filled.into(),
            Err(found) => {
                let message = format!("unknown specifier \"{found}\": there are %i, %n and %%");
                reader.error(&span, message);
            }
        },
        DeValue::Array(items) => {
            for item in items.iter_mut() {
                fill_in_value(reader, item, specifiers);
            }
        }
        DeValue::Table(table) => fill_in(reader, table, specifiers),
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => {}
    }
}

/// The text with its specifiers replaced, or the one that is not known.
fn replace(text: &str, specifiers: Specifiers<'_>) -> Result<String, String> {
    let mut filled = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            filled.push(character);
            continue;
        }
        match characters.next() {
            Some('i') => filled.push_str(specifiers.instance),
            Some('n') => filled.push_str(specifiers.name),
            Some('%') => filled.push('%'),
            other => return Err(other.map_or_else(|| "%".to_owned(), |other| format!("%{other}"))),
        }
    }
    Ok(filled)
}
