//! A name that may be missing, written as a text that is empty then: for fields whose readers
//! expect a text.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Writes the name, or an empty text.
pub fn serialize<T: AsRef<str>, S: Serializer>(name: &Option<T>, to: S) -> Result<S::Ok, S::Error> {
    name.as_ref().map_or("", AsRef::as_ref).serialize(to)
}

/// Reads a name; an empty text is none.
pub fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    let text = String::deserialize(from)?;
    if text.is_empty() {
        return Ok(None);
    }
    T::deserialize(serde::de::value::StringDeserializer::<D::Error>::new(text)).map(Some)
}
