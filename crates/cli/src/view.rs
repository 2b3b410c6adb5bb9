//! `quorate status --view pacemaker`: one look, as a page in the form of `pcs status`. Not for
//! the verdict's reasons, which `quorate status` has.

use status::Verdict;

use crate::failure::Failure;
use crate::project::Project;
use crate::{machines, seen};

/// Looks once; the page, and the verdict on what was seen.
pub async fn pacemaker(project: &Project) -> Result<(Verdict, String), Failure> {
    let (fill, vault) = seen::filler(project.vault()?);
    let sessions = seen::connect(project).await?;
    let key = vault.digest_key()?;
    let (observed, machines) = tokio::join!(
        seen::observe(project, &sessions, &fill, key, false),
        machines::ask(&project.desired, &sessions)
    );
    let (desired, observed) = (&project.desired, observed?);
    let name = project.model.cloud.name.value.as_str();
    let found = status::snapshot(name, desired, project.no_fencing(), &observed);
    let at = jiff::Zoned::now().strftime("%Y-%m-%d %H:%M:%S").to_string();
    let page = status::pacemaker_view(&found, desired, &observed, &machines, &at);
    Ok((found.verdict, page))
}
