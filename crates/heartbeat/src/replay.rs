//! Memory of what was heard before, so that a datagram counts once: windows of sequences, and the
//! lineage of boots or sessions that follow each other.
//!
//! No clock decides here: one that was stepped neither admits nor refuses anything.

use std::collections::VecDeque;

/// Sequences below the highest that may still come.
pub const WINDOW: u64 = 64;
/// Boots or sessions before the present one that are remembered.
pub const REMEMBERED: usize = 64;

/// Sequences heard in one boot or session on one network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    highest: u64,
    /// Bit n: the highest less n was heard. None before the first.
    heard: u64,
}

impl Window {
    /// Takes a sequence; false for one that was heard before, or is too old to tell.
    pub fn take(&mut self, sequence: u64) -> bool {
        if self.heard == 0 {
            (self.highest, self.heard) = (sequence, 1);
            return true;
        }
        if let Some(ahead) = sequence.checked_sub(self.highest)
            && ahead > 0
        {
            let kept = u32::try_from(ahead).ok().and_then(|n| self.heard.checked_shl(n));
            (self.highest, self.heard) = (sequence, kept.unwrap_or_default() | 1);
            return true;
        }
        let behind = self.highest - sequence;
        if behind >= WINDOW || self.heard & (1 << behind) != 0 {
            return false;
        }
        self.heard |= 1 << behind;
        true
    }

    /// One of the next that are due.
    pub fn is_next(&self, sequence: u64) -> bool {
        self.heard != 0 && sequence > self.highest && sequence - self.highest <= WINDOW
    }
}

/// Boots or sessions of one sender: which is present, and which are over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lineage {
    present: Option<[u8; 16]>,
    over: VecDeque<[u8; 16]>,
}

/// Place of an identity in a [`Lineage`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The present one.
    Present,
    /// One that was never heard: it ends the present one.
    New,
    /// One that ended.
    Over,
}

impl Lineage {
    /// The present identity.
    pub fn present(&self) -> Option<[u8; 16]> {
        self.present
    }

    /// The place of an identity.
    pub fn place(&self, id: [u8; 16]) -> Place {
        if self.present == Some(id) {
            Place::Present
        } else if self.over.contains(&id) {
            Place::Over
        } else {
            Place::New
        }
    }

    /// Makes an identity the present one.
    pub fn begin(&mut self, id: [u8; 16]) {
        if let Some(before) = self.present.replace(id) {
            self.over.push_back(before);
            // A sender with the key makes them up at will: the memory is bounded.
            if self.over.len() > REMEMBERED {
                self.over.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_sequence_counts_once() {
        let check = |before: &[u64], sequence: u64, expect: bool| {
            let mut window = Window::default();
            for s in before {
                window.take(*s);
            }
            assert_eq!(window.take(sequence), expect, "{sequence} after {before:?}");
        };
        check(&[], 0, true);
        check(&[], u64::MAX, true);
        check(&[5], 5, false);
        check(&[5], 6, true);
        check(&[5], 4, true);
        check(&[5, 4], 4, false);
        check(&[5, 7], 6, true);
        check(&[100], 37, true);
        check(&[100], 36, false);
        check(&[5, 5 + 63], 5, false);
        check(&[5, 5 + 64], 5, false);
        check(&[5, u64::MAX], 6, false);
        check(&[0, u64::MAX], u64::MAX, false);
    }

    #[test]
    fn what_is_next_is_near() {
        let mut window = Window::default();
        assert!(!window.is_next(1), "nothing was heard");
        window.take(10);
        for (sequence, expect) in [(10, false), (9, false), (11, true), (74, true), (75, false)] {
            assert_eq!(window.is_next(sequence), expect, "{sequence}");
        }
    }

    proptest! {
        /// Against a memory without an end, all that the window admits was new, and what it
        /// refuses was heard or is too old.
        #[test]
        fn a_window_is_a_memory(sequences in prop::collection::vec(prop_oneof![0_u64..200, any::<u64>()], 0..200)) {
            let (mut window, mut all) = (Window::default(), BTreeSet::new());
            for sequence in sequences {
                let old = all.last().is_some_and(|h: &u64| h.saturating_sub(sequence) >= WINDOW);
                let expect = !old && !all.contains(&sequence);
                prop_assert_eq!(window.take(sequence), expect);
                if expect {
                    all.insert(sequence);
                }
            }
        }
    }

    #[test]
    fn what_is_over_stays_over() {
        let mut lineage = Lineage::default();
        assert_eq!(lineage.place([1; 16]), Place::New);
        lineage.begin([1; 16]);
        lineage.begin([2; 16]);
        let places = [[1; 16], [2; 16], [3; 16]].map(|id| lineage.place(id));
        assert_eq!(places, [Place::Over, Place::Present, Place::New]);
        for n in 3..200 {
            lineage.begin([n; 16]);
        }
        assert_eq!(lineage.over.len(), REMEMBERED);
    }
}
