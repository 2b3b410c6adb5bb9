//! Token by token: each token is bought with the one before.
//!
//! The point is to watch an identity service write and verify at a high rate
//! without paying a password hash at each tick. Requests may be under way at the
//! same time, each with the newest token held when it was sent.

use std::sync::{Arc, Mutex, PoisonError};

use reqwest::Client;

use crate::{
    Error, Outcome, Probe, Renewing, Result, Secret,
    error::root,
    http::{client, failed, json, read, wrong},
};

/// A probe's client and the token it holds.
pub(crate) struct Renewer {
    client: Client,
    renewing: Renewing,
    held: Mutex<Held>,
}

/// What the next request is paid with.
#[derive(Clone)]
enum Held {
    /// The newest token.
    Token(Arc<Secret>),
    /// None: the next request logs in.
    Nothing,
    /// None yet: a login is under way, and one is enough.
    LoggingIn,
}

impl Renewer {
    /// Makes the client and buys the first token with the password.
    pub(crate) async fn prepare(probe: &Probe, renewing: &Renewing) -> Result<Self> {
        let client = client(probe, renewing.ca_pem.as_deref(), renewing.connection)?;
        if !renewing.next_body.contains("{token}") {
            return Err(probe.invalid("`next_body` has no `{token}`"));
        }
        let renewer = Self {
            client,
            renewing: renewing.clone(),
            held: Mutex::new(Held::Nothing),
        };
        match renewer.ask().await {
            Outcome::Failed(reason) => Err(Error::Prepare {
                probe: probe.name.clone(),
                reason,
            }),
            _ => Ok(renewer),
        }
    }

    /// Buys the next token.
    pub(crate) async fn ask(&self) -> Outcome {
        let held = {
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            let now = held.clone();
            if matches!(now, Held::Nothing) {
                *held = Held::LoggingIn;
            }
            now
        };
        match held {
            Held::LoggingIn => Outcome::Failed("no token held: a login is under way".into()),
            Held::Nothing => {
                // Put back whatever happens, the caller's timeout included.
                let login = Login(self);
                let outcome = self.buy(&self.renewing.first_body, None).await;
                drop(login);
                outcome
            }
            Held::Token(token) => {
                let escaped = serde_json::Value::from(token.expose()).to_string();
                let body = self
                    .renewing
                    .next_body
                    .replace("{token}", escaped.trim_matches('"'));
                self.buy(&body.into(), Some(&token)).await
            }
        }
    }

    async fn buy(&self, body: &Secret, with: Option<&Arc<Secret>>) -> Outcome {
        let response = match json(&self.client, &self.renewing.url, body).send().await {
            Ok(response) => response,
            Err(error) => return failed(&error),
        };
        let status = response.status();
        let token = response
            .headers()
            .get(&self.renewing.token_header)
            .and_then(|value| value.to_str().ok())
            .map(Secret::from);
        if let Err(error) = read(response).await {
            return Outcome::Failed(root(&error));
        }
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if status.as_u16() == self.renewing.expect_status {
            return match token {
                Some(token) => {
                    *held = Held::Token(Arc::new(token));
                    Outcome::Ok
                }
                None => Outcome::Failed(format!("no `{}` in the answer", self.renewing.token_header)),
            };
        }
        // Only the token that was refused is dropped, not one that came meanwhile.
        if let (401 | 403 | 404, Some(with), Held::Token(token)) = (status.as_u16(), with, &*held)
            && Arc::ptr_eq(with, token)
        {
            *held = Held::Nothing;
        }
        wrong(status)
    }
}

/// While it lives a login is under way.
struct Login<'a>(&'a Renewer);

impl Drop for Login<'_> {
    fn drop(&mut self) {
        let mut held = self.0.held.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*held, Held::LoggingIn) {
            *held = Held::Nothing;
        }
    }
}
