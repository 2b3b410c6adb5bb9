//! Definitions that a store should hold beside its data, as the file says that it is born with: read
//! once, when the file is made.

use serde::{Serialize, Serializer};
use serde_json::Value;

/// Definitions of a store: JSON by section, with placeholders of secrets inside texts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Definitions {
    text: String,
    read: Value,
}

impl Definitions {
    /// Reads them.
    ///
    /// # Errors
    /// The reason why the text is none: it is no JSON object.
    pub fn parse(text: String) -> Result<Self, String> {
        match serde_json::from_str(&text) {
            Ok(read @ Value::Object(_)) => Ok(Self { text, read }),
            Ok(_) => Err("it is no object".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// True where the store has none.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// A section, such as `users`; null where there is none of the name.
    pub fn section(&self, name: &str) -> &Value {
        &self.read[name]
    }
}

impl Serialize for Definitions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Taken for empty, a broker would be as wanted whatever it holds.
    #[test]
    fn what_is_no_object_is_refused() {
        for text in ["", "[]", "{\"users\": [}", "null"] {
            assert!(Definitions::parse(text.to_owned()).is_err(), "{text}");
        }
        let read = Definitions::parse("{\"users\": []}".to_owned()).unwrap();
        assert_eq!(
            (read.section("users"), read.section("x")),
            (&Value::Array(Vec::new()), &Value::Null)
        );
    }
}
