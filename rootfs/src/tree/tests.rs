//! Claims about trees.

use super::*;

fn merged() -> Tree {
    let mut tree = Tree::default();
    tree.insert("usr/bin", Node::directory(0o755, Origin::Recipe)).unwrap();
    tree.insert("bin", Node::link("usr/bin", Origin::Recipe)).unwrap();
    tree
}

#[test]
fn a_file_below_a_link_lands_where_the_link_leads() {
    let mut tree = merged();
    tree.insert("/bin/sh", Node::file("x", 0o755, Origin::Recipe)).unwrap();
    assert!(tree.entry("usr/bin/sh").is_some());
    assert_eq!(tree.follow("bin/sh").unwrap().0, "usr/bin/sh");
}

#[test]
fn a_directory_in_place_of_a_link_to_one_keeps_the_link() {
    let mut tree = merged();
    tree.insert("bin", Node::directory(0o755, Origin::Extra)).unwrap();
    assert_eq!(tree.entry("bin").unwrap().content, Content::Link("usr/bin".into()));
}

#[test]
fn nothing_is_placed_outside_the_image() {
    let mut tree = merged();
    assert!(tree.insert("../etc/passwd", Node::file("", 0o644, Origin::Extra)).is_err());
    tree.insert("out", Node::link("usr/../../..", Origin::Extra)).unwrap();
    let refused = tree.insert("out/etc/passwd", Node::file("", 0o644, Origin::Extra)).unwrap_err();
    assert_eq!(refused.to_string(), "unable to place /out/etc/passwd: it leads out of the image");
}

#[test]
fn links_in_a_circle_are_refused() {
    let mut tree = Tree::default();
    tree.insert("a", Node::link("b", Origin::Recipe)).unwrap();
    tree.insert("b", Node::link("a", Origin::Recipe)).unwrap();
    assert!(tree.insert("a/file", Node::file("", 0o644, Origin::Recipe)).is_err());
    assert!(tree.follow("a").is_none());
}

#[test]
fn parents_come_before_what_is_in_them() {
    let mut tree = Tree::default();
    tree.insert("usr/bin/x", Node::file("", 0o755, Origin::Recipe)).unwrap();
    tree.insert("usr-local", Node::directory(0o755, Origin::Recipe)).unwrap();
    let paths: Vec<&str> = tree.iter().map(|(path, _)| path).collect();
    let place = |path| paths.iter().position(|have| *have == path).unwrap();
    assert!(place("usr") < place("usr/bin") && place("usr/bin") < place("usr/bin/x"));
}
