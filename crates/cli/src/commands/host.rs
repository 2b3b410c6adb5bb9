//! `quorate host`: hosts out of service and back, one after the other. A host
//! that does not come back ends it, with the rest untouched.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use camino::Utf8PathBuf;
use engines::Intent;
use plan::{Observed, Plan, Upkeep};

use super::apply::{agreed, converge};
use super::plan::refused;
use crate::args::{ApplyArgs, HostVerb, MEMBERS, ManyHosts, NamedHosts, OneHost};
use crate::failure::Failure;
use crate::project::Project;
use crate::runner::Runner;
use crate::say;

/// A server's firmware takes its time.
const BOOT: Duration = Duration::from_mins(15);

fn known(project: &Project, hosts: &[String]) -> Result<(), Failure> {
    let unknown = hosts
        .iter()
        .find(|h| !project.desired.hosts.contains_key(h.as_str()));
    unknown.map_or(Ok(()), |host| Err(project.no_host(host)))
}

/// Runs it.
pub async fn run(verb: &HostVerb, catalog: &[Utf8PathBuf]) -> Result<ExitCode, Failure> {
    match verb {
        HostVerb::Add(named) => members(named, catalog, "host add", added).await,
        HostVerb::Remove(named) => members(named, catalog, "host remove", removed).await,
        HostVerb::Replace(one) => {
            let named = NamedHosts {
                hosts: vec![one.host.clone()],
                file: one.file.clone(),
                yes: one.yes,
            };
            members(&named, catalog, "host replace", replaced).await
        }
        HostVerb::Drain(one) => {
            once(one, catalog, "host drain", |run, seen, host| {
                plan::take_away(&run.project.desired, seen, host, Upkeep::Drain).map_err(|r| refused(&r))
            })
            .await
        }
        HostVerb::Resume(one) => {
            once(one, catalog, "host resume", |run, seen, host| {
                plan::take_back(&run.project.desired, seen, host).map_err(|r| refused(&r))
            })
            .await
        }
        HostVerb::ConfirmDead(args) => super::confirm::run(args, catalog).await,
        HostVerb::Reboot(many) => rolling(many, catalog, "host reboot", Upkeep::Reboot).await,
        HostVerb::Update(many) => rolling(many, catalog, "host update", Upkeep::Update).await,
    }
}

/// A change of who is in the cloud: what the operator means is compared with what the
/// file says and what is there, and then the file is applied.
async fn members(
    named: &NamedHosts,
    catalog: &[Utf8PathBuf],
    verb: &'static str,
    as_meant: impl Fn(&Project, &Observed, &str) -> Result<(), Failure>,
) -> Result<ExitCode, Failure> {
    let args = ApplyArgs::of(&named.file, named.yes);
    let mut run = Runner::open(Project::open(&named.file, catalog)?, &args, verb).await?;
    let observed = run.observe(false).await?;
    for host in &named.hosts {
        as_meant(&run.project, &observed, host)?;
    }
    if !converge(&mut run, &args, Intent::Converge, &[]).await? {
        return Ok(ExitCode::from(1));
    }
    say::outln!("{verb} {}: {} changes", named.hosts.join(", "), run.changed);
    Ok(ExitCode::SUCCESS)
}

fn added(project: &Project, observed: &Observed, host: &str) -> Result<(), Failure> {
    known(project, &[host.to_owned()])?;
    if plan::is_of_the_cloud(observed, host) {
        return Err(Failure::explained(
            "host::there-already",
            &format!("{host} is of this cloud already"),
            "`quorate apply` makes it what the cloud file says; `quorate status` shows how it is",
        ));
    }
    Ok(())
}

fn removed(project: &Project, observed: &Observed, host: &str) -> Result<(), Failure> {
    if project.desired.hosts.contains_key(host) {
        return Err(Failure::explained(
            "host::still-named",
            &format!("the cloud file names {host}: it would be made anew by the next `apply`"),
            format!(
                "take {host} out of `hosts` in {}, then run this again",
                project.file
            ),
        ));
    }
    if plan::gone(&project.desired, observed)
        .iter()
        .all(|(name, _)| name != host)
    {
        return Err(project.no_host(host));
    }
    Ok(())
}

fn replaced(project: &Project, observed: &Observed, host: &str) -> Result<(), Failure> {
    known(project, &[host.to_owned()])?;
    if plan::is_of_the_cloud(observed, host) {
        return Err(Failure::explained(
            "host::not-empty",
            &format!("{host} is no empty machine: it is of this cloud, and what it holds may be wanted"),
            "`quorate recover` brings back what is broken; to replace it, switch it off and put an empty \
             machine under its name and address",
        ));
    }
    Ok(())
}

async fn once(
    args: &OneHost,
    catalog: &[Utf8PathBuf],
    verb: &'static str,
    make: impl Fn(&Runner, &Observed, &str) -> Result<Plan, Failure>,
) -> Result<ExitCode, Failure> {
    let project = Project::open(&args.file, catalog)?;
    known(&project, std::slice::from_ref(&args.host))?;
    let mut run = Runner::open(project, &ApplyArgs::of(&args.file, args.yes), verb).await?;
    let observed = run.observe(false).await?;
    let mut plan = make(&run, &observed, &args.host)?;
    run.foretell(&mut plan);
    if !plan.is_empty() {
        if !agreed(&plan, args.yes)? {
            return Ok(ExitCode::from(1));
        }
        run.stage(&plan, &observed).await?;
    }
    run.seen().await;
    say::outln!("{verb} {}: {} changes", args.host, run.changed);
    Ok(ExitCode::SUCCESS)
}

async fn rolling(
    args: &ManyHosts,
    catalog: &[Utf8PathBuf],
    verb: &'static str,
    upkeep: Upkeep,
) -> Result<ExitCode, Failure> {
    let project = Project::open(&args.file, catalog)?;
    known(&project, &args.hosts)?;
    let hosts = match &args.rolling {
        None => args.hosts.clone(),
        Some(role) => group(&project, role)?,
    };
    let mut run = Runner::open(project, &ApplyArgs::of(&args.file, args.yes), verb).await?;
    let mut asked = args.yes;
    for (index, host) in hosts.iter().enumerate() {
        let left = || {
            let rest = hosts.get(index + 1..).unwrap_or_default();
            if rest.is_empty() {
                String::new()
            } else {
                format!("; {} were not touched", rest.join(", "))
            }
        };
        let observed = run.observe(false).await?;
        let mut plan =
            plan::take_away(&run.project.desired, &observed, host, upkeep).map_err(|r| refused(&r))?;
        run.foretell(&mut plan);
        if !asked {
            if hosts.len() > 1 {
                say::outln!("the same for {}, one after the other:", hosts.join(", "));
            }
            if !agreed(&plan, false)? {
                return Ok(ExitCode::from(1));
            }
            asked = true;
        }
        if upkeep == Upkeep::Reboot {
            let boot = boot(&observed, host);
            // What it has to go through before, it does not see: the others do.
            let watched = run.blind(host).await;
            run.stage(&plan, &observed).await?;
            back(&mut run, host, &boot, &left()).await?;
            // The first begins with the first stage, and so without its own host.
            if watched || index == 0 {
                run.sighted(host).await;
            }
        } else {
            run.stage(&plan, &observed).await?;
        }
        let observed = run.observe(false).await?;
        let mut plan = plan::take_back(&run.project.desired, &observed, host).map_err(|r| refused(&r))?;
        run.foretell(&mut plan);
        if let Err(failure) = run.stage(&plan, &observed).await {
            say::errln!("{host} is not back in service{}", left());
            return Err(failure);
        }
    }
    run.seen().await;
    say::outln!("{verb} {}: {} changes", hosts.join(", "), run.changed);
    Ok(ExitCode::SUCCESS)
}

/// Hosts of a role, or all members of the cluster, in the cloud's order.
fn group(project: &Project, role: &str) -> Result<Vec<String>, Failure> {
    let members = project.desired.nodes.iter().map(|(host, _)| host.to_string());
    if role == MEMBERS {
        return Ok(members.collect());
    }
    let all = project.model.cloud.hosts.iter();
    let of = all.filter(|h| project.model.has(h, role));
    let hosts: Vec<String> = of.map(|h| h.name.value.to_string()).collect();
    if hosts.is_empty() {
        let message = format!("no host of {} has the role `{role}`", project.file);
        return Err(Failure::Input(message));
    }
    Ok(hosts)
}

/// Id of the boot that a host was seen in; empty where it was not seen.
fn boot(observed: &Observed, host: &str) -> String {
    let facts = observed.get(host).and_then(|f| f.as_ref().ok());
    facts.map(|f| f.boot_id.clone()).unwrap_or_default()
}

/// Waits for a host to go down and to come back from another boot than before; for a member
/// also until the cluster has it.
async fn back(run: &mut Runner, host: &str, before: &str, left: &str) -> Result<(), Failure> {
    let gone = || {
        Failure::world(
            format!("{host} does not come back from its reboot{left}"),
            format!("look at its console; then `quorate host resume {host}`"),
        )
    };
    let begin = Instant::now();
    while run
        .sessions
        .get(host)
        .is_some_and(|s| s.as_ref().is_ok_and(|s| s.alive()))
    {
        if begin.elapsed() > BOOT {
            return Err(gone());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    while run.reconnect(host).await.is_err() {
        if begin.elapsed() > BOOT {
            return Err(gone());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    // A member joins by itself; only then its facts tell of the cluster.
    let member = run.project.desired.is_member(host);
    loop {
        let observed = run.observe(false).await?;
        let now = boot(&observed, host);
        let joined = || plan::drained(&observed).iter().any(|h| h == host);
        if !now.is_empty() && now != before && (!member || joined()) {
            return Ok(());
        }
        // A connection that broke is not a reboot: it is made again.
        if now.is_empty() {
            let _ = run.reconnect(host).await;
        }
        if begin.elapsed() > BOOT {
            return Err(gone());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
