//! Keys by which datagrams are authenticated: HMAC-SHA256 over all bytes before the code.
//!
//! Not a store of secrets: keys come with the configuration and are never shown.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use serde::{Deserialize, Deserializer};
use sha2::Sha256;

/// Bytes of a key.
pub const KEY: usize = 32;
/// Bytes of a code at a datagram's end.
pub const CODE: usize = 32;

/// A key of 32 bytes, as the state of the code that begins with it.
#[derive(Clone)]
pub struct Key(Hmac<Sha256>);

impl Key {
    /// The key of these bytes.
    pub fn new(bytes: &[u8; KEY]) -> Self {
        let mut block = hmac::digest::generic_array::GenericArray::default();
        for (to, from) in block.iter_mut().zip(bytes) {
            *to = *from;
        }
        Self(<Hmac<Sha256> as hmac::digest::KeyInit>::new(&block))
    }

    /// The key that a text in base64 holds; `None` unless it is of 32 bytes.
    pub fn read(text: &str) -> Option<Self> {
        let bytes: [u8; KEY] = STANDARD.decode(text.trim()).ok()?.try_into().ok()?;
        Some(Self::new(&bytes))
    }

    /// A mark by which two keys are told apart; it does not tell the key.
    pub(crate) fn mark(&self) -> Vec<u8> {
        let mut mark = vec![];
        self.sign(&mut mark);
        mark
    }

    /// Adds the code of all bytes so far.
    pub fn sign(&self, datagram: &mut Vec<u8>) {
        let mut code = self.0.clone();
        code.update(datagram);
        datagram.extend_from_slice(&code.finalize().into_bytes());
    }

    /// The bytes before the code, if the code is theirs; compared in constant time.
    pub fn proven<'a>(&self, datagram: &'a [u8]) -> Option<&'a [u8]> {
        let (said, code) = datagram.split_at_checked(datagram.len().checked_sub(CODE)?)?;
        let mut own = self.0.clone();
        own.update(said);
        own.verify_slice(code).ok().map(|()| said)
    }
}

/// Never the key.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::read(&text).ok_or_else(|| serde::de::Error::custom("a key is 32 bytes in base64"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_that_of_rfc_4231() {
        // Its first case, whose key of 20 bytes is padded with zeros as any key is.
        let mut key = [0; KEY];
        for byte in key.iter_mut().take(20) {
            *byte = 0x0b;
        }
        let mut datagram = b"Hi There".to_vec();
        Key::new(&key).sign(&mut datagram);
        let [first, second] = [
            0xb034_4c61_d8db_3853_5ca8_afce_af0b_f12b_u128,
            0x881d_c200_c983_3da7_26e9_376c_2e32_cff7,
        ];
        assert_eq!(
            datagram[8..],
            [first.to_be_bytes(), second.to_be_bytes()].concat()
        );
    }

    #[test]
    fn a_key_is_32_bytes_and_never_shown() {
        let text = STANDARD.encode([7; KEY]);
        let key: Key = serde_json::from_str(&format!("{text:?}")).unwrap();
        assert_eq!(format!("{key:?}"), "Key(…)");
        for wrong in [
            "",
            "AAAA",
            "no base64!",
            &STANDARD.encode([7; 31]),
            &STANDARD.encode([7; 33]),
        ] {
            let read: Result<Key, _> = serde_json::from_str(&format!("{wrong:?}"));
            assert_eq!(
                read.unwrap_err().to_string(),
                "a key is 32 bytes in base64",
                "{wrong}"
            );
        }
    }
}
