//! Failing on purpose.

/// A way of failing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A write to where there is no memory.
    Segv,
    /// abort(3).
    Abort,
    /// A panic.
    Panic,
    /// A recursion without an end.
    Overflow,
}

impl Fault {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Fault::Segv => "segv",
            Fault::Abort => "abort",
            Fault::Panic => "panic",
            Fault::Overflow => "overflow",
        }
    }

    /// The fault called `word`.
    #[must_use]
    pub fn parse(word: &str) -> Option<Fault> {
        let all = [Fault::Segv, Fault::Abort, Fault::Panic, Fault::Overflow];
        all.into_iter().find(|fault| fault.word() == word)
    }
}
