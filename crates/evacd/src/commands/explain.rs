//! Deeds of the engine and their reasons, from its rows and its journal.

use std::fmt::Write as _;

use evac::HostId;

use super::Desk;
use crate::{
    Error,
    store::{Moved, People as _, Recovery, Step},
};

/// Recoveries of all hosts, newest first.
pub async fn history(desk: &Desk, most: u32) -> Result<Vec<Recovery>, Error> {
    Ok(desk.store.recoveries(most).await?)
}

/// Recoveries as a table.
pub fn history_text(recoveries: &[Recovery]) -> String {
    let mut out = String::new();
    for one in recoveries {
        let end = match (&one.ended, &one.outcome) {
            (Some(at), Some(outcome)) => format!("ended {at:.0}: {outcome}"),
            _ => "goes on".to_owned(),
        };
        let _ = writeln!(
            out,
            "{} {} {:.0}: {}; {end}",
            one.id, one.host, one.began, one.why
        );
    }
    out
}

/// Steps and VMs of one recovery.
pub async fn show(desk: &Desk, id: u64) -> Result<(Vec<Step>, Vec<Moved>), Error> {
    let found = desk.store.recovery(id).await?;
    if found.0.is_empty() {
        return Err(Error::Refused(format!(
            "there is no recovery {id}: `history` lists them"
        )));
    }
    Ok(found)
}

/// One recovery in lines.
pub fn show_text((steps, moved): &(Vec<Step>, Vec<Moved>)) -> String {
    let mut out = String::new();
    for step in steps {
        let _ = writeln!(
            out,
            "{:.3} epoch {} {}: {}",
            step.at, step.epoch, step.phase, step.why
        );
    }
    for vm in moved {
        let answer = match &vm.answer {
            evac::Answer::Unknown => "no answer".to_owned(),
            evac::Answer::Accepted => "accepted".to_owned(),
            evac::Answer::Refused(why) => format!("not done: {why}"),
        };
        let _ = writeln!(out, "{:.3} VM {} to {}: {answer}", vm.at, vm.vm, vm.target);
    }
    out
}

/// The story of a host by this controller's journal; another controller has decided at other
/// times.
pub fn why(desk: &Desk, host: &str) -> Result<Vec<String>, Error> {
    desk.host(host)?;
    let path = &desk.config.journal;
    let lines = crate::lines(path).map_err(|e| Error::Refused(format!("{}: {e}", path.display())))?;
    Ok(evac::explain(&HostId::from(host), &lines))
}
