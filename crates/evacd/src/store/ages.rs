//! Ages of rows that no step of a clock makes greater: the smaller one of what the database
//! says and the time since this process first saw the row.
//!
//! A wait that ends too early may send a request twice; one that is begun again after a
//! takeover only costs time.

use std::{collections::BTreeMap, time::Instant};

/// Rows seen so far.
#[derive(Default)]
pub(super) struct Ages {
    seen: BTreeMap<String, Instant>,
    now: BTreeMap<String, Instant>,
}

impl Ages {
    /// Age of a row in ms, by a key that changes when its age begins anew.
    pub(super) fn of(&mut self, key: String, said_ms: u64) -> u64 {
        let since = self.seen.get(&key).copied().unwrap_or_else(Instant::now);
        self.now.insert(key, since);
        said_ms.min(u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// Ends a reading: rows that were not in it are forgotten.
    pub(super) fn end(&mut self) {
        self.seen = std::mem::take(&mut self.now);
    }
}

#[cfg(test)]
mod tests {
    use super::Ages;

    #[test]
    fn a_row_is_never_older_than_this_process_knows_it() {
        let mut ages = Ages::default();
        assert!(ages.of("a".to_owned(), 1_000_000) < 1000);
        assert_eq!(ages.of("b".to_owned(), 0), 0);
        ages.end();
        std::thread::sleep(std::time::Duration::from_millis(3));
        assert!((3..1000).contains(&ages.of("a".to_owned(), 1_000_000)));
        ages.end();
        // `b` was gone for a reading.
        assert!(ages.of("b".to_owned(), 1_000_000) < 3);
    }
}
