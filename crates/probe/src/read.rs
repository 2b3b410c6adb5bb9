//! What is there afterwards: the ids that writers left behind.
//!
//! Reading does not delete, so it can be repeated, and done against each member
//! of a cluster by changing the probe's address. Whether something is missing is
//! judged by [`writes`](crate::writes), not here.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{Error, History, Kind, Probe, Result, amqp, sql};

/// The ids of one run that one writer's table or queue holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadBack {
    /// The writer's name.
    pub probe: String,
    /// Each id found and how often, once being right.
    pub found: BTreeMap<u64, u64>,
}

/// Reads back what `probe` wrote in the run of `history`, in at most `within`.
///
/// A queue counts each reading as a delivery attempt of every message in it: a
/// broker with a delivery limit (20 is a common default) drops them after so many.
///
/// # Errors
///
/// [`Error::ReadBack`] when it could not be read to its end: then nothing is
/// known, and nothing is to be called lost. [`Error::Invalid`] for a probe that
/// does not write.
pub async fn read_back(probe: &Probe, history: &History, within: Duration) -> Result<ReadBack> {
    crate::client::crypto();
    let found = match &probe.kind {
        Kind::SqlWrite(sql) => sql::read(sql, history.run, within).await,
        Kind::Publish(publish) => amqp::read(publish, history.run, within).await,
        Kind::Http(_) | Kind::Greeting(_) | Kind::Renewing(_) => {
            return Err(probe.invalid("it writes nothing"));
        }
    };
    match found {
        Ok(found) => Ok(ReadBack {
            probe: probe.name.clone(),
            found,
        }),
        Err(reason) => Err(Error::ReadBack {
            probe: probe.name.clone(),
            reason,
        }),
    }
}

/// [`read_back`] for each probe that writes, one after the other, `within` each.
///
/// # Errors
///
/// The first error of [`read_back`].
pub async fn read_back_all(probes: &[Probe], history: &History, within: Duration) -> Result<Vec<ReadBack>> {
    let mut read = Vec::new();
    for probe in probes.iter().filter(|probe| probe.kind.label().writes()) {
        read.push(read_back(probe, history, within).await?);
    }
    Ok(read)
}

/// Drops the table or deletes the queue of a writer, with what every run left
/// in it; does nothing for other probes.
///
/// # Errors
///
/// [`Error::ReadBack`] when the other side refused or did not answer in time.
pub async fn cleanup(probe: &Probe, within: Duration) -> Result<()> {
    crate::client::crypto();
    let cleaned = match &probe.kind {
        Kind::SqlWrite(sql) => sql::cleanup(sql, within).await,
        Kind::Publish(publish) => amqp::cleanup(publish, within).await,
        Kind::Http(_) | Kind::Greeting(_) | Kind::Renewing(_) => Ok(()),
    };
    cleaned.map_err(|reason| Error::ReadBack {
        probe: probe.name.clone(),
        reason,
    })
}
