//! Where it is told how far something has come.

/// Is told how far something has come.
pub trait Progress {
    /// Something begins, of so many bytes if that is known.
    fn start(&mut self, name: &str, total: Option<u64>);
    /// So many bytes more are done.
    fn advance(&mut self, bytes: u64);
    /// It is done.
    fn done(&mut self);
    /// Something is not quite as it should be, and it goes on.
    fn warn(&mut self, _message: &str) {}
}

/// Tells nobody.
pub struct Silent;

impl Progress for Silent {
    fn start(&mut self, _: &str, _: Option<u64>) {}
    fn advance(&mut self, _: u64) {}
    fn done(&mut self) {}
}
