//! What a service leaves when it is forgotten: roots of its images may still be there, outside of the run directory. What
//! is needed to take them away is kept until that has been done, by the provisioner, so that whoever is killed meanwhile
//! forgets nothing.

use crate::message::reason;
use crate::runtime::Init;
use service::Pid;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// More services of one name are not forgotten before the first is done with.
const SAME_MAX: usize = 100;

impl Init {
    fn forgotten(&self) -> PathBuf {
        self.options.run.join("init/forgotten")
    }

    /// Takes away the directory that a service had below the run directory.
    pub(crate) fn forget_directory(&mut self, name: &str) {
        let place = self.options.run.join("service").join(name);
        if !runs_from_image(&place) || !self.set_aside(&place, name) {
            // On a filesystem in memory: nothing is waited for.
            let _ = std::fs::remove_dir_all(&place);
            return;
        }
        self.sweep_roots();
    }

    /// Puts a directory where the provisioner finds it.
    fn set_aside(&mut self, place: &Path, name: &str) -> bool {
        let kept = self.forgotten();
        let _ = std::fs::create_dir_all(&kept);
        let mut moved = Ok(());
        for number in 0..SAME_MAX {
            moved = std::fs::rename(place, kept.join(format!("{name}~{number}")));
            if moved.is_ok() {
                return true;
            }
        }
        let reason = moved.err().map_or_else(String::new, |error| reason(&error));
        let kept = kept.display();
        self.messages.error(&format!(
            "{name}: unable to move what is left of it to {kept}: {reason} (its roots stay until the next boot)"
        ));
        false
    }

    /// Has the provisioner take away the roots of what was forgotten, if there is anything. Nobody waits for it; there is one at a
    /// time, since it may wait for a disk for ever.
    pub(crate) fn sweep_roots(&mut self) {
        if let Some((_, again)) = &mut self.sweeper {
            *again = true;
            return;
        }
        let left = std::fs::read_dir(self.forgotten()).is_ok_and(|mut found| found.next().is_some());
        if !left || self.going.is_some() {
            return;
        }
        let [_, output, error] = sys::fd::standard();
        let words = ["--quiet", "sweep", "--run"].map(OsStr::new);
        let words: Vec<&OsStr> = words.into_iter().chain([self.options.run.as_os_str()]).collect();
        match self.spawn_program("svctl-image", &words, &[(output, 1), (error, 2)]) {
            Ok(pid) => self.sweeper = Some((pid, false)),
            Err(problem) => self.messages.warning(&format!(
                "unable to take away the roots of what was forgotten: {problem} (tried again the next time)"
            )),
        }
    }

    /// Whether that was the sweeper. What was forgotten while it was under way it may not have seen.
    pub(crate) fn sweeper_ended(&mut self, ended: Pid) -> bool {
        let Some((_, again)) = self.sweeper.take_if(|(pid, _)| *pid == ended) else { return false };
        if again {
            self.sweep_roots();
        }
        true
    }
}

/// Whether the definition in a directory is one of a service that runs from an image.
fn runs_from_image(place: &Path) -> bool {
    let text = std::fs::read_to_string(place.join("definition")).unwrap_or_default();
    text.lines().any(|line| line.starts_with("image-"))
}
