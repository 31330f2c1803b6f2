//! What must hold for a service to be started, and the environment it is started in.

use super::reader::{Reader, Value};
use crate::suggest::nearest;
use service::definition::{Condition, EnvironmentLayer};

pub(super) fn condition(reader: &mut Reader<'_>, value: Value<'_>) -> Vec<Condition> {
    const KNOWN: [&str; 3] = ["executable", "path", "kernel-argument"];
    let mut conditions = Vec::new();
    for item in reader.table(value, "a table such as { executable = \"…\" }") {
        let make: fn(String) -> Condition = match item.key {
            "executable" => Condition::Executable,
            "path" => Condition::Path,
            "kernel-argument" => Condition::KernelArgument,
            _ => {
                reader.unknown(&item, "condition", &KNOWN);
                continue;
            }
        };
        for (text, span) in reader.one_or_more(item.value).unwrap_or_default() {
            match item.key {
                _ if text.is_empty() => reader.error(&span, "expected a string that is not empty"),
                "path" if !text.starts_with('/') => reader.error(&span, "expected an absolute path"),
                _ => conditions.push(make(text.to_owned())),
            }
        }
    }
    conditions
}

pub(super) fn environment(reader: &mut Reader<'_>, value: Value<'_>) -> Vec<EnvironmentLayer> {
    let mut layers = Vec::new();
    for item in reader.table(value, "a section") {
        if item.key == "files" {
            let files = reader.strings(item.value).unwrap_or_default();
            for (file, span) in files {
                let (path, optional) = file.strip_prefix('-').map_or((file, false), |path| (path, true));
                if path.starts_with('/') {
                    layers.push(EnvironmentLayer::File { path: path.to_owned(), optional });
                } else {
                    reader.error(&span, "expected an absolute path, or one after \"-\" if it may be absent");
                }
            }
        } else if !is_variable(item.key) {
            let message = format!("\"{}\" cannot be the name of a variable", item.key.escape_debug());
            reader.suggest(&item.span, message, nearest(item.key, ["files"]));
        } else if item.value.get_ref().is_array() {
            let message = format!("variable \"{}\" must be a string", item.key);
            reader.suggest(&item.span, message, nearest(item.key, ["files"]));
        } else if let Some(text) = reader.string(item.value) {
            layers.push(EnvironmentLayer::Set { key: item.key.to_owned(), value: text.to_owned() });
        }
    }
    layers
}

fn is_variable(key: &str) -> bool {
    key.bytes().next().is_some_and(|byte| !byte.is_ascii_digit())
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
