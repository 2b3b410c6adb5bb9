//! The compute, placement and network services, asked by tasks of their own. Not for what
//! their answers lead to.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use evac::{HostId, VmId};
use openstack::{
    Agent, Aggregate, Capacity, Cells, Client, Error, Migration, MigrationFilter, Server, ServerGroup,
    Service,
};
use tokio::{sync::watch, task::JoinSet, time::timeout};
use wire::Fact;

use super::{Latest, Wishes, protected};
use crate::clock::ms;

/// Time between two looks at services, agents and room while nothing is suspected.
const QUIET: Duration = Duration::from_secs(5);
/// The same while something is.
const HURRIED: Duration = Duration::from_millis(500);
/// Time between two looks at hosts that are looked at.
const DETAIL: Duration = Duration::from_millis(300);
/// Shortest time between two surveys of all VMs; of a large cloud it is longer.
const SURVEY: Duration = Duration::from_mins(1);
/// Share of the time that surveys may take: one part of so many.
const SHARE: u32 = 10;

/// Services, agents and room of all hosts.
#[derive(Debug)]
pub(crate) struct Overview {
    /// Processes of the compute service.
    pub(crate) services: Result<Vec<Service>, Error>,
    /// Time that this answer took, in ms.
    pub(crate) answer_ms: u64,
    /// Agents of the network service.
    pub(crate) agents: Result<Vec<Agent>, Error>,
    /// Free room by host.
    pub(crate) capacity: Result<BTreeMap<String, Capacity>, Error>,
}

/// Hosts and VMs that something is under way with.
#[derive(Debug, Default)]
pub(crate) struct Detail {
    /// VMs by host.
    pub(crate) servers: BTreeMap<HostId, Result<Vec<Server>, Error>>,
    /// Moves from and to these hosts.
    pub(crate) migrations: BTreeMap<HostId, Result<Vec<Migration>, Error>>,
    /// VMs that are followed.
    pub(crate) followed: BTreeMap<VmId, Fact<Server>>,
}

/// Facts that change seldom, and all VMs.
#[derive(Debug)]
pub(crate) struct Survey {
    /// Aggregates.
    pub(crate) aggregates: Result<Vec<Aggregate>, Error>,
    /// Server groups.
    pub(crate) groups: Result<Vec<ServerGroup>, Error>,
    /// All VMs.
    pub(crate) servers: Result<Vec<Server>, Error>,
    /// Moves that are under way anywhere.
    pub(crate) open: Result<Vec<Migration>, Error>,
    /// VMs that are to be restarted when they fail, by host; made of the rest when first asked for.
    restartable: OnceLock<Result<BTreeMap<HostId, Vec<evac::Server>>, Error>>,
}

impl Survey {
    /// VMs that are to be restarted on their own hosts when they fail, by host.
    pub(crate) fn restartable(
        &self,
        shared_instances: bool,
    ) -> &Result<BTreeMap<HostId, Vec<evac::Server>>, Error> {
        self.restartable.get_or_init(|| {
            let mut by_host: BTreeMap<HostId, Vec<evac::Server>> = BTreeMap::new();
            for vm in protected(self, shared_instances)?
                .into_iter()
                .filter(|vm| vm.restart)
            {
                by_host.entry(vm.host.clone()).or_default().push(vm);
            }
            Ok(by_host)
        })
    }
}

/// States of a move that is under way, of all kinds.
const OPEN: [&str; 7] = [
    "accepted",
    "pre-migrating",
    "queued",
    "preparing",
    "running",
    "migrating",
    "post-migrating",
];

/// Begins to ask; the tasks end with the set.
pub(crate) fn watch(
    client: &Arc<Client>,
    wishes: &watch::Receiver<Wishes>,
    tasks: &mut JoinSet<()>,
) -> (Latest<Overview>, Latest<Detail>, Latest<Survey>) {
    let latest = (Latest::default(), Latest::default(), Latest::default());
    tasks.spawn(overviews(client.clone(), wishes.clone(), latest.0.clone()));
    tasks.spawn(details(client.clone(), wishes.clone(), latest.1.clone()));
    tasks.spawn(surveys(client.clone(), latest.2.clone()));
    latest
}

async fn overviews(client: Arc<Client>, mut wishes: watch::Receiver<Wishes>, kept: Latest<Overview>) {
    loop {
        let began = Instant::now();
        let overview = overview(&client).await;
        // One answer that failed is asked for again at once: without it no host can be judged.
        let failed = overview.services.is_err();
        kept.keep(began, overview);
        let hurried = wishes.borrow().hurried();
        if hurried || failed {
            tokio::time::sleep(HURRIED).await;
        } else {
            // A suspicion ends the wait.
            let _ = timeout(QUIET, wishes.wait_for(Wishes::hurried)).await;
        }
    }
}

pub(crate) async fn overview(client: &Client) -> Overview {
    let services = async {
        let began = Instant::now();
        let services = client.services().await;
        (services, ms(began.elapsed()))
    };
    let ((services, answer_ms), agents, capacity) =
        tokio::join!(services, client.network_agents(), client.capacity());
    Overview {
        services,
        answer_ms,
        agents,
        capacity,
    }
}

async fn details(client: Arc<Client>, mut wishes: watch::Receiver<Wishes>, kept: Latest<Detail>) {
    loop {
        let Ok(wanted) = wishes.wait_for(Wishes::any).await.map(|w| w.clone()) else {
            return;
        };
        let began = Instant::now();
        let detail = detail(&client, &wanted).await;
        kept.keep(began, detail);
        tokio::time::sleep(DETAIL).await;
        if !wanted.hurried() {
            let _ = timeout(QUIET, wishes.wait_for(Wishes::hurried)).await;
        }
    }
}

/// Asks about hosts and VMs, all at once.
pub(crate) async fn detail(client: &Client, wanted: &Wishes) -> Detail {
    let cells = client.services().await.and_then(|services| Cells::all(&services));
    let cells = &cells;
    let hosts = wanted.all_hosts().into_iter().map(|host| async move {
        let asked = match cells {
            Ok(cells) => {
                let filter = MigrationFilter {
                    host: Some(host.to_string()),
                    ..MigrationFilter::default()
                };
                let (servers, moves) = tokio::join!(
                    client.servers_on(cells, host.as_str()),
                    client.migrations(cells, &filter)
                );
                (servers, moves)
            }
            Err(error) => (Err(error.clone()), Err(error.clone())),
        };
        (host.clone(), asked)
    });
    let vms = wanted
        .vms
        .iter()
        .map(|vm| async move { (vm.clone(), client.server(vm.as_str()).await) });
    let (hosts, vms) = tokio::join!(futures::future::join_all(hosts), futures::future::join_all(vms));
    let mut out = Detail::default();
    for (host, (servers, moves)) in hosts {
        out.servers.insert(host.clone(), servers);
        out.migrations.insert(host, moves);
    }
    out.followed = vms.into_iter().collect();
    out
}

async fn surveys(client: Arc<Client>, kept: Latest<Survey>) {
    loop {
        let began = Instant::now();
        let survey = survey(&client).await;
        let well = survey.aggregates.is_ok() && survey.groups.is_ok() && survey.servers.is_ok();
        kept.keep(began, survey);
        let pause = if well {
            SURVEY.max(began.elapsed() * SHARE)
        } else {
            QUIET
        };
        tokio::time::sleep(pause).await;
    }
}

pub(crate) async fn survey(client: &Client) -> Survey {
    let cells = client.services().await.and_then(|services| Cells::all(&services));
    let servers = async { client.servers(cells.as_ref().map_err(Error::clone)?).await };
    let (aggregates, groups, servers, open) = tokio::join!(
        client.aggregates(),
        client.server_groups(),
        servers,
        open(client, &cells)
    );
    Survey {
        aggregates,
        groups,
        servers,
        open,
        restartable: OnceLock::new(),
    }
}

async fn open(client: &Client, cells: &Result<Cells, Error>) -> Result<Vec<Migration>, Error> {
    let cells = cells.as_ref().map_err(Error::clone)?;
    let filters = OPEN.map(|status| MigrationFilter {
        status: Some(status.to_owned()),
        ..MigrationFilter::default()
    });
    let asked = filters.iter().map(|filter| client.migrations(cells, filter));
    let found = futures::future::try_join_all(asked).await?;
    Ok(found.into_iter().flatten().collect())
}
