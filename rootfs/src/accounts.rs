//! The files that say who there is: `passwd`, `group` and `shadow`.

use std::fmt::Write;

use crate::error::Result;
use crate::recipe::Recipe;
use crate::tree::{Node, Origin, Tree};

/// A day that is not zero: zero means that the password must be changed at once.
const CHANGED: u32 = 1;

/// Writes the accounts of a recipe.
pub(crate) fn add(tree: &mut Tree, recipe: &Recipe) -> Result<()> {
    let files = [
        ("passwd", passwd(recipe), 0o644),
        ("group", group(recipe), 0o644),
        ("shadow", shadow(recipe), 0o600),
    ];
    for (name, text, mode) in files {
        tree.insert(&format!("etc/{name}"), Node::file(text, mode, Origin::Recipe))?;
    }
    Ok(())
}

fn passwd(recipe: &Recipe) -> String {
    let mut text = String::new();
    for user in &recipe.users {
        let group = recipe.group_id(&user.group).unwrap_or_default();
        let (name, id) = (&user.name, user.id);
        let _ = writeln!(text, "{name}:x:{id}:{group}:{}:{}:{}", user.description, user.home, user.shell);
    }
    text
}

fn group(recipe: &Recipe) -> String {
    let mut text = String::new();
    for group in &recipe.groups {
        let _ = writeln!(text, "{}:x:{}:{}", group.name, group.id, group.members.join(","));
    }
    text
}

/// No password opens any account: `*` is what no password encrypts to.
fn shadow(recipe: &Recipe) -> String {
    let mut text = String::new();
    for user in &recipe.users {
        let _ = writeln!(text, "{}:*:{CHANGED}:0:99999:7:::", user.name);
    }
    text
}
