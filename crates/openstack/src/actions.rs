//! Requests that move a VM, switch it or correct its state. Not for whether one may.
//!
//! Each is sent once. An answer of success means that it was accepted, not that it is done.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{Client, Result, session::encode};

/// A VM's power as it can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    /// Shut down.
    Stop,
    /// Switched on.
    Start,
    /// Cut and switched on.
    HardReboot,
}

impl Client {
    async fn act(&self, vm: &str, body: Value) -> Result<()> {
        let path = format!("/servers/{}/action", encode(vm));
        self.change(Method::POST, &path, body).await
    }

    /// Has a VM of a dead host rebuilt on another; without a target the scheduler chooses.
    pub async fn evacuate(&self, vm: &str, target: Option<&str>) -> Result<()> {
        let body = match target {
            Some(host) => json!({ "evacuate": { "host": host } }),
            None => json!({ "evacuate": {} }),
        };
        self.act(vm, body).await
    }

    /// Has a running VM moved while it runs; without a target the scheduler chooses.
    pub async fn live_migrate(&self, vm: &str, target: Option<&str>) -> Result<()> {
        let body = json!({ "os-migrateLive": { "host": target, "block_migration": "auto" } });
        self.act(vm, body).await
    }

    /// Has a VM moved with its power off; it waits to be confirmed afterwards.
    pub async fn migrate(&self, vm: &str) -> Result<()> {
        self.act(vm, json!({ "migrate": null })).await
    }

    /// Confirms a cold migration or a resize.
    pub async fn confirm(&self, vm: &str) -> Result<()> {
        self.act(vm, json!({ "confirmResize": null })).await
    }

    /// Switches a VM.
    pub async fn switch(&self, vm: &str, power: Power) -> Result<()> {
        let body = match power {
            Power::Stop => json!({ "os-stop": null }),
            Power::Start => json!({ "os-start": null }),
            Power::HardReboot => json!({ "reboot": { "type": "HARD" } }),
        };
        self.act(vm, body).await
    }

    /// Sets the state of a VM in the database to `active`, or to `error`.
    pub async fn reset_state(&self, vm: &str, active: bool) -> Result<()> {
        let word = if active { "active" } else { "error" };
        self.act(vm, json!({ "os-resetState": { "state": word } })).await
    }
}
