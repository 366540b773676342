//! A value that only grows, on behalf of rows of a turn, and can be undone row by row.

/// See the module's page.
#[derive(Debug, Clone)]
pub(super) struct Latest<T> {
    /// What it was when the turn began.
    base: Option<T>,
    /// What rows raised it to.
    raised: Vec<(u32, T)>,
    now: Option<T>,
}

impl<T> Default for Latest<T> {
    fn default() -> Self {
        Latest { base: None, raised: Vec::new(), now: None }
    }
}

impl<T: Ord + Clone> Latest<T> {
    #[inline]
    pub(super) fn get(&self) -> Option<&T> {
        self.now.as_ref()
    }

    /// Raises it on behalf of a row, where it is less.
    #[inline]
    pub(super) fn raise(&mut self, row: u32, to: T) {
        if self.now.as_ref().is_none_or(|now| *now < to) {
            self.raised.push((row, to.clone()));
            self.now = Some(to);
        }
    }

    /// What rows of this turn raised it to, in the order of time.
    pub(super) fn raised(&self) -> &[(u32, T)] {
        &self.raised
    }

    pub(super) fn begin(&mut self) {
        if !self.raised.is_empty() {
            self.base.clone_from(&self.now);
            self.raised.clear();
        }
    }

    /// Undoes what rows from `rows` on did. Answers whether they did anything.
    pub(super) fn keep(&mut self, rows: u32) -> bool {
        let raised = self.raised.len();
        // Several functions may go over the same rows one after the other, so the rows are in no order.
        self.raised.retain(|(row, _)| *row < rows);
        let highest = self.raised.iter().map(|(_, value)| value).max();
        self.now = highest.max(self.base.as_ref()).cloned();
        self.raised.len() < raised
    }

    /// It is this, whatever it was.
    pub(super) fn set(&mut self, value: Option<T>) {
        self.raised.clear();
        self.base.clone_from(&value);
        self.now = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_undone_row_by_row_whoever_raised_it() {
        let mut latest = Latest::default();
        latest.set(Some(5));
        latest.raise(7, 9);
        latest.raise(3, 12);
        latest.raise(4, 11);
        assert_eq!(latest.get(), Some(&12));
        latest.keep(3);
        assert_eq!(latest.get(), Some(&5));
        latest.raise(7, 9);
        latest.raise(3, 12);
        latest.keep(5);
        assert_eq!(latest.get(), Some(&12), "row 3 stands without row 7");
        latest.begin();
        latest.keep(0);
        assert_eq!(latest.get(), Some(&12));
    }
}
