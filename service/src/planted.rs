//! Bugs that a test can plant, to show that each invariant is watched: the exploration must report just the one
//! that the bug breaks. The module of a machine names its own in a `planted.rs` beside it. In a program none of
//! this exists.

/// Whether a test has planted this bug, as in `planted!(graph::PlansEndEarly)`. Never, in a program.
macro_rules! planted {
    ($owner:ident::$bug:ident) => {{
        #[cfg(test)]
        let planted = crate::$owner::planted::is(crate::$owner::planted::Bug::$bug);
        #[cfg(not(test))]
        let planted = false;
        planted
    }};
}

/// Names the bugs of one module, and has them planted one at a time.
#[cfg(test)]
macro_rules! bugs {
    ($($(#[$explanation:meta])* $bug:ident,)*) => {
        /// A bug.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Bug {
            $($(#[$explanation])* $bug,)*
        }

        thread_local! {
            static PLANTED: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
        }

        pub(super) fn is(bug: Bug) -> bool {
            PLANTED.get() == Some(bug)
        }

        /// Does something with a bug planted, in this thread alone.
        pub(super) fn with<T>(bug: Bug, work: impl FnOnce() -> T) -> T {
            PLANTED.set(Some(bug));
            let result = work();
            PLANTED.set(None);
            result
        }
    };
}
