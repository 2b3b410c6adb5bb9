//! Random bytes: the system's, or, for tests, those that follow from a seed.

use rand::TryRngCore;
use rand::rngs::OsRng;

use crate::Error;

/// Where a secret's bytes come from.
pub(crate) enum Source {
    System,
    /// The name is in it, so that a secret does not depend on those made before.
    Seeded(Box<blake3::OutputReader>),
}

impl Source {
    pub(crate) fn new(seed: Option<u64>, name: &str) -> Self {
        let Some(seed) = seed else {
            return Self::System;
        };
        let mut hasher = blake3::Hasher::new_derive_key("quorate vault seed for tests v1");
        hasher.update(&seed.to_le_bytes());
        hasher.update(name.as_bytes());
        Self::Seeded(Box::new(hasher.finalize_xof()))
    }

    pub(crate) fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        match self {
            Self::System => OsRng.try_fill_bytes(bytes).map_err(Error::Random),
            Self::Seeded(reader) => {
                reader.fill(bytes);
                Ok(())
            }
        }
    }

    /// Letters and digits, each as likely as the other.
    pub(crate) fn alphanumeric(&mut self, length: usize) -> Result<String, Error> {
        const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        let mut out = String::with_capacity(length);
        let mut bytes = [0; 64];
        while out.len() < length {
            self.fill(&mut bytes)?;
            // 248 is the greatest multiple of 62 in a byte: what is above would favour some letters.
            let letters = bytes
                .iter()
                .filter(|b| **b < 248)
                .filter_map(|b| LETTERS.get(usize::from(b % 62)));
            out.extend(letters.map(|l| char::from(*l)).take(length - out.len()));
        }
        Ok(out)
    }
}
