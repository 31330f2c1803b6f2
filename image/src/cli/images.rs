//! Verbs about images.

use super::arguments::{Gc, Import};
use super::{Context, output, usage};
use crate::discovery;
use crate::error::{Error, Kind, Result};
use crate::platform::Platform;
use crate::reference::Reference;
use crate::source::Source;
use crate::store::{Image, Request};
use std::path::Path;

/// Brings an image in, unless it is there.
pub(super) fn bring(
    context: &Context,
    reference: &Reference,
    again: bool,
    source: impl FnOnce() -> Result<Box<dyn Source>>,
) -> Result<Image> {
    let platform = Platform::host();
    let request = Request { reference, platform: &platform, options: &context.settings.unpack, again };
    context.store.import(&request, source, &mut output::Told::new(context.quiet))
}

/// The image of a reference, from wherever it is to be had.
pub(super) fn find(context: &Context, reference: &Reference, again: bool) -> Result<Image> {
    bring(context, reference, again, || discovery::find(&context.settings, reference))
}

pub(super) fn import(context: &Context, what: &Import) -> Result<()> {
    let mut images = Vec::new();
    if is_path(&what.what) {
        let path = std::path::absolute(&what.what)?;
        let open = || discovery::open(&context.settings, &path);
        let references = match what.references.as_slice() {
            [] => open()?.names()?,
            some => some.iter().map(|name| name.parse()).collect::<Result<_>>()?,
        };
        if references.is_empty() {
            return Err(usage(format!(
                "{} does not say what its image is called: say it after it",
                path.display()
            )));
        }
        for reference in &references {
            // A file was named: it is brought in, whatever was called that before.
            images.push(bring(context, reference, true, open)?);
        }
    } else {
        for name in std::iter::once(&what.what).chain(&what.references) {
            images.push(find(context, &name.parse()?, what.again)?);
        }
    }
    if context.json {
        return output::json(&images);
    }
    images.iter().try_for_each(|image| output::say(&format!("{} {}", image.reference, image.id)))
}

/// What begins like a path, or is one of a file that is there and cannot be a reference.
fn is_path(word: &str) -> bool {
    let begins = word.starts_with('/') || word.starts_with("./") || word.starts_with("../");
    begins
        || (word.parse::<Reference>().is_err() || word.ends_with(".tar") || word.ends_with(".aci"))
            && Path::new(word).exists()
}

pub(super) fn list(context: &Context) -> Result<()> {
    let (images, broken) = context.store.images()?;
    for path in broken {
        output::complain(&format!(
            "{} is no description of an image (verify --repair throws it away)",
            path.display()
        ));
    }
    if context.json {
        return output::json(&images);
    }
    let mut rows = vec![["IMAGE", "ID", "LAYERS", "SIZE"].map(str::to_owned).to_vec()];
    for image in images {
        let bytes = image.layers.iter().map(|layer| layer.bytes).sum();
        let short: String = image.id.chars().take(19).collect();
        rows.push(vec![image.reference, short, image.layers.len().to_string(), output::size(bytes)]);
    }
    output::table(&rows)
}

pub(super) fn inspect(context: &Context, reference: &str) -> Result<()> {
    let reference: Reference = reference.parse()?;
    let image = context.store.find(&reference)?;
    output::json(&image.ok_or_else(|| Error::missing(format!("{reference} is not in the store")))?)
}

pub(super) fn remove(context: &Context, references: &[String]) -> Result<()> {
    let _shared = context.store.share()?;
    for reference in references {
        let reference: Reference = reference.parse()?;
        if !context.store.forget(&reference)? {
            return Err(Error::missing(format!("{reference} is not in the store")));
        }
    }
    Ok(())
}

pub(super) fn gc(context: &Context, what: &Gc) -> Result<()> {
    let keep = what.keep.iter().map(|name| name.parse()).collect::<Result<Vec<Reference>>>()?;
    let _alone = context.store.own(what.wait)?;
    // Read after nobody else can add to it.
    let used = context.containers.used()?;
    let swept = context.store.sweep(&used, what.unused, &keep)?;
    if context.json {
        let layers: Vec<&str> = swept.layers.iter().map(crate::store::Chain::hex).collect();
        return output::json(&serde_json::json!({
            "images": swept.images, "layers": layers, "leftovers": swept.leftovers,
        }));
    }
    for image in &swept.images {
        output::say(&format!("forgotten: {image}"))?;
    }
    let (layers, leftovers) = (swept.layers.len(), swept.leftovers);
    output::say(&format!("{layers} layers thrown away, and {leftovers} left-overs"))
}

pub(super) fn verify(context: &Context, repair: bool) -> Result<()> {
    let _shared = if repair { context.store.own(false)? } else { context.store.share()? };
    let used = context.containers.used()?;
    let damages = context.store.verify(repair, |chain| used.contains(chain))?;
    if context.json {
        let all: Vec<_> = damages.iter().map(|damage| serde_json::json!({"what": damage.what})).collect();
        output::json(&all)?;
    } else {
        damages.iter().try_for_each(|damage| output::say(&damage.what))?;
    }
    match damages.len() {
        0 => Ok(()),
        1 => Err(Error::new(Kind::Refused, "something is not as it should be")),
        many => Err(Error::new(Kind::Refused, format!("{many} things are not as they should be"))),
    }
}
