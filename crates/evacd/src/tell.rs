//! Messages to people: to the journal of the unit, and to a webhook where there is one. Not for
//! what is told: that the decider says, with a key by which each is told once.

use std::{collections::BTreeSet, time::Duration};

use evac::Act;
use reqwest::{Certificate, Client, redirect::Policy};
use tokio::task::JoinSet;

use crate::config::Config;

/// Time that the webhook has.
const LIMIT: Duration = Duration::from_secs(5);
/// Messages on their way to the webhook at once; more are only in the journal.
const AT_ONCE: usize = 16;

/// Teller of messages, and messages told.
pub(crate) struct Teller {
    hook: Option<(Client, String)>,
    me: String,
    told: BTreeSet<String>,
    on_their_way: JoinSet<()>,
}

impl Teller {
    /// A teller that trusts the authority of the cloud's APIs.
    pub(crate) fn new(config: &Config) -> Result<Self, String> {
        let hook = match &config.webhook {
            Some(url) => Some((client(config)?, url.clone())),
            None => None,
        };
        Ok(Self {
            hook,
            me: config.me.to_string(),
            told: BTreeSet::new(),
            on_their_way: JoinSet::new(),
        })
    }

    /// Tells the messages of a round that were not in the round before.
    pub(crate) fn tell(&mut self, acts: &[Act]) {
        let mut now = BTreeSet::new();
        for act in acts {
            let Act::Tell { key, message } = act else { continue };
            now.insert(key.clone());
            if !self.told.contains(key) {
                self.say(key, message);
            }
        }
        self.told = now;
    }

    fn say(&mut self, key: &str, message: &str) {
        eprintln!("{message} ({key})");
        let Some((client, url)) = &self.hook else { return };
        while self.on_their_way.try_join_next().is_some() {}
        if self.on_their_way.len() >= AT_ONCE {
            eprintln!("the webhook is slow: {key} was not posted");
            return;
        }
        let body = serde_json::json!({ "controller": self.me, "key": key, "message": message });
        let call = client.post(url).json(&body);
        let key = key.to_owned();
        self.on_their_way.spawn(async move {
            match call.send().await {
                Ok(answer) if answer.status().is_success() => {}
                Ok(answer) => eprintln!("the webhook answered {key} with status {}", answer.status()),
                Err(error) => eprintln!("the webhook did not take {key}: {error}"),
            }
        });
    }
}

fn client(config: &Config) -> Result<Client, String> {
    let trusted = match &config.identity.cafile {
        Some(path) => {
            let pem = std::fs::read(path).map_err(|e| format!("{path}: {e}"))?;
            Certificate::from_pem_bundle(&pem).map_err(|e| format!("{path}: {e}"))?
        }
        None => Vec::new(),
    };
    let client = Client::builder()
        .tls_certs_only(trusted)
        .no_proxy()
        .redirect(Policy::none())
        .timeout(LIMIT)
        .pool_max_idle_per_host(0)
        .build();
    client.map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::fake::{Fake, Reply};

    #[tokio::test]
    async fn a_message_is_posted_once_until_it_is_absent_for_a_round() {
        let fake = Fake::start(|_| Reply::Json(204, json!({}))).await;
        let config = json!({
            "me": "c1", "controllers": ["c1"], "shared_instances": true, "hosts": [],
            "identity": {"auth_url": "", "username": "", "password": "", "project": "", "region": ""},
            "store": {"host": "127.0.0.1", "user": "", "password": "", "database": ""},
            "webhook": format!("{}/hook", fake.url),
        });
        let mut teller = Teller::new(&serde_json::from_value(config).unwrap()).unwrap();
        let tell = |key: &str| Act::Tell {
            key: key.to_owned(),
            message: format!("{key}!"),
        };
        for round in [&["a"][..], &["a", "b"], &["b"], &["a", "b"]] {
            teller.tell(&round.iter().map(|key| tell(key)).collect::<Vec<_>>());
        }
        for _ in 0..500 {
            if fake.asked().len() == 3 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let asked = fake.asked();
        let mut keys: Vec<&str> = asked.iter().filter_map(|a| a.body["key"].as_str()).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["a", "a", "b"]);
        assert_eq!(
            (asked[0].path.as_str(), &asked[0].body["controller"]),
            ("/hook", &json!("c1"))
        );
    }
}
