//! Kernel modules: those listed, what they depend on, and the indexes that `modprobe` reads.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::elf;
use crate::error::{Context, Error, Result};
use crate::tree::{Node, Origin, Tree, split};

/// What became of the modules that were asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    /// The names of the modules in the image.
    pub(crate) included: Vec<String>,
    /// Those that were asked for and are part of the kernel.
    pub(crate) built_in: Vec<String>,
}

/// One module, as its own headers describe it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Module {
    /// The path below `/lib/modules/VERSION`.
    path: String,
    depends: Vec<String>,
    aliases: Vec<String>,
    soft: Vec<String>,
}

/// The kernel's own spelling of a module's name.
fn spell(name: &str) -> String {
    name.replace('-', "_")
}

/// Adds modules to the image; `from` is the unpacked kernel package, and `base` its directory of modules.
pub(crate) fn add(tree: &mut Tree, from: &Tree, base: &str, wanted: &[String]) -> Result<Summary> {
    let builtin_path = format!("{base}/modules.builtin");
    let builtin = match from.entry(&builtin_path) {
        Some(node) => String::from_utf8_lossy(node.loaded()?.bytes().unwrap_or_default()).into_owned(),
        None => String::new(),
    };
    let built_in: BTreeSet<String> = builtin.lines().map(name_of).collect();
    let paths: BTreeMap<String, &str> = from
        .below(base)
        .filter(|(path, _)| path.ends_with(".ko"))
        .map(|(path, _)| (name_of(path), path))
        .collect();
    let mut modules = BTreeMap::new();
    let mut summary = Summary::default();
    for name in wanted {
        let name = spell(name);
        if built_in.contains(&name) {
            summary.built_in.push(name);
        } else {
            collect(&name, None, from, base, &paths, &mut modules)?;
        }
    }
    for module in modules.values() {
        tree.copy(from, &format!("{base}/{}", module.path))?;
    }
    summary.included = modules.keys().cloned().collect();
    let mut index = |name: &str, text: String| {
        tree.insert(&format!("{base}/{name}"), Node::file(text, 0o644, Origin::Recipe))
    };
    index("modules.dep", dependencies(&modules))?;
    index("modules.alias", aliases(&modules))?;
    index("modules.softdep", soft_dependencies(&modules))?;
    index("modules.builtin", builtin)?;
    Ok(summary)
}

/// `kernel/drivers/net/virtio_net.ko` is `virtio_net`.
fn name_of(path: &str) -> String {
    let file = split(path).1;
    spell(file.strip_suffix(".ko").unwrap_or(file))
}

fn collect(
    name: &str,
    needed_by: Option<&str>,
    from: &Tree,
    base: &str,
    paths: &BTreeMap<String, &str>,
    modules: &mut BTreeMap<String, Module>,
) -> Result<()> {
    if modules.contains_key(name) {
        return Ok(());
    }
    let finding = || match needed_by {
        Some(other) => format!("find the kernel module {name}, which {other} needs"),
        None => format!("find the kernel module {name}"),
    };
    let Some(path) = paths.get(name) else {
        let version = split(base).1;
        return Err(Error::new(finding(), format_args!("kernel {version} has none of this name")));
    };
    let node = from.entry(path).map(Node::loaded).transpose()?;
    let bytes = node.as_ref().and_then(Node::bytes).unwrap_or_default();
    let relative = path.strip_prefix(base).unwrap_or(path).trim_start_matches('/');
    let module = describe(relative, bytes).context(|| format!("read the kernel module {name}"))?;
    let depends = module.depends.clone();
    // Before what it depends on: modules may not depend on each other in a circle, but a damaged one might.
    modules.insert(name.to_owned(), module);
    for other in depends {
        collect(&other, Some(name), from, base, paths, modules)?;
    }
    Ok(())
}

fn describe(path: &str, bytes: &[u8]) -> std::result::Result<Module, String> {
    let mut module = Module { path: path.to_owned(), ..Module::default() };
    for (key, value) in elf::module_info(bytes)? {
        match key.as_str() {
            "depends" => module.depends.extend(value.split(',').filter(|name| !name.is_empty()).map(spell)),
            "alias" => module.aliases.push(value),
            "softdep" => module.soft.push(value),
            _ => {}
        }
    }
    Ok(module)
}

/// What must be loaded before a module, in the order of loading. What `seen` has is in the order, or will be.
fn load_order<'a>(
    name: &str,
    modules: &'a BTreeMap<String, Module>,
    seen: &mut BTreeSet<String>,
    order: &mut Vec<&'a Module>,
) {
    let depends = modules.get(name).map_or(&[][..], |module| &module.depends);
    for other in depends {
        if seen.insert(other.clone()) {
            load_order(other, modules, seen, order);
            order.extend(modules.get(other));
        }
    }
}

/// `modules.dep`: what comes last on a line is loaded first.
fn dependencies(modules: &BTreeMap<String, Module>) -> String {
    let mut text = String::new();
    for (name, module) in modules {
        let mut order = Vec::new();
        load_order(name, modules, &mut BTreeSet::from([name.clone()]), &mut order);
        let _ = write!(text, "{}:", module.path);
        for other in order.iter().rev() {
            let _ = write!(text, " {}", other.path);
        }
        text.push('\n');
    }
    text
}

fn aliases(modules: &BTreeMap<String, Module>) -> String {
    let mut text = String::new();
    for (name, module) in modules {
        for alias in &module.aliases {
            let _ = writeln!(text, "alias {alias} {name}");
        }
    }
    text
}

fn soft_dependencies(modules: &BTreeMap<String, Module>) -> String {
    let mut text = String::new();
    for (name, module) in modules {
        for soft in &module.soft {
            let _ = writeln!(text, "softdep {name} {soft}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modules(list: &[(&str, &[&str])]) -> BTreeMap<String, Module> {
        let module = |name: &str, depends: &[&str]| Module {
            path: format!("kernel/{name}.ko"),
            depends: depends.iter().map(|name| (*name).to_owned()).collect(),
            aliases: vec![format!("pci:{name}*")],
            soft: vec![],
        };
        list.iter().map(|(name, depends)| ((*name).to_owned(), module(name, depends))).collect()
    }

    #[test]
    fn the_deepest_dependency_comes_last_on_a_line_and_once() {
        let net = modules(&[
            ("virtio_net", &["net_failover", "virtio", "virtio_ring"]),
            ("net_failover", &["failover"]),
            ("failover", &[]),
            ("virtio_ring", &["virtio"]),
            ("virtio", &[]),
        ]);
        let text = dependencies(&net);
        let line = text.lines().find(|line| line.starts_with("kernel/virtio_net.ko:")).unwrap();
        assert_eq!(
            line,
            "kernel/virtio_net.ko: kernel/virtio_ring.ko kernel/virtio.ko kernel/net_failover.ko kernel/failover.ko"
        );
    }

    #[test]
    fn a_circle_of_modules_ends() {
        let circle = modules(&[("a", &["b"]), ("b", &["a"])]);
        assert_eq!(dependencies(&circle), "kernel/a.ko: kernel/b.ko\nkernel/b.ko: kernel/a.ko\n");
    }

    #[test]
    fn aliases_name_the_module_as_the_kernel_spells_it() {
        assert_eq!(aliases(&modules(&[("virtio_rng", &[])])), "alias pci:virtio_rng* virtio_rng\n");
        assert_eq!(name_of("kernel/drivers/char/hw_random/virtio-rng.ko"), "virtio_rng");
    }

    #[test]
    fn a_module_that_does_not_exist_is_named_with_the_kernel() {
        let error =
            add(&mut Tree::default(), &Tree::default(), "usr/lib/modules/6.1", &["nope".into()]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "unable to find the kernel module nope: kernel 6.1 has none of this name"
        );
    }

    #[test]
    fn a_module_that_is_built_in_needs_no_file() {
        let mut from = Tree::default();
        let list = Node::file("kernel/drivers/nvme/host/nvme-core.ko\n", 0o644, Origin::Recipe);
        from.insert("usr/lib/modules/6.1/modules.builtin", list).unwrap();
        let summary = add(&mut Tree::default(), &from, "usr/lib/modules/6.1", &["nvme_core".into()]).unwrap();
        assert_eq!(summary, Summary { included: vec![], built_in: vec!["nvme_core".into()] });
    }
}
