//! Answers that one planning asks for again and again: worked out once.

use std::cell::RefCell;
use std::collections::HashMap;

use wire::Content;

use crate::Digest;

/// Answers of one planning. Its inputs do not change meanwhile.
#[derive(Default)]
pub(crate) struct Memo {
    /// Digests by where the content lies: hosts share what is the same on all of them.
    digests: RefCell<HashMap<usize, String>>,
}

impl Memo {
    /// True if a content of the desired state, which outlives this, has a digest.
    pub fn is(&self, content: &Content, digest: Digest<'_>, told: &str) -> bool {
        let mut all = self.digests.borrow_mut();
        let known = all.entry(content.address()).or_insert_with(|| digest(content));
        known == told
    }
}
