//! The command line: what can be typed, and its help. Behaviour is in `commands`.

mod evac;

use camino::{Utf8Path, Utf8PathBuf};
use clap::{Parser, Subcommand, ValueEnum};

pub use evac::{EngineArgs, EngineVerb, EvacArgs, EvacVerb, GuestsArgs};

/// Builds, proves and keeps a highly available OpenStack control plane.
#[derive(Debug, Parser)]
#[command(name = "quorate", version, max_term_width = 100)]
pub struct Args {
    /// A folder laid over the catalogue, file by file; may be given several times
    #[arg(long, global = true, value_name = "DIR")]
    pub catalog: Vec<Utf8PathBuf>,
    /// What to do
    #[command(subcommand)]
    pub verb: Verb,
}

/// How data is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    Text,
    /// For programs
    Json,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Ask a few questions and write a cloud file
    Init(InitArgs),
    /// Check a cloud file or a catalogue and show everything that is wrong with it
    Check(CheckArgs),
    /// Ask all hosts what they are and have; change nothing
    Observe(Shown),
    /// Show what apply would do, and why
    Plan(PlanArgs),
    /// Bring the hosts to what the cloud file says
    Apply(ConvergeArgs),
    /// Bring stores and services back after an outage
    Recover(RecoverArgs),
    /// Take hosts out of service and back, reboot them, update their packages
    Host(HostArgs),
    /// Switch the whole site off in order, and on again until it is redundant
    Power(PowerArgs),
    /// Replace secrets while the cloud runs
    Rotate(RotateArgs),
    /// Do what is due: turn keys, renew certificates, make a backup; for a timer
    Upkeep(UpkeepArgs),
    /// Write databases, vault, cluster and cloud file into one encrypted file
    Backup(BackupArgs),
    /// Make a cloud with the databases of a backup
    Restore(RestoreArgs),
    /// Show the cloud as it is, and how much more can be lost
    Status(StatusArgs),
    /// Show who changed the hosts, when and from where
    Audit(AuditArgs),
    /// Ask the engine that has VMs come up elsewhere when their host dies
    Evac(EvacArgs),
    /// Gather logs and states of all hosts into one archive, without secrets
    Support(SupportArgs),
    /// Print what a client needs to log in
    Credentials(CredentialsArgs),
    /// Log in to a host, or run a command there
    Ssh(SshArgs),
    /// Write the files that each host would get into a folder
    Render(RenderArgs),
    /// Show what a finding means, by its code
    Explain(ExplainArgs),
    /// Print the JSON Schema of the cloud file, for editors
    Schema,
    /// Real hosts on this machine
    Lab(LabArgs),
    /// The hand on a host; started by quorate itself
    #[command(hide = true)]
    Agent(AgentArgs),
}

/// A cloud file and how to show the result.
#[derive(Debug, clap::Args)]
pub struct Shown {
    /// The cloud file
    #[arg(default_value = "cloud.yaml")]
    pub file: Utf8PathBuf,
    /// How to show it
    #[arg(short, long, value_enum, default_value = "text")]
    pub output: Output,
}

/// `status`.
#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    #[command(flatten)]
    pub shown: Shown,
    /// Also do what users do: read, make something and delete it, have something done
    #[arg(long)]
    pub journeys: bool,
    /// One line for Nagios, Icinga or Sensu, and its exit status: 0 redundant, 1 degraded,
    /// 2 exposed or down, 3 not seen
    #[arg(long, conflicts_with = "watch")]
    pub check: bool,
    /// Look again and again, until Ctrl-C
    #[arg(long)]
    pub watch: bool,
    /// Print it in the form of another tool; JSON is the same in all
    #[arg(long, value_enum, conflicts_with_all = ["check", "journeys"])]
    pub view: Option<View>,
}

/// Forms in which `status` is printed for people, besides its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum View {
    /// As `pcs status` shows a cluster, and what runs on each VM host
    Pacemaker,
}

/// `check`.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// The cloud file; with `--catalog` and no cloud.yaml here, the catalogue alone is checked
    pub file: Option<Utf8PathBuf>,
    /// How to show it
    #[arg(short, long, value_enum, default_value = "text")]
    pub output: Output,
}

/// `init`.
#[derive(Debug, clap::Args)]
pub struct InitArgs {
    /// The file to write; `-` prints it
    #[arg(default_value = "cloud.yaml")]
    pub file: Utf8PathBuf,
    /// The cloud's name
    #[arg(long)]
    pub name: Option<String>,
    /// The controllers: c1=ADDRESS,c2=ADDRESS,c3=ADDRESS
    #[arg(long, value_name = "NAME=ADDRESS,...", value_delimiter = ',')]
    pub controllers: Vec<String>,
    /// Free addresses for the services: FIRST-LAST, or one for all
    #[arg(long, value_name = "FIRST-LAST")]
    pub vips: Option<String>,
    /// The management network, where it is not the /24 (or /64) around the addresses
    #[arg(long, value_name = "CIDR")]
    pub network: Option<String>,
    /// The OpenStack release; the newest without it
    #[arg(long)]
    pub release: Option<String>,
    /// Who runs the services
    #[arg(long)]
    pub architecture: Option<String>,
    /// The services of OpenStack, with commas between
    #[arg(long, value_delimiter = ',')]
    pub services: Vec<String>,
    /// The fence agent that switches the hosts off, such as fence_ipmilan
    #[arg(long, value_name = "AGENT", conflicts_with = "no_fencing")]
    pub fencing: Option<String>,
    /// Why no host's power can be cut, in place of an agent
    #[arg(long, value_name = "REASON")]
    pub no_fencing: Option<String>,
}

/// `explain`.
#[derive(Debug, clap::Args)]
pub struct ExplainArgs {
    /// The code, such as vip::duplicate; all codes without it
    pub code: Option<String>,
}

/// `plan`.
#[derive(Debug, clap::Args)]
pub struct PlanArgs {
    /// What to plan for
    #[command(flatten)]
    pub shown: Shown,
    /// Exit with 3 where there are changes
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// Leave the diffs of files out
    #[arg(long)]
    pub brief: bool,
    /// Keep the plan in this file, for `apply FILE`
    #[arg(long, value_name = "FILE")]
    pub out: Option<Utf8PathBuf>,
    /// Only what belongs to this host, service or step, and what must go before it
    #[arg(long, value_name = "NAME")]
    pub target: Vec<String>,
}

/// `apply`.
#[derive(Debug, clap::Args)]
pub struct ConvergeArgs {
    /// The run
    #[command(flatten)]
    pub run: ApplyArgs,
    /// Only what belongs to this host, service or step, and what must go before it
    #[arg(long, value_name = "NAME")]
    pub target: Vec<String>,
}

/// What all verbs that change something have.
#[derive(Debug, clap::Args)]
pub struct ApplyArgs {
    /// The cloud file; for `apply` also a plan that was kept by `plan --out`
    #[arg(default_value = "cloud.yaml")]
    pub file: Utf8PathBuf,
    /// Ask no question
    #[arg(long)]
    pub yes: bool,
    /// Steps at once
    #[arg(long, default_value_t = PARALLEL)]
    pub parallel: usize,
    /// Go on with a copy of the vault that is older than the hosts': its secrets replace theirs
    #[arg(long)]
    pub older_vault: bool,
    /// Seed of the secrets that are made, for tests that compare two runs
    #[arg(long, hide = true)]
    pub seed: Option<u64>,
}

/// Steps at once, unless another number is asked for.
pub const PARALLEL: usize = 16;

impl ApplyArgs {
    /// The run of a verb that has fewer choices than `apply`.
    pub fn of(file: &Utf8Path, yes: bool) -> Self {
        Self {
            file: file.to_owned(),
            yes,
            parallel: PARALLEL,
            older_vault: false,
            seed: None,
        }
    }
}

/// `recover`.
#[derive(Debug, clap::Args)]
pub struct RecoverArgs {
    /// The run
    #[command(flatten)]
    pub run: ApplyArgs,
    /// Go on without this host, which never comes back: what only it holds is lost. May be given
    /// several times, also for most of the members
    #[arg(long, value_name = "HOST")]
    pub without: Vec<String>,
}

/// What can be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Rotated {
    /// The hosts' certificates, by the same authority
    Certificates,
    /// The cloud's own certificate authority, and so all certificates
    Authority,
    /// Rings of keys that sign and are replaced in turn, such as those of tokens
    Keys,
}

/// `rotate`.
#[derive(Debug, clap::Args)]
pub struct RotateArgs {
    /// What to replace
    #[arg(value_enum)]
    pub what: Rotated,
    /// The run
    #[command(flatten)]
    pub run: ApplyArgs,
}

/// `upkeep`.
#[derive(Debug, clap::Args)]
pub struct UpkeepArgs {
    /// The cloud file
    #[arg(default_value = "cloud.yaml")]
    pub file: Utf8PathBuf,
    /// Print a systemd service and timer that run it on this machine, and do nothing
    #[arg(long)]
    pub unit: bool,
}

/// `host`.
#[derive(Debug, clap::Args)]
pub struct HostArgs {
    /// What to do
    #[command(subcommand)]
    pub verb: HostVerb,
}

/// Verbs of `host`.
#[derive(Debug, Subcommand)]
pub enum HostVerb {
    /// Let hosts join that the cloud file names since it was applied last
    Add(NamedHosts),
    /// Take out hosts that the cloud file does not name any more
    Remove(NamedHosts),
    /// Let an empty machine join under the name and address of one that is lost
    Replace(OneHost),
    /// Let a host serve nobody, until it is resumed
    Drain(OneHost),
    /// Take a drained host back into service
    Resume(OneHost),
    /// Say that a host is dead whose fencing pends, since its fence device is dead too
    ConfirmDead(ConfirmArgs),
    /// Drain, reboot and resume, one host after the other
    Reboot(ManyHosts),
    /// Drain, take up newer packages and resume, one host after the other
    Update(ManyHosts),
}

/// One host of a cloud.
#[derive(Debug, clap::Args)]
pub struct OneHost {
    /// The host's name in the cloud
    pub host: String,
    /// The cloud file
    #[arg(short, long, default_value = "cloud.yaml")]
    pub file: Utf8PathBuf,
    /// Ask no question
    #[arg(long)]
    pub yes: bool,
}

/// `host confirm-dead`.
#[derive(Debug, clap::Args)]
pub struct ConfirmArgs {
    /// The host's name in the cloud
    pub host: String,
    /// The cloud file
    #[arg(short, long, default_value = "cloud.yaml")]
    pub file: Utf8PathBuf,
    /// The host's name once more, where there is no terminal to type it at
    #[arg(long, value_name = "HOST")]
    pub typed: Option<String>,
}

/// Hosts by name.
#[derive(Debug, clap::Args)]
pub struct NamedHosts {
    /// The hosts' names
    #[arg(required = true)]
    pub hosts: Vec<String>,
    /// The cloud file
    #[arg(short, long, default_value = "cloud.yaml")]
    pub file: Utf8PathBuf,
    /// Ask no question
    #[arg(long)]
    pub yes: bool,
}

/// Group of all members of the cluster, which is no role.
pub const MEMBERS: &str = "members";

/// Some hosts of a cloud.
#[derive(Debug, clap::Args)]
pub struct ManyHosts {
    /// The hosts' names in the cloud
    #[arg(required_unless_present = "rolling")]
    pub hosts: Vec<String>,
    /// All members of the cluster, or all hosts of this role
    #[arg(long, value_name = "ROLE", num_args = 0..=1, require_equals = true, default_missing_value = MEMBERS,
        conflicts_with = "hosts")]
    pub rolling: Option<String>,
    /// The cloud file
    #[arg(short, long, default_value = "cloud.yaml")]
    pub file: Utf8PathBuf,
    /// Ask no question
    #[arg(long)]
    pub yes: bool,
}

/// `power`.
#[derive(Debug, clap::Args)]
pub struct PowerArgs {
    /// Direction
    #[command(subcommand)]
    pub verb: PowerVerb,
}

/// Verbs of `power`.
#[derive(Debug, Subcommand)]
pub enum PowerVerb {
    /// Shut machines down, stop services, stores last, and switch every host off
    Off(PowerRun),
    /// Switch every host on, wait for them and recover what does not come by itself
    On(PowerRun),
}

/// A switching of the site.
#[derive(Debug, clap::Args)]
pub struct PowerRun {
    /// The cloud file
    #[arg(default_value = "cloud.yaml")]
    pub file: Utf8PathBuf,
    /// Ask no question
    #[arg(long)]
    pub yes: bool,
}

/// A time, or how long ago: `2h`, `3 days`, `2026-11-21T16:00:00Z`.
#[derive(Clone, Debug)]
pub struct When(pub jiff::Timestamp);

fn when(text: &str) -> Result<When, String> {
    crate::window::moment(text, jiff::Timestamp::now()).map(When)
}

/// `audit`.
#[derive(Debug, clap::Args)]
pub struct AuditArgs {
    /// The cloud file and how to show it
    #[command(flatten)]
    pub shown: Shown,
    /// From then on: `2h` ago, or a time such as 2026-11-21T16:00:00Z
    #[arg(long, value_name = "TIME", value_parser = when)]
    pub since: Option<When>,
}

/// `support`.
#[derive(Debug, clap::Args)]
pub struct SupportArgs {
    /// The cloud file
    #[arg(default_value = "cloud.yaml")]
    pub file: Utf8PathBuf,
    /// From then on: `2h` ago, or a time such as 2026-11-21T16:00:00Z
    #[arg(long, value_name = "TIME", value_parser = when, default_value = "2h")]
    pub since: When,
    /// Up to then; now without it
    #[arg(long, value_name = "TIME", value_parser = when)]
    pub until: Option<When>,
    /// The archive; it must not exist
    #[arg(short, long, value_name = "FILE", default_value = "support.tar.gz")]
    pub output: Utf8PathBuf,
}

/// `backup`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct BackupArgs {
    /// What else to do
    #[command(subcommand)]
    pub verb: Option<BackupVerb>,
    /// What to back up
    #[command(flatten)]
    pub make: BackupMake,
}

/// What to back up, and where to.
#[derive(Debug, clap::Args)]
pub struct BackupMake {
    /// The cloud file
    #[arg(default_value = "cloud.yaml")]
    pub file: Utf8PathBuf,
    /// A folder, or `s3://BUCKET/PREFIX`; without it that of the cloud file's `upkeep`, or
    /// `.quorate/NAME/backups` beside it
    #[arg(long, value_name = "PLACE")]
    pub to: Option<String>,
    /// Afterwards remove all backups of this cloud there but the newest N
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub keep: Option<u16>,
}

/// Verbs of `backup`.
#[derive(Debug, Subcommand)]
pub enum BackupVerb {
    /// Show the backups of a cloud, the oldest first
    List {
        /// The cloud file and how to show them
        #[command(flatten)]
        shown: Shown,
        /// The folder or bucket that they are in
        #[arg(long, value_name = "PLACE")]
        to: Option<String>,
    },
}

/// `restore`.
#[derive(Clone, Debug, clap::Args)]
pub struct RestoreArgs {
    /// The file of the cloud that gets the databases
    pub file: Utf8PathBuf,
    /// The backup: a file, or one in a bucket as `backup list` shows it
    pub backup: Utf8PathBuf,
    /// The key that opens the backup, where it is not this cloud's own
    #[arg(long, value_name = "FILE")]
    pub identity: Option<Utf8PathBuf>,
    /// Load over databases that hold something; the cloud's name says that you mean it
    #[arg(long, value_name = "CLOUD")]
    pub replace: Option<String>,
    /// Ask no question
    #[arg(long)]
    pub yes: bool,
    /// Steps at once
    #[arg(long, default_value_t = PARALLEL)]
    pub parallel: usize,
}

/// What a client reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CredentialsFormat {
    /// For the shell
    Openrc,
    /// For the OpenStack SDK
    #[value(name = "clouds.yaml")]
    CloudsYaml,
}

/// `credentials`.
#[derive(Debug, clap::Args)]
pub struct CredentialsArgs {
    /// The cloud file
    #[arg(default_value = "cloud.yaml")]
    pub file: Utf8PathBuf,
    /// For whom
    #[arg(long, value_enum, default_value = "openrc")]
    pub format: CredentialsFormat,
}

/// `ssh`.
#[derive(Debug, clap::Args)]
pub struct SshArgs {
    /// The host's name in the cloud
    pub host: String,
    /// The cloud file
    #[arg(short, long, default_value = "cloud.yaml")]
    pub file: Utf8PathBuf,
    /// A command; a login shell if there is none
    #[arg(trailing_var_arg = true)]
    pub command: Vec<String>,
}

/// `render`.
#[derive(Debug, clap::Args)]
pub struct RenderArgs {
    /// The cloud file
    pub file: Utf8PathBuf,
    /// Where to; it must not exist
    #[arg(long)]
    pub to: Utf8PathBuf,
}

/// `lab`.
#[derive(Debug, clap::Args)]
pub struct LabArgs {
    /// What to do
    #[command(subcommand)]
    pub verb: LabVerb,
}

/// Verbs of the lab.
#[derive(Debug, Subcommand)]
pub enum LabVerb {
    /// Make and start the hosts that a cloud file names
    Up {
        /// The cloud file
        #[arg(default_value = "cloud.yaml")]
        file: Utf8PathBuf,
        /// A package that the hosts have beyond what the file needs; may be said again
        #[arg(long, value_name = "PACKAGE")]
        with: Vec<String>,
        /// How long a host that is switched on again tests itself before its system starts
        #[arg(long, value_name = "SECONDS", default_value_t = 0)]
        self_test: u16,
    },
    /// Remove a lab without a trace
    Down {
        /// The cloud's name
        name: String,
    },
    /// Show the labs on this machine
    List {
        /// How to show it
        #[arg(short, long, value_enum, default_value = "text")]
        output: Output,
    },
    /// Cut a host's power: what was not synced is lost
    Cut {
        /// The cloud's name
        name: String,
        /// Hosts
        #[arg(required = true)]
        hosts: Vec<String>,
    },
    /// Switch hosts on
    On {
        /// The cloud's name
        name: String,
        /// Hosts
        #[arg(required = true)]
        hosts: Vec<String>,
    },
    /// Put an empty machine in a host's place: a fresh disk and another SSH host key
    Blank {
        /// The cloud's name
        name: String,
        /// Host
        host: String,
    },
    /// Pull a host's cables
    Unplug {
        /// The cloud's name
        name: String,
        /// Host
        host: String,
        /// Only this network's
        network: Option<String>,
    },
    /// Put a host's cables back
    Plug {
        /// The cloud's name
        name: String,
        /// Host
        host: String,
        /// Only this network's
        network: Option<String>,
    },
    /// A shell on a host, past its network
    Shell {
        /// The cloud's name
        name: String,
        /// Host
        host: String,
        /// A command
        #[arg(trailing_var_arg = true)]
        command: Vec<String>,
    },
    /// Print what happened to the hosts' power
    Events {
        /// The cloud's name
        name: String,
    },
    #[command(hide = true)]
    HostSupervisor {
        /// The cloud's name
        name: String,
        /// Host
        host: String,
    },
    #[command(hide = true)]
    Bmc {
        /// The cloud's name
        name: String,
    },
}

/// `agent`.
#[derive(Debug, clap::Args)]
pub struct AgentArgs {
    /// What to do
    #[command(subcommand)]
    pub verb: AgentVerb,
}

/// Verbs of the agent.
#[derive(Debug, Subcommand)]
pub enum AgentVerb {
    /// Serve one operator on standard input and output
    Serve,
    /// Guard the host's way into the cluster: run by its unit, for ever
    Gate {
        /// Name of this boot in the host's record
        boot: String,
    },
    /// Resolve a name and print its addresses: shows that names work here
    Resolve {
        /// The name
        name: String,
    },
    /// Hear which VM hosts live: run by its unit, for ever
    Observe {
        /// Its configuration
        config: Utf8PathBuf,
    },
    /// Have VMs come up elsewhere when their host dies
    Evac(EngineArgs),
    /// Let no VM come to a host, and move its VMs to others
    Empty(GuestsArgs),
    /// Let VMs come to a host again
    Fill(GuestsArgs),
}
