//! `quorate agent`: the hand on a host. Started over SSH by quorate itself.

use std::net::ToSocketAddrs as _;
use std::process::ExitCode;

use super::engine;
use crate::args::{AgentArgs, AgentVerb};
use crate::failure::Failure;
use crate::say;

/// Runs it.
pub async fn run(args: &AgentArgs) -> Result<ExitCode, Failure> {
    match &args.verb {
        AgentVerb::Serve => {
            let binary = crate::seen::binary()?;
            agent::serve(tokio::io::stdin(), tokio::io::stdout(), binary.hash())
                .await
                .map_err(|e| Failure::world(e.to_string(), ""))?;
        }
        AgentVerb::Gate { boot } => agent::guard(boot)
            .await
            .map_err(|e| Failure::world(format!("cannot follow the journal: {e}"), ""))?,
        AgentVerb::Observe { config } => {
            let cannot = |why: String| Failure::Input(format!("error: {config}: {why}"));
            let text = fs_err::read(config)?;
            let config: heartbeat::Config =
                serde_json::from_slice(&text).map_err(|e| cannot(e.to_string()))?;
            (heartbeat::run(config).await).map_err(|e| Failure::world(e.to_string(), ""))?;
        }
        AgentVerb::Evac(args) => return engine::run(args).await,
        AgentVerb::Empty(args) => return engine::empty(args).await,
        AgentVerb::Fill(args) => return engine::fill(args).await,
        AgentVerb::Resolve { name } => {
            let found = (name.as_str(), 0_u16).to_socket_addrs().map_err(|e| {
                Failure::world(format!("cannot resolve `{name}`: {e}"), "is it in /etc/hosts?")
            })?;
            for address in found {
                say::outln!("{}", address.ip());
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
