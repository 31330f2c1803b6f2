//! The services, and which of them may have changed since the ledger was written.

use crate::services::Service;
use service::graph::Index;
use std::ops::{Deref, DerefMut};

/// All services in the order of the plan. Whoever gets one to change it has it looked at when the ledger is
/// written next.
#[derive(Default)]
pub(crate) struct Table {
    list: Vec<Service>,
    marks: Vec<bool>,
    touched: Vec<Index>,
    all: bool,
}

impl Table {
    /// A service, to be changed.
    pub(crate) fn get_mut(&mut self, index: Index) -> Option<&mut Service> {
        self.touch(index);
        self.list.get_mut(index)
    }

    /// Closes the descriptors of a service that nothing names any more.
    pub(crate) fn close(&mut self, index: Index) {
        if let Some(service) = self.list.get_mut(index) {
            service.closing.clear();
        }
    }

    pub(crate) fn push(&mut self, service: Service) {
        self.touch(self.list.len());
        self.list.push(service);
    }

    /// Has a service looked at.
    pub(crate) fn touch(&mut self, index: Index) {
        if self.marks.len() <= index {
            self.marks.resize(index + 1, false);
        }
        if let Some(mark) = self.marks.get_mut(index)
            && !std::mem::replace(mark, true)
        {
            self.touched.push(index);
        }
    }

    /// Has every service looked at.
    pub(crate) fn touch_all(&mut self) {
        self.all = true;
    }

    /// The next one to look at.
    pub(crate) fn next_touched(&mut self) -> Option<Index> {
        if std::mem::take(&mut self.all) {
            for index in 0..self.list.len() {
                self.touch(index);
            }
        }
        let index = self.touched.pop()?;
        if let Some(mark) = self.marks.get_mut(index) {
            *mark = false;
        }
        Some(index)
    }
}

impl Deref for Table {
    type Target = Vec<Service>;

    fn deref(&self) -> &Vec<Service> {
        &self.list
    }
}

impl DerefMut for Table {
    fn deref_mut(&mut self) -> &mut Vec<Service> {
        self.all = true;
        &mut self.list
    }
}

impl<'a> IntoIterator for &'a Table {
    type Item = &'a Service;
    type IntoIter = std::slice::Iter<'a, Service>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_one_that_may_have_changed_is_looked_at_once() {
        let mut table = Table::default();
        for _ in 0..3 {
            table.push(Service::default());
        }
        let looked_at = |table: &mut Table| {
            let mut all: Vec<Index> = std::iter::from_fn(|| table.next_touched()).collect();
            all.sort_unstable();
            all
        };
        assert_eq!(looked_at(&mut table), [0, 1, 2], "new ones");
        assert!(table.get_mut(1).is_some() && table.get_mut(1).is_some() && !table.is_empty());
        assert_eq!(looked_at(&mut table), [1]);
        table.iter_mut().for_each(drop);
        assert_eq!(looked_at(&mut table), [0, 1, 2]);
        assert_eq!(looked_at(&mut table), []);
    }
}
