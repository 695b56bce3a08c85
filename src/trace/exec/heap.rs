//! The least of many times, in the very order in which Go's reader takes those that are equal.

/// A time, and whose.
pub(super) type Entry = (i64, u32);

#[derive(Default)]
pub(super) struct Heap(pub(super) Vec<Entry>);

impl Heap {
    pub(super) fn insert(&mut self, e: Entry) {
        self.0.push(e);
        self.up(self.0.len() - 1);
    }

    /// The time of the entry at `i` changed.
    #[inline]
    pub(super) fn update(&mut self, i: usize, time: i64) {
        self.0[i].0 = time;
        if self.up(i) == i {
            self.down(i);
        }
    }

    pub(super) fn remove(&mut self, mut i: usize) {
        while i > 0 {
            self.0.swap((i - 1) / 2, i);
            i = (i - 1) / 2;
        }
        let last = self.0.len() - 1;
        self.0.swap(0, last);
        self.0.pop();
        self.down(0);
    }

    /// A sorted heap is one, too.
    pub(super) fn sort(&mut self) {
        self.0.sort_by_key(|e| e.0);
    }

    fn up(&mut self, mut i: usize) -> usize {
        while i > 0 && self.0[(i - 1) / 2].0 > self.0[i].0 {
            self.0.swap((i - 1) / 2, i);
            i = (i - 1) / 2;
        }
        i
    }

    fn down(&mut self, mut i: usize) {
        loop {
            let mut least = i;
            for c in [2 * i + 1, 2 * i + 2] {
                if self.0.get(c).is_some_and(|e| e.0 < self.0[least].0) {
                    least = c;
                }
            }
            if least == i || i >= self.0.len() {
                return;
            }
            self.0.swap(i, least);
            i = least;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_out_in_order() {
        let mut h = Heap::default();
        for t in [5, 1, 4, 1, 3] {
            h.insert((t, t as u32));
        }
        h.update(0, 9);
        let mut out = Vec::new();
        while let Some(&(t, _)) = h.0.first() {
            out.push(t);
            h.remove(0);
        }
        assert_eq!(out, [1, 3, 4, 5, 9]);
    }
}
