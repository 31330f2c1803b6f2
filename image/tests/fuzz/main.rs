//! A fuzzer of what strangers send: archives, manifests, references, headers. It runs for `FUZZ` seconds (ten if that
//! is not set); `FUZZ_SEED` repeats a run, and with `FUZZ_CASE` one case of it; `FUZZ_SHOW` tells what is
//! refused and why.
//!
//! Whatever an archive is: nothing panics or hangs; nothing outside of the directory that it is unpacked to is touched,
//! nor the layers below; no more comes of it than the limits allow; and a store that refused it has nothing left of it.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::panic,
    reason = "tests"
)]

mod archives;
mod documents;
mod random;

use archives::{Maker, bomb};
use image::config::Config;
use image::digest::{Algorithm, Digest};
use image::error::Result;
use image::platform::Platform;
use image::progress::Silent;
use image::reference::Reference;
use image::source::{Blob, Form, Found, LayerSource, Source};
use image::store::{Request, Store};
use image::tarball::Limits;
use image::unpack::tree::Tree;
use image::unpack::view::View;
use image::unpack::{Options, inflate, layer};
use random::Random;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tests::tree;

/// How long one case may take before it counts as hung.
const HUNG: Duration = Duration::from_secs(60);
/// The case that runs.
static CASE: AtomicU64 = AtomicU64::new(0);
/// How many archives were unpacked, and how many refused: of both there should be many.
static OUTCOMES: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];

fn limits() -> Limits {
    Limits { entries: 200, bytes: 256 << 10, path: 1024, ratio: 50, extension: 16 << 10 }
}

fn options(random: &mut Random) -> Options {
    let devices = random.once_in(2);
    Options { limits: limits(), devices, ..Options::default() }
}

/// A directory in which layers are unpacked, and what lies beside it.
struct Place {
    directory: tempfile::TempDir,
    before: tree::Tree,
}

impl Place {
    fn new() -> Place {
        // In memory if possible: a disk is waited for.
        let shm = Path::new("/dev/shm");
        let directory = if shm.is_dir() { tempfile::tempdir_in(shm) } else { tempfile::tempdir() }.unwrap();
        let outside = directory.path().join("outside");
        std::fs::create_dir_all(outside.join("directory")).unwrap();
        std::fs::write(outside.join("file"), "safe").unwrap();
        std::fs::write(outside.join("directory/file"), "safe").unwrap();
        std::os::unix::fs::symlink("file", outside.join("link")).unwrap();
        std::fs::create_dir_all(directory.path().join("in")).unwrap();
        let before = tree::Tree::read(&outside);
        Place { directory, before }
    }

    fn outside(&self) -> PathBuf {
        self.directory.path().join("outside")
    }

    fn inside(&self) -> PathBuf {
        self.directory.path().join("in")
    }

    fn check(&self) {
        let differences = tree::Tree::read(&self.outside()).differences(&self.before);
        assert!(differences.is_empty(), "something outside was touched: {differences:?}");
        let mut names: Vec<_> = std::fs::read_dir(self.directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["in", "outside"], "something was made outside");
    }

    fn clean(&self) {
        std::fs::remove_dir_all(self.inside()).unwrap();
        std::fs::create_dir(self.inside()).unwrap();
    }
}

/// How many files there are below a directory, and how many bytes those have.
fn usage(directory: &Path) -> (u64, u64) {
    let (mut files, mut bytes) = (0, 0);
    let mut seen = std::collections::HashSet::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let metadata = entry.metadata().unwrap();
            files += 1;
            if metadata.is_dir() {
                open.push(entry.path());
            } else if metadata.is_file() && seen.insert(metadata.ino()) {
                bytes += metadata.len();
            }
        }
    }
    (files, bytes)
}

/// Unpacks layers one above the other.
fn layers(random: &mut Random, place: &Place) {
    let options = options(random);
    let outside = place.outside();
    let form = if random.once_in(6) { Form::Aci } else { Form::Changes };
    let mut view = View::default();
    let mut trees = Vec::new();
    let mut lowers: Vec<tree::Tree> = Vec::new();
    let mut below = 0;
    for number in 0..=random.below(3) {
        let bytes = if random.once_in(100) {
            bomb(random)
        } else {
            Maker { random, outside: outside.as_os_str().as_bytes() }.layer()
        };
        let path = place.inside().join(number.to_string());
        std::fs::create_dir(&path).unwrap();
        let tree = Tree::open(&path).unwrap();
        let outcome = inflate::reader(bytes.as_slice(), options.limits.ratio)
            .and_then(|archive| layer(archive, form, &mut view, &trees, &tree, &options));
        if let Err(error) = outcome.as_ref().map_err(ToString::to_string)
            && std::env::var_os("FUZZ_SHOW").is_some()
        {
            eprintln!("fuzz: refused: {error}");
        }
        OUTCOMES[usize::from(outcome.is_err())].fetch_add(1, Ordering::Relaxed);
        let (files, found) = usage(&path);
        // Directories that are implied count as little as what comes up from below because it got another name.
        let allowed = options.limits.bytes + below;
        assert!(found <= allowed, "{found} bytes were unpacked, {allowed} allowed");
        assert!(files <= 100 * options.limits.entries, "{files} files were made");
        below += found;
        let made = std::fs::read_dir(place.inside()).unwrap().count();
        assert_eq!(made, number + 1, "something was made beside the trees");
        for (at, lower) in lowers.iter().enumerate() {
            let differences = tree::Tree::read(&place.inside().join(at.to_string())).differences(lower);
            assert!(differences.is_empty(), "a layer below was touched: {differences:?}");
        }
        if outcome.is_err() {
            return;
        }
        lowers.push(tree::Tree::read(&path));
        trees.push(tree);
    }
}

/// An image in memory.
struct Memory {
    layers: Vec<Vec<u8>>,
}

impl Source for Memory {
    fn describe(&mut self, _: &Reference, platform: &Platform) -> Result<Found> {
        let layers = self.layers.iter().enumerate().map(|(at, bytes)| LayerSource {
            blob: Blob {
                place: at.to_string(),
                media_type: "application/vnd.oci.image.layer.v1.tar".to_owned(),
                digest: Some(Digest::of(Algorithm::Sha256, bytes)),
                size: Some(bytes.len() as u64),
            },
            diff_id: None,
            form: Form::Changes,
        });
        Ok(Found {
            id: Digest::of(Algorithm::Sha256, b""),
            config: Config::default(),
            platform: Some(platform.clone()),
            created: None,
            layers: layers.collect(),
        })
    }

    fn open(&mut self, blob: &Blob) -> Result<Box<dyn Read + '_>> {
        let at: usize = blob.place.parse().unwrap();
        Ok(Box::new(self.layers[at].as_slice()))
    }
}

/// Brings an image into a store, which has it whole afterwards or nothing of it but whole layers.
fn store(random: &mut Random, place: &Place) {
    let outside = place.outside();
    let mut make = || Maker { random: &mut *random, outside: outside.as_os_str().as_bytes() }.layer();
    let layers = vec![make(), make()];
    let options = options(random);
    let store = Store::open(&place.inside()).unwrap();
    let reference: Reference = "a".parse().unwrap();
    let platform = Platform::host();
    let request = Request { reference: &reference, platform: &platform, options: &options, again: false };
    let source = || Ok(Box::new(Memory { layers }) as Box<dyn Source>);
    let outcome = store.import(&request, source, &mut Silent);
    let left = |name: &str| std::fs::read_dir(place.inside().join(name)).unwrap().count();
    assert_eq!(left("staging"), 0, "something is left in staging");
    assert_eq!(left("images"), usize::from(outcome.is_ok()));
    let damage = store.verify(false, |_| false).unwrap();
    assert!(damage.is_empty(), "what is in the store is damaged: {damage:?}");
}

fn case(seed: u64, case: u64, place: &Place) {
    let mut random = Random::new(seed, case);
    for _ in 0..20 {
        documents::case(&mut random);
    }
    if random.once_in(10) {
        store(&mut random, place);
    } else {
        layers(&mut random, place);
    }
    place.check();
    place.clean();
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// A case that hangs, or ends the process, is told of as well.
fn watch(seed: u64) {
    std::thread::spawn(move || {
        let (mut last, mut since) = (0, Instant::now());
        loop {
            std::thread::sleep(Duration::from_secs(1));
            let case = CASE.load(Ordering::Relaxed);
            if case != last {
                (last, since) = (case, Instant::now());
            } else if since.elapsed() > HUNG {
                eprintln!("fuzz: FUZZ_SEED={seed} FUZZ_CASE={case} hangs");
                std::process::abort();
            }
        }
    });
}

#[test]
fn whatever_is_sent_is_taken_in_or_refused_and_nothing_else_happens() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let seed = number("FUZZ_SEED").unwrap_or(now);
    let seconds = number("FUZZ").unwrap_or(10);
    let only = number("FUZZ_CASE");
    let record = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz-case");
    eprintln!("fuzz: FUZZ_SEED={seed}, {seconds} seconds; the case that runs is in {}", record.display());
    let record = std::fs::File::create(record).unwrap();
    let place = Place::new();
    // Whoever forgets whose directory a name is in leaves something here.
    std::env::set_current_dir(place.outside()).unwrap();
    watch(seed);
    let begun = Instant::now();
    let mut cases = 0;
    for number in only.unwrap_or(0).. {
        CASE.store(number, Ordering::Relaxed);
        // Over the last one: to make the file anew would wait for the disk.
        record.write_all_at(format!("FUZZ_SEED={seed} FUZZ_CASE={number:<10}\n").as_bytes(), 0).unwrap();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| case(seed, number, &place))) {
            eprintln!("fuzz: FUZZ_SEED={seed} FUZZ_CASE={number} repeats it");
            std::panic::resume_unwind(panic);
        }
        cases += 1;
        if only.is_some() || begun.elapsed() > Duration::from_secs(seconds) {
            break;
        }
    }
    let [unpacked, refused] = [&OUTCOMES[0], &OUTCOMES[1]].map(|count| count.load(Ordering::Relaxed));
    eprintln!("fuzz: {cases} cases; {unpacked} archives were unpacked, {refused} refused");
    assert!(
        only.is_some() || cases < 1000 || (unpacked > cases / 10 && refused > cases / 10),
        "of one kind only"
    );
}
