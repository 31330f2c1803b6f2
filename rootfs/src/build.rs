//! The build from beginning to end.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::time::Instant;

use nix::fcntl::{Flock, FlockArg};

use crate::apt::{Cache, Package};
use crate::assemble::{self, Kernel, Parts};
use crate::digest::{self, Inputs};
use crate::error::{Context, Error, Result};
use crate::key::{self, Keys};
use crate::libraries::{Libraries, Outside};
use crate::manifest::{self, Manifest, MesosNote, State};
use crate::mesos::{self, Mesos};
use crate::recipe::Recipe;
use crate::tree::{Origin, Tree};
use crate::{Options, check, compress, cpio, say};

const KERNEL: &str = "vmlinuz";
const INITRAMFS: &str = "initramfs";
const MANIFEST: &str = "manifest.json";
const STATE: &str = "image.json";

/// Builds an image, unless it is there already.
pub(crate) fn build(options: &Options) -> Result<()> {
    let started = Instant::now();
    let recipe = Recipe::read(&options.recipe)?;
    fs::create_dir_all(&options.out).context(|| format!("create {}", options.out.display()))?;
    let _lock = lock(&options.out)?;
    let parent = options.out.parent().unwrap_or(Path::new("."));
    let home = std::env::home_dir();
    let keys = key::find(options.ssh_key.as_deref(), home.as_deref(), &parent.join("ssh_key"))?;
    let inputs = inputs(options, &recipe, &keys)?;
    let mut cache = Cache::open(&options.packages)?;
    if is_current(options, &inputs, &mut cache) {
        say!("image up to date in {}", options.out.display());
        return Ok(());
    }
    let mesos = options.mesos.as_deref().map(mesos::open).transpose()?;
    let parts = Parts { options, recipe: &recipe, keys: &keys, mesos: mesos.as_ref() };
    let built = assemble_all(&parts, &mut cache)?;
    write(&parts, &built, inputs)?;
    report(options, &built, started)
}

/// Everything a finished image consists of.
struct Built {
    tree: Tree,
    kernel: Kernel,
    packages: Vec<Package>,
    left_out: Vec<String>,
}

fn assemble_all(parts: &Parts<'_>, cache: &mut Cache) -> Result<Built> {
    let nothing = Outside::default();
    let outside = parts.mesos.map_or(&nothing, |mesos| &mesos.outside);
    let packages = assemble::packages(parts.recipe, cache)?;
    cache.unpack(&packages)?;
    let kernel = packages.first().cloned().unwrap_or_default();
    let mut libraries = Libraries::new(cache, outside);
    let (mut tree, kernel) = assemble::tree(parts, &kernel, &mut libraries)?;
    libraries.complete(&mut tree)?;
    if let Some(busybox) = &parts.recipe.busybox {
        assemble::add_applets(&mut tree, busybox)?;
    }
    let left_out = assemble::settle_scripts(&mut tree)?;
    let svctl = parts.options.programs.join("svctl");
    if !parts.options.no_check && svctl.is_file() {
        check::services(&tree, &svctl)?;
    }
    let packages = libraries.packages()?;
    Ok(Built { tree, kernel, packages, left_out })
}

/// Keeps a second builder out of the directory until this one is done.
fn lock(out: &Path) -> Result<Flock<File>> {
    let locking = || format!("lock {}", out.display());
    let file = File::create(out.join(".lock")).context(locking)?;
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| Error::new(locking(), error))
}

/// A digest of everything that goes in, but for the packages.
fn inputs(options: &Options, recipe: &Recipe, keys: &Keys) -> Result<String> {
    let mut inputs = Inputs::default();
    let builder = std::env::current_exe().context(|| "find this program")?;
    inputs.add("builder", digest::of_file(&builder)?.as_bytes());
    inputs.add("recipe", digest::of_file(&options.recipe)?.as_bytes());
    for file in recipe.files.values().filter_map(|file| file.source.as_ref()) {
        inputs.add("source", digest::of_file(&recipe.directory.join(file))?.as_bytes());
    }
    for program in recipe.programs.keys().chain(recipe.standin.iter().map(|standin| &standin.program)) {
        // One that is missing is an error later on, if it is needed.
        let digest = digest::of_file(&options.programs.join(program)).unwrap_or_default();
        inputs.add(program, digest.as_bytes());
    }
    for (name, directories) in [("services", &options.services), ("extra", &options.extra)] {
        for directory in directories {
            let mut tree = Tree::default();
            tree.graft(directory, "", &Origin::Extra)?;
            inputs.add(name, digest::of_tree(&tree)?.as_bytes());
        }
    }
    inputs.add("keys", format!("{keys:?}").as_bytes());
    if let Some(path) = &options.mesos {
        inputs.add("mesos", mesos::fingerprint(path)?.as_bytes());
    }
    inputs.add("check", &[u8::from(options.no_check)]);
    Ok(inputs.finish())
}

/// Whether what is in the output directory is what would be built.
fn is_current(options: &Options, inputs: &str, cache: &mut Cache) -> bool {
    let state = fs::read(options.out.join(STATE)).ok();
    let Some(state) = state.and_then(|text| serde_json::from_slice::<State>(&text).ok()) else {
        return false;
    };
    let whole = |(name, size): (&String, &u64)| {
        fs::metadata(options.out.join(name)).is_ok_and(|metadata| metadata.len() == *size)
    };
    let same = |(name, version): (&String, &String)| cache.version(name) == Some(version.as_str());
    state.inputs == inputs && state.outputs.iter().all(whole) && state.packages.iter().all(same)
}

fn write(parts: &Parts<'_>, built: &Built, inputs: String) -> Result<()> {
    let out = &parts.options.out;
    // Without this file nothing in the directory counts as an image.
    let _ = fs::remove_file(out.join(STATE));
    let archive = cpio::archive(&built.tree);
    let initramfs =
        compress::compress(&archive, parts.recipe.compression).context(|| "compress the initramfs")?;
    let manifest = manifest(parts, built, &initramfs)?;
    let mut manifest = serde_json::to_vec_pretty(&manifest).context(|| "encode the manifest")?;
    manifest.push(b'\n');
    let outputs: [(&str, &[u8]); 3] =
        [(KERNEL, &built.kernel.bytes), (INITRAMFS, &initramfs), (MANIFEST, &manifest)];
    for (name, bytes) in outputs {
        put(out, name, bytes)?;
    }
    let state = State {
        inputs,
        packages: built.packages.iter().map(|it| (it.name.clone(), it.version.clone())).collect(),
        outputs: outputs.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.len() as u64)).collect(),
        ssh_key: parts.keys.private.as_ref().map(|path| path.display().to_string()),
        kernel: built.kernel.version.clone(),
        mesos_stand_in: parts.mesos.is_none(),
    };
    let mut text = serde_json::to_vec_pretty(&state).context(|| "encode the state of the image")?;
    text.push(b'\n');
    put(out, STATE, &text)
}

/// Whoever reads a file of the image sees the old one or the new one, and never half of either.
fn put(out: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path = out.join(name);
    let new = out.join(format!(".{name}.new"));
    fs::write(&new, bytes)
        .and_then(|()| fs::rename(&new, &path))
        .context(|| format!("write {}", path.display()))
}

fn manifest(parts: &Parts<'_>, built: &Built, initramfs: &[u8]) -> Result<Manifest> {
    let digests = [(KERNEL, digest::of(&built.kernel.bytes)), (INITRAMFS, digest::of(initramfs))];
    let mesos = match (parts.mesos, &parts.options.mesos) {
        (Some(mesos), Some(path)) => real_mesos(mesos, path, built)?,
        _ => MesosNote { stand_in: true, from: "a stand-in".to_owned(), sha256: None, left_out: Vec::new() },
    };
    Ok(Manifest {
        kernel: built.kernel.version.clone(),
        modules: built.kernel.modules.included.clone(),
        built_in_modules: built.kernel.modules.built_in.clone(),
        mesos,
        packages: manifest::packages(&built.tree, &built.packages, &built.kernel.package),
        digests: digests
            .into_iter()
            .map(|(name, digest)| (name.to_owned(), digest))
            .collect::<BTreeMap<_, _>>(),
        files: manifest::files(&built.tree),
    })
}

fn real_mesos(mesos: &Mesos, path: &Path, built: &Built) -> Result<MesosNote> {
    Ok(MesosNote {
        stand_in: false,
        from: format!("{} {}", mesos.form, mesos.name),
        sha256: Some(mesos::fingerprint(path)?),
        left_out: built.left_out.clone(),
    })
}

fn report(options: &Options, built: &Built, started: Instant) -> Result<()> {
    let size = |name: &str| -> Result<String> {
        let path = options.out.join(name);
        let length = fs::metadata(&path).context(|| format!("read {}", path.display()))?.len();
        let tenths = length / 100_000;
        Ok(format!("{}.{} MB", tenths / 10, tenths % 10))
    };
    let note = if options.mesos.is_none() { ", with a stand-in for Mesos" } else { "" };
    say!(
        "{}: kernel {} ({}), initramfs {} ({} files{note}), in {:.1} s",
        options.out.display(),
        built.kernel.version,
        size(KERNEL)?,
        size(INITRAMFS)?,
        assemble::count_files(&built.tree),
        started.elapsed().as_secs_f64()
    );
    Ok(())
}
