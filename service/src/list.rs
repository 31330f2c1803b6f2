//! A list of bounded length that lives on the stack: the machines run in programs that must not allocate.

/// At most `N` items, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct List<T: Copy, const N: usize> {
    items: [Option<T>; N],
    length: usize,
}

impl<T: Copy, const N: usize> List<T, N> {
    /// An empty list.
    #[must_use]
    pub fn new() -> Self {
        List { items: [None; N], length: 0 }
    }

    /// Appends `item`. The capacity is chosen so that it cannot be exceeded, which the exhaustive tests
    /// show; an item too many is dropped rather than a panic in PID 1.
    pub fn push(&mut self, item: T) {
        debug_assert!(self.length < N, "list capacity exceeded");
        if let Some(slot) = self.items.get_mut(self.length) {
            *slot = Some(item);
            self.length += 1;
        }
    }

    /// The items in order.
    pub fn iter(&self) -> impl Iterator<Item = T> + '_ {
        self.items.iter().filter_map(|item| *item)
    }

    /// How many items there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
}

impl<T: Copy, const N: usize> Default for List<T, N> {
    fn default() -> Self {
        List::new()
    }
}
