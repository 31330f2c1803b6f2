//! Which roots of a service are kept: those of its last start that became ready, until another has.

use super::{Context, output};
use crate::error::{Context as _, Error, Result};
use crate::provision::ContainerId;
use std::path::PathBuf;

/// The roots of the last start.
const CURRENT: &str = "current";
/// Those of the last one that became ready.
const SETTLED: &str = "settled";

/// The numbers of the roots of one start.
#[derive(Clone, Copy)]
struct Start {
    first: u32,
    last: u32,
}

impl Start {
    fn text(self) -> String {
        format!("{} {}\n", self.first, self.last)
    }

    /// None if it cannot be understood: then nothing is known of it.
    fn parse(text: &str) -> Option<Start> {
        let mut words = text.split_ascii_whitespace();
        let mut number = || words.next()?.parse().ok();
        Some(Start { first: number()?, last: number()? })
    }
}

fn path(context: &Context, id: &ContainerId, name: &str) -> PathBuf {
    context.containers.path(id).join(name)
}

fn read(context: &Context, id: &ContainerId, name: &str) -> Result<Option<Start>> {
    let path = path(context, id, name);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Start::parse(&text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::from(error).during(path.display())),
    }
}

/// The roots from `first` on are made for the next start: those of starts that came to nothing are taken away, and those
/// of the one that was ready stay. One that cannot be taken away keeps no service from being started.
pub(super) fn made(context: &Context, id: &ContainerId, first: u32) -> Result<()> {
    let last = context.containers.next_number(id)?.saturating_sub(1);
    crate::store::replace(&path(context, id, CURRENT), Start { first, last }.text().as_bytes())?;
    crate::fault::point("current");
    let kept = read(context, id, SETTLED)?.filter(|kept| kept.last < first);
    let destroy = |from, below| context.containers.destroy_between(&context.store, id, from, below);
    let destroyed = match kept {
        None => destroy(0, first),
        Some(kept) => destroy(0, kept.first).and(destroy(kept.last.saturating_add(1), first)),
    };
    if let Err(error) = destroyed {
        output::complain(&format!(
            "{id}: roots of earlier starts are left: {error} (tried again at the next)"
        ));
    }
    Ok(())
}

/// The service is ready: of its roots only those of this start are of use.
pub(super) fn settle(context: &Context, name: &str) -> Result<()> {
    let id = ContainerId::below(None, name)?;
    let current = read(context, &id, CURRENT)?;
    let current = current.ok_or_else(|| Error::missing(format!("nothing was made for service {name}")))?;
    crate::store::replace(&path(context, &id, SETTLED), current.text().as_bytes())
        .context(|| format!("service {name}"))?;
    crate::fault::point("settled");
    context.containers.destroy_between(&context.store, &id, 0, current.first)
}
