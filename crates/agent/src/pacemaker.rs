//! Pacemaker's own tools, asked on the host. Not for judging what they say
//! (`cluster`) and not for changing the CIB (`cib`).

use std::time::Duration;

use ::pacemaker::{LiveCib, Monitor};
use wire::Fact;

use crate::process::{self, Failure};

const LIMIT: Duration = Duration::from_secs(20);

/// What a command-line tool ends with when there is no cluster to talk to:
/// not connected, no DC or daemon there (`crm_error --exit --list`).
const NOT_CONNECTED: [i32; 2] = [102, 105];

/// The cluster's state as `crm_mon` sees it.
pub(crate) async fn cluster() -> Fact<Monitor> {
    tool(&["crm_mon", "--output-as=xml"], |said| {
        Monitor::parse(&said).map_err(|error| format!("printed no XML: {}", error.0))
    })
    .await
}

/// The CIB, with its text where that is wanted.
pub(crate) async fn cib(text: bool) -> Fact<LiveCib> {
    let read = tool(&["cibadmin", "--query"], configuration).await;
    read.map(|cib| if text { cib } else { cib.without_text() })
}

fn configuration(said: String) -> Result<LiveCib, String> {
    LiveCib::parse(said).map_err(|error| format!("printed no CIB: {error}"))
}

/// Output of a tool as its reader takes it: half an answer, or none, is unknown.
fn read<T>(argv: &[&str], said: String, reader: impl Fn(String) -> Result<T, String>) -> Fact<T> {
    match reader(said) {
        Ok(known) => Fact::Known(known),
        Err(error) => Fact::Unknown(format!("`{}` {error}", argv.join(" "))),
    }
}

async fn tool<T>(argv: &[&str], reader: impl Fn(String) -> Result<T, String>) -> Fact<T> {
    match process::run(argv, None, LIMIT).await {
        Ok(ran) if ran.status == 0 => read(argv, ran.stdout, reader),
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
        let said = |text: &str| read(&["cibadmin", "--query"], text.to_owned(), configuration);
        let whole = "<cib><configuration/><status/></cib>";
        assert_eq!(said(whole).known().and_then(LiveCib::text), Some(whole));
        for text in ["", "<cib><configuration>", "error: no XML", "<cib/>"] {
            let fact = said(text);
            assert!(
                matches!(&fact, Fact::Unknown(why) if why.starts_with("`cibadmin --query` printed no CIB: ")),
                "{text}: {fact:?}"
            );
        }
    }
}
