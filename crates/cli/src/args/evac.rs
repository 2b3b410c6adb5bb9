//! Words to the engine that has VMs come up elsewhere: of an operator, and on the host
//! that it runs on.

use camino::Utf8PathBuf;
use clap::Subcommand;

/// `evac`.
#[derive(Debug, clap::Args)]
pub struct EvacArgs {
    /// What to do
    #[command(subcommand)]
    pub verb: EvacVerb,
    /// The cloud file
    #[arg(long, global = true, default_value = "cloud.yaml")]
    pub file: Utf8PathBuf,
}

/// Verbs for operators.
#[derive(Debug, Subcommand)]
pub enum EvacVerb {
    /// Tell which VMs come up elsewhere when their host dies, and why the others do not
    Audit,
    /// Tell what the engine would do now, and the numbers behind it
    Rehearse,
    /// List the hosts that died and what became of it, the last first
    History {
        /// How many
        #[arg(long, default_value = "20")]
        last: u32,
    },
    /// Tell the steps of one recovery and its VMs
    Show {
        /// Its number, as `history` has it
        id: u64,
    },
    /// Tell why the engine did something about a host, or nothing
    Explain {
        /// The host
        host: String,
    },
    /// Let the engine act in spite of its brakes, for a time
    Release {
        /// Minutes
        #[arg(long, default_value = "30")]
        minutes: u64,
    },
    /// Have the engine do nothing until it is resumed
    Pause,
    /// Have the engine go on, with all brakes
    Resume,
    /// Tell the engine that a host is dead, where no device can prove it; for this death alone
    ConfirmDead {
        /// The host
        host: String,
    },
    /// Prove that a host's fence devices are its own, and keep the date
    Prove {
        /// The host
        host: String,
        /// Cut its power and give it back, by each level of devices; it must run no VM
        #[arg(long)]
        off: bool,
    },
}

/// Work on the host that an engine, or what moves VMs, runs on.
#[derive(Debug, clap::Args)]
pub struct EngineArgs {
    /// Its configuration
    #[arg(long, default_value = "/etc/quorate/evac.json")]
    pub config: Utf8PathBuf,
    /// Name of the person who asks
    #[arg(long, default_value = "")]
    pub by: String,
    /// What to do
    #[command(subcommand)]
    pub verb: EngineVerb,
}

/// Verbs on the engine's host.
#[derive(Debug, Subcommand)]
pub enum EngineVerb {
    /// Decide, until another engine does
    Run,
    /// Questions of operators
    #[command(flatten)]
    Asked(EvacVerb),
}

/// Work on the VMs of one host.
#[derive(Debug, clap::Args)]
pub struct GuestsArgs {
    /// The host that runs VMs
    pub host: String,
    /// VMs under way at a time
    #[arg(long, default_value = "2")]
    pub at_once: usize,
    /// Credentials for the compute API
    #[arg(long = "as")]
    pub credentials: Utf8PathBuf,
}
