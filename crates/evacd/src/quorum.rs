//! Quorum of this controller's partition, as Corosync tells it. Not for who is a member.

use std::{path::Path, time::Duration};

use pacemaker::{ASK_QUORUM, has_quorum};
use wire::Fact;

use crate::process::run;

/// Time that the question may take.
const LIMIT: Duration = Duration::from_secs(2);

/// True: this partition has quorum.
pub(crate) async fn quorate(program: &Path) -> Fact<bool> {
    let [name, arguments @ ..] = ASK_QUORUM;
    match run(program, &arguments, "", LIMIT).await {
        Ok(ended) => has_quorum(&ended.said).map_or_else(
            || Fact::Unknown(format!("{name} tells nothing: {}", ended.complaint)),
            Fact::Known,
        ),
        Err(why) => Fact::Unknown(why),
    }
}
