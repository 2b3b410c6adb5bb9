//! A token and the catalogue of endpoints that came with it. Not for asking for one.
//!
//! Its age is measured by this host's steady clock from the moment it came; how long it
//! lives is the difference of the two moments that the identity API wrote, so no two clocks
//! are compared.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use wire::Fact;

use crate::{Credentials, Error, Result, Secret, fields};

/// Part of a token's life after which it is renewed: the rest covers slow requests.
const FRESH: f64 = 0.8;

/// A token in use.
pub(crate) struct Token {
    pub(crate) secret: Secret,
    pub(crate) number: u64,
    endpoints: Vec<Endpoint>,
    since: Instant,
    fresh_for: Duration,
}

struct Endpoint {
    kind: String,
    region: String,
    interface: String,
    url: String,
}

impl Token {
    /// Reads the identity API's answer. `number` tells tokens apart without showing them.
    pub(crate) fn parse(secret: Option<String>, body: &Value, number: u64, since: Instant) -> Result<Self> {
        let secret = secret.ok_or_else(|| unknown("the identity API gave no token"))?;
        let token = body
            .get("token")
            .ok_or_else(|| unknown("no `token` in the answer"))?;
        let moment = |key| match fields::time(token, key) {
            Fact::Known(at) => Ok(at),
            _ => Err(unknown(&format!("no `{key}` of the token"))),
        };
        let life = moment("issued_at")?.duration_until(moment("expires_at")?);
        let life = Duration::try_from(life).unwrap_or_default();
        let mut endpoints = Vec::new();
        for service in fields::items(token, "catalog")? {
            let kind = fields::needed(service, "type")?;
            for endpoint in fields::items(service, "endpoints")? {
                endpoints.push(Endpoint {
                    kind: kind.clone(),
                    region: text(endpoint, "region_id"),
                    interface: text(endpoint, "interface"),
                    url: text(endpoint, "url"),
                });
            }
        }
        Ok(Self {
            secret: Secret::new(secret),
            number,
            endpoints,
            since,
            fresh_for: life.mul_f64(FRESH),
        })
    }

    /// True while it is not yet time to ask for another.
    pub(crate) fn is_fresh(&self) -> bool {
        self.since.elapsed() < self.fresh_for
    }

    /// The URL of a service, without a slash at its end.
    pub(crate) fn endpoint(&self, kind: &str, credentials: &Credentials) -> Result<String> {
        let meant = |e: &&Endpoint| {
            e.kind == kind
                && e.region == credentials.region
                && e.interface == credentials.interface.as_str()
                && !e.url.is_empty()
        };
        let found = self.endpoints.iter().find(meant);
        found
            .map(|e| e.url.trim_end_matches('/').to_owned())
            .ok_or_else(|| {
                let (region, interface) = (&credentials.region, credentials.interface.as_str());
                Error::NotSent(format!(
                    "the catalogue has no {interface} endpoint of `{kind}` in region {region}"
                ))
            })
    }
}

/// The body of a request for a token.
pub(crate) fn asked_with(credentials: &Credentials) -> Value {
    json!({ "auth": {
        "identity": { "methods": ["password"], "password": { "user": {
            "name": credentials.username,
            "domain": { "name": credentials.user_domain },
            "password": credentials.password.expose(),
        }}},
        "scope": { "project": {
            "name": credentials.project,
            "domain": { "name": credentials.project_domain },
        }},
    }})
}

fn text(of: &Value, key: &str) -> String {
    fields::text(of, key).known().cloned().unwrap_or_default()
}

fn unknown(why: &str) -> Error {
    Error::Unknown(why.to_owned())
}
