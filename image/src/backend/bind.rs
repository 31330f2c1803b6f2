//! The only layer, as it is in the store, where nobody can write to it.

use super::{Plan, trees};
use crate::error::{Context, Error, Result};
use crate::provision::Root;
use rustix::mount::{MountFlags, MountPropagationFlags};

pub(super) fn make(store: &crate::store::Store, plan: &Plan<'_>) -> Result<()> {
    let trees = trees(store, plan);
    let [tree] = trees.as_slice() else {
        return Err(Error::refused(format!("it takes one layer, and there are {}", trees.len())));
    };
    if plan.writable {
        return Err(Error::refused("the root would not be writable"));
    }
    let inside = Root::open(tree)?;
    for place in plan.places {
        if !inside.has(place) {
            return Err(Error::refused(format!("the image has no {}, and it cannot be made", place.path)));
        }
    }
    rustix::mount::mount_bind(tree, plan.root).context(|| "unable to mount the layer")?;
    let read_only = MountFlags::BIND | MountFlags::RDONLY;
    rustix::mount::mount_remount(plan.root, read_only, c"").context(|| "unable to make it read-only")?;
    rustix::mount::mount_change(plan.root, MountPropagationFlags::PRIVATE)
        .context(|| "unable to make it private")
}
