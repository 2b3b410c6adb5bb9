//! The names that one template sees: looked up when it asks, so that a scope costs
//! the same however large the cloud is.

use std::sync::Arc;

use indexmap::IndexMap;
use minijinja::Value;
use minijinja::value::Object;

/// Names that all templates of a service see and others do not.
#[derive(Debug, Default)]
pub(crate) struct Own {
    /// `settings`.
    pub settings: Value,
    /// `platform`.
    pub platform: Value,
    /// `service`.
    pub service: Value,
    /// `secret`, the function.
    pub secret: Value,
}

/// The names of one scope.
#[derive(Debug)]
pub(crate) struct Names {
    /// Names that all templates see.
    pub base: Arc<IndexMap<String, Value>>,
    /// Names that those of its service see.
    pub own: Arc<Own>,
    /// `host`, where it is for one.
    pub host: Option<Value>,
    /// `item`, where the file is repeated.
    pub item: Option<Value>,
}

impl Object for Names {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        match key {
            "settings" => Some(self.own.settings.clone()),
            "platform" => Some(self.own.platform.clone()),
            "service" => Some(self.own.service.clone()),
            "secret" => Some(self.own.secret.clone()),
            "host" => self.host.clone(),
            "item" => self.item.clone(),
            _ => self.base.get(key).cloned(),
        }
    }
}
