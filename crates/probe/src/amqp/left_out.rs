//! In place of publishers, in builds without the feature `publish`: none can be made.

use std::{collections::BTreeMap, convert::Infallible, time::Duration};

use crate::Publish;

const WHY: &str = "this build has no publishers: build it with the feature `publish`";

/// A publisher that there never is.
pub(crate) struct Publisher(Infallible);

impl Publisher {
    pub(crate) fn new(_: &Publish, _: u64, _: Duration) -> Result<Self, String> {
        Err(WHY.to_owned())
    }

    pub(crate) async fn prepare(&mut self) -> Result<(), String> {
        match self.0 {}
    }

    pub(crate) async fn publish(&mut self, _: u64) -> Result<(), String> {
        match self.0 {}
    }

    pub(crate) fn reset(&mut self) {
        match self.0 {}
    }
}

pub(crate) async fn read(_: &Publish, _: u64, _: Duration) -> Result<BTreeMap<u64, u64>, String> {
    Err(WHY.to_owned())
}

pub(crate) async fn cleanup(_: &Publish, _: Duration) -> Result<(), String> {
    Err(WHY.to_owned())
}
