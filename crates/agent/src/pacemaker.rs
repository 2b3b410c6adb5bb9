//! Pacemaker's own tools, asked on the host. Not for judging what they say
//! (`cluster`) and not for changing the CIB (`cib`).

use std::time::Duration;

use wire::Fact;

use crate::process::{self, Failure};

const LIMIT: Duration = Duration::from_secs(20);

/// What a command-line tool ends with when there is no cluster to talk to:
/// not connected, no DC or daemon there (`crm_error --exit --list`).
const NOT_CONNECTED: [i32; 2] = [102, 105];

/// The cluster's state as `crm_mon` sees it.
pub(crate) async fn crm_mon() -> Fact<String> {
    tool(&["crm_mon", "--output-as=xml"]).await
}

/// The whole CIB.
pub(crate) async fn cib() -> Fact<String> {
    tool(&["cibadmin", "--query"]).await
}

/// Output of a tool, if it is XML to its end: half an answer, or none, is unknown.
fn whole(argv: &[&str], said: String) -> Fact<String> {
    match roxmltree::Document::parse(&said).map(drop) {
        Ok(()) => Fact::Known(said),
        Err(error) => Fact::Unknown(format!("`{}` printed no XML: {error}", argv.join(" "))),
    }
}

async fn tool(argv: &[&str]) -> Fact<String> {
    match process::run(argv, None, LIMIT).await {
        Ok(ran) if ran.status == 0 => whole(argv, ran.stdout),
        Ok(ran) if NOT_CONNECTED.contains(&ran.status) => Fact::Absent,
        Ok(ran) => {
            let said = if ran.stderr.trim().is_empty() {
                ran.stdout
            } else {
                ran.stderr
            };
            let line = said.split_whitespace().collect::<Vec<_>>().join(" ");
            Fact::Unknown(format!(
                "`{}` ended with status {}: {line}",
                argv.join(" "),
                ran.status
            ))
        }
        Err(Failure::Missing(_)) => Fact::Absent,
        Err(failure) => Fact::Unknown(failure.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_an_answer_is_unknown() {
        let said = |text: &str| whole(&["crm_mon", "--output-as=xml"], text.to_owned());
        assert_eq!(said("<cib/>"), Fact::Known("<cib/>".to_owned()));
        for text in ["", "<cib><configuration>", "error: no XML"] {
            let fact = said(text);
            assert!(
                matches!(&fact, Fact::Unknown(why) if why.starts_with("`crm_mon --output-as=xml` printed no XML")),
                "{text}: {fact:?}"
            );
        }
    }
}
