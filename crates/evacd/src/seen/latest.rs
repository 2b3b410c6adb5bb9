//! The latest answer of a source that is asked by a task of its own. Not for asking.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// An answer with the moment at which it was asked for.
#[derive(Debug)]
pub(crate) struct Latest<T>(Arc<Mutex<Kept<T>>>);

/// The moment of the question, and the answer.
type Kept<T> = Option<(Instant, Arc<T>)>;

impl<T> Clone for Latest<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for Latest<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Latest<T> {
    /// Keeps an answer that was asked for at a moment.
    pub(crate) fn keep(&self, began: Instant, answer: T) {
        *self.lock() = Some((began, Arc::new(answer)));
    }

    /// The answer, if it was asked for within a time.
    pub(crate) fn within(&self, limit: Duration) -> Option<Arc<T>> {
        let held = self.lock();
        let (began, answer) = held.as_ref()?;
        (began.elapsed() <= limit).then(|| answer.clone())
    }

    /// Forgets it.
    pub(crate) fn clear(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
