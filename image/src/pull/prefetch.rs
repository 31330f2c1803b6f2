//! Several layers at once, and a little ahead of whoever unpacks them.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::blob::Wanted;
use super::registry::Remote;
use crate::digest::Digest;
use crate::error::Result;

/// How many are fetched at once.
const AT_ONCE: usize = 3;
/// How many may be fetched or waiting for whoever unpacks: they are files, and may be memory.
const AHEAD: usize = 4;

/// Fetches what will be asked for.
pub struct Prefetch {
    shared: Arc<Shared>,
}

struct Shared {
    remote: Arc<Remote>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Wanted>,
    /// Being fetched.
    busy: usize,
    /// Fetched, or failed; none while it is being fetched.
    found: HashMap<Digest, Option<Result<File>>>,
    /// Whether nobody asks any more.
    over: bool,
}

impl Prefetch {
    /// Begins.
    #[must_use]
    pub fn new(remote: Arc<Remote>, wanted: Vec<Wanted>) -> Prefetch {
        let workers = wanted.len().min(AT_ONCE);
        let state = State { queue: wanted.into(), ..State::default() };
        let shared = Arc::new(Shared { remote, state: Mutex::new(state), changed: Condvar::new() });
        for _ in 0..workers {
            let shared = Arc::clone(&shared);
            // Without a thread, whoever asks fetches it.
            let _ = std::thread::Builder::new().name("pull".to_owned()).spawn(move || shared.work());
        }
        Prefetch { shared }
    }

    /// The blob, once it is there; fetched now, if nobody has begun with it.
    ///
    /// # Errors
    /// It cannot be had.
    pub fn take(&self, wanted: &Wanted) -> Result<File> {
        let mut state = self.shared.lock();
        loop {
            match state.found.get_mut(&wanted.digest) {
                Some(Some(_)) => {
                    let found = state.found.remove(&wanted.digest).flatten();
                    self.shared.changed.notify_all();
                    drop(state);
                    return found.unwrap_or_else(|| self.shared.remote.blob(wanted));
                }
                Some(None) => {
                    state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                None => {
                    state.queue.retain(|queued| queued.digest != wanted.digest);
                    drop(state);
                    return self.shared.remote.blob(wanted);
                }
            }
        }
    }
}

impl Drop for Prefetch {
    fn drop(&mut self) {
        self.shared.lock().over = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        while let Some(wanted) = self.next() {
            let fetched = self.remote.blob(&wanted);
            let mut state = self.lock();
            state.busy = state.busy.saturating_sub(1);
            state.found.insert(wanted.digest, Some(fetched));
            drop(state);
            self.changed.notify_all();
        }
    }

    /// What to fetch next, once there is room for it.
    fn next(&self) -> Option<Wanted> {
        let mut state = self.lock();
        loop {
            if state.over || state.queue.is_empty() {
                return None;
            }
            if state.found.len() < AHEAD && state.busy < AT_ONCE {
                let wanted = state.queue.pop_front()?;
                // The same layer twice is fetched when it is asked for again.
                if state.found.contains_key(&wanted.digest) {
                    continue;
                }
                state.busy = state.busy.saturating_add(1);
                state.found.insert(wanted.digest.clone(), None);
                return Some(wanted);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
