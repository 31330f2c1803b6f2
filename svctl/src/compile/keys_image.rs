//! The sections `[image]`, from which a service can run, and `[prepare]`, what is done before each start.

use super::keys::{File, set};
use super::reader::{Item, Reader, Value};
use service::definition::{Image, Volume};
use service::reference;
use std::path::Path;
use std::time::Duration;

/// How long making the root may take, with all that has to be fetched for it.
const TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// The provisioner, beside this program.
const PROVISIONER: &str = "svctl-image";
/// How a root can be made (`svctl image --help`).
const BACKENDS: [&str; 4] = ["auto", "bind", "overlay", "copy"];

const KNOWN: [&str; 10] = [
    "reference",
    "backend",
    "writable",
    "pull",
    "ignore-runtime",
    "volumes",
    "arguments",
    "shell",
    "options",
    "timeout",
];
const KNOWN_OF_VOLUME: [&str; 4] = ["source", "target", "writable", "image"];
const KNOWN_OF_PREPARE: [&str; 2] = ["command", "timeout"];

/// Reads `[prepare]`.
pub(super) fn prepare(reader: &mut Reader<'_>, section: &Item<'_>, file: &mut File) {
    let definition = &mut file.definition;
    let items = reader.table(section.value, "a section");
    for item in &items {
        match item.key {
            "command" => set(&mut definition.prepare_command, reader.command(item.value)),
            "timeout" => set(&mut definition.prepare_timeout, reader.limit(item.value)),
            _ => reader.unknown(item, "prepare", &KNOWN_OF_PREPARE),
        }
    }
    if section.value.get_ref().is_table() && !items.iter().any(|item| item.key == "command") {
        reader.error(&section.span, "[prepare] says not what is run: command");
    }
}

/// Reads `[image]`. `prober` is this program, as the machine will see it.
pub(super) fn image(reader: &mut Reader<'_>, section: &Item<'_>, file: &mut File, prober: &str) {
    let items = reader.table(section.value, "a section");
    // Without a reference it is the default image of the provisioner's settings.
    let mut image = Image::default();
    let mut timeout = Some(TIMEOUT);
    for item in &items {
        let value = item.value;
        match item.key {
            "reference" => set(&mut image.reference, reference_of(reader, value)),
            "backend" => {
                let known = |word: &str| BACKENDS.contains(&word).then(|| word.to_owned());
                let word = reader.word(value, &BACKENDS, known);
                set(&mut image.backend, word.map(|word| Some(word).filter(|word| word != "auto")));
            }
            "writable" => set(&mut image.writable, reader.boolean(value)),
            "pull" => {
                let always = |word: &str| match word {
                    "missing" => Some(false),
                    "always" => Some(true),
                    _ => None,
                };
                set(&mut image.always_pull, reader.word(value, &["missing", "always"], always));
            }
            "ignore-runtime" => set(&mut image.ignore_runtime, reader.boolean(value)),
            "volumes" => image.volumes = volumes(reader, value),
            "arguments" => {
                for (word, _) in reader.strings(value).unwrap_or_default() {
                    image.options.push(("argument".to_owned(), word.to_owned()));
                }
            }
            "shell" => {
                let text = reader.filled(value);
                image.options.extend(text.map(|text| ("shell".to_owned(), text.to_owned())));
            }
            "options" => {
                for option in reader.table(value, "a table of strings") {
                    let text = reader.string(option.value).map(str::to_owned);
                    image.options.extend(text.map(|text| (option.key.to_owned(), text)));
                }
            }
            "timeout" => set(&mut timeout, reader.limit(value)),
            _ => reader.unknown(item, "image", &KNOWN),
        }
    }
    let definition = &mut file.definition;
    let command = |words: &[&str]| -> Vec<String> {
        let program = Path::new(prober).with_file_name(PROVISIONER).display().to_string();
        [program].into_iter().chain(words.iter().map(|word| (*word).to_owned())).collect()
    };
    definition.prepare_command = command(&["provision", "--service", &definition.name]);
    definition.settle_command = command(&["settle", "--service", &definition.name]);
    definition.prepare_timeout = timeout;
    definition.image = Some(image);
}

fn reference_of(reader: &mut Reader<'_>, value: Value<'_>) -> Option<String> {
    let text = reader.filled(value)?;
    if let Err(message) = reference::check(text) {
        reader.error(&value.span(), message);
        return None;
    }
    Some(text.to_owned())
}

fn volumes(reader: &mut Reader<'_>, value: Value<'_>) -> Vec<Volume> {
    let Some(array) = value.get_ref().as_array() else {
        reader.strings(value);
        return Vec::new();
    };
    array.iter().filter_map(|item| volume(reader, item)).collect()
}

/// `SOURCE:TARGET`, `SOURCE:TARGET:ro`, or a table.
fn volume(reader: &mut Reader<'_>, value: Value<'_>) -> Option<Volume> {
    let volume = if value.get_ref().is_table() {
        volume_of_table(reader, value)?
    } else {
        let text = reader.filled(value)?;
        let volume = reference::volume(text);
        if volume.is_none() {
            reader.error(&value.span(), "expected \"SOURCE:TARGET\", \"SOURCE:TARGET:ro\" or a table");
        }
        volume?
    };
    let inside = volume.target.starts_with('/') && volume.target.len() > 1;
    if !inside || volume.target.split('/').any(|part| part == "..") {
        reader.error(
            &value.span(),
            format!("\"{}\" is no absolute path in the image", volume.target.escape_debug()),
        );
        return None;
    }
    if !volume.image && !volume.source.starts_with('/') {
        reader.error(&value.span(), format!("\"{}\" is no absolute path", volume.source.escape_debug()));
        return None;
    }
    Some(volume)
}

fn volume_of_table(reader: &mut Reader<'_>, value: Value<'_>) -> Option<Volume> {
    let mut volume = Volume { source: String::new(), target: String::new(), writable: true, image: false };
    for item in reader.table(value, "a table") {
        match item.key {
            "source" => set(&mut volume.source, reader.filled(item.value).map(str::to_owned)),
            "image" => {
                set(&mut volume.source, reference_of(reader, item.value));
                volume.image = true;
            }
            "target" => set(&mut volume.target, reader.filled(item.value).map(str::to_owned)),
            "writable" => set(&mut volume.writable, reader.boolean(item.value)),
            _ => reader.unknown(&item, "image.volumes", &KNOWN_OF_VOLUME),
        }
    }
    if volume.source.is_empty() || volume.target.is_empty() {
        reader.error(&value.span(), "a volume has a target, and a source or an image");
        return None;
    }
    Some(volume)
}
