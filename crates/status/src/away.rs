//! Hosts that are away by the cloud file: told for as long as the file says so.

use render::Desired;
use wire::Fact;

use crate::{Observed, facts};

/// A sentence for each.
pub(crate) fn remarks(desired: &Desired, observed: &Observed) -> Vec<String> {
    let away = desired.away.iter();
    away.map(|(host, why)| {
        let back = facts(observed, host).is_some_and(|f| matches!(f.cluster, Fact::Known(_)));
        if back {
            format!("{host} is back, and the cloud file says that it is away ({why}): `quorate apply`, then take `away` out of it")
        } else {
            format!("{host} is away by the cloud file: {why}")
        }
    })
    .collect()
}
