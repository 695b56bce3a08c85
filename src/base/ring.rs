//! A bounded ring that counts what it had to drop.

use std::collections::VecDeque;

/// Keeps the last `cap` items; `dropped` says how many older ones are gone.
#[derive(Debug, Clone)]
pub struct Ring<T> {
    items: VecDeque<T>,
    cap: usize,
    dropped: u64,
}

impl<T> Ring<T> {
    /// An empty ring for at most `cap` items (at least 1).
    pub fn new(cap: usize) -> Self {
        Ring { items: VecDeque::new(), cap: cap.max(1), dropped: 0 }
    }
    /// Adds an item, dropping the oldest when full.
    pub fn push(&mut self, item: T) {
        if self.items.len() == self.cap {
            self.items.pop_front();
            self.dropped += 1;
        }
        self.items.push_back(item);
    }
    /// Oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> + ExactSizeIterator {
        self.items.iter()
    }
    /// Items held.
    pub fn len(&self) -> usize {
        self.items.len()
    }
    /// Nothing held?
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
    /// Items that were pushed out.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
    /// The newest item.
    pub fn last(&self) -> Option<&T> {
        self.items.back()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn counts_what_is_lost() {
        let mut r = Ring::new(2);
        for i in 0..5 {
            r.push(i);
        }
        assert_eq!((r.iter().copied().collect::<Vec<_>>(), r.dropped()), (vec![3, 4], 3));
    }
}
