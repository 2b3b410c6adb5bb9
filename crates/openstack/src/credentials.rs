//! Credentials of the client. Not for where they are kept.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer, Serialize};

/// A text that no Debug output and no serialised form shows.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Hides a text.
    pub fn new(text: String) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

/// The kind of endpoint that is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interface {
    /// Services' own network.
    #[default]
    Internal,
    /// Network of users.
    Public,
    /// Network of administrators.
    Admin,
}

impl Interface {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::Public => "public",
            Self::Admin => "admin",
        }
    }
}

/// A user of the identity API, and where to find the rest.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// URL of the identity API, with `/v3`.
    pub auth_url: String,
    /// Name of the user.
    pub username: String,
    /// Password of the user.
    pub password: Secret,
    /// Project that the token is good for.
    pub project: String,
    /// Domain of the user.
    #[serde(default = "default_domain")]
    pub user_domain: String,
    /// Domain of the project.
    #[serde(default = "default_domain")]
    pub project_domain: String,
    /// Region whose endpoints are asked.
    pub region: String,
    /// Path of the certificate authority, PEM; none: the APIs speak in clear.
    #[serde(default)]
    pub cafile: Option<String>,
    /// Kind of endpoint.
    #[serde(default)]
    pub interface: Interface,
}

fn default_domain() -> String {
    "Default".to_owned()
}
