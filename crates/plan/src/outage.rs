//! What a plan will cost those who use the cloud, before it is done.
//!
//! One pure function from a plan's effects to a time without answers, usual and
//! worst, for each thing behind a virtual address, with its arithmetic. What
//! such an effect cost when it was last measured on this cloud takes the place
//! of what it costs elsewhere. It plans nothing and asks nobody.

use std::collections::{BTreeMap, BTreeSet};

use names::ResourceId;
use render::{Desired, DesiredBalanced};
use serde::{Deserialize, Serialize};

use crate::{Effect, Plan};

/// How long an address is nowhere while the cluster moves it: stop, a transition
/// of the scheduler, start, five ARP announcements. 0.27 to 0.35 s were measured
/// on lab hosts; the worst is a busy machine.
const MOVE: Cost = Cost {
    usual_ms: 350,
    worst_ms: 800,
};
/// Answers are slower while an instance starts, and nobody is without: those who
/// asked it were sent elsewhere before.
const SLOWER: Cost = Cost {
    usual_ms: 0,
    worst_ms: 500,
};
/// Writes wait while a member joins the databases and while its copy comes to its end:
/// 0.6 to 2.0 s were measured on lab hosts.
const JOINS: Cost = Cost {
    usual_ms: 600,
    worst_ms: 3_000,
};
/// Writes wait while those that are left agree that a member of the databases left:
/// 0.6 to 0.9 s were measured on lab hosts.
const LEAVES: Cost = Cost {
    usual_ms: 600,
    worst_ms: 1_500,
};
/// Where there is nobody else. A Python service needs some seconds to start.
const ALONE: Cost = Cost {
    usual_ms: 5_000,
    worst_ms: 30_000,
};
/// A store is brought back after an outage of all, and then all that stands on it starts: 28
/// to 97 s from the word to the first answer were measured on lab hosts, and 250 s of eight
/// services.
const RECOVERS: Cost = Cost {
    usual_ms: 60_000,
    worst_ms: 300_000,
};
/// A balancer's turn in a rolling reload: write, reload, look at the cluster. Three
/// and the move of the address took 0.41 to 0.55 s on lab hosts.
const TURN: Cost = Cost {
    usual_ms: 50,
    worst_ms: 50,
};
/// A measured time is not the longest that there will be.
const ROOM: u64 = 3; // halves of it: one and a half
/// Below it nothing is learned: answers are that slow now and then, in ms.
const NOISE_MS: u64 = 250;
/// Measurements kept of each effect.
const KEPT: usize = 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cost {
    usual_ms: u64,
    worst_ms: u64,
}

impl Cost {
    const NONE: Self = Self {
        usual_ms: 0,
        worst_ms: 0,
    };

    fn times(self, n: usize) -> Self {
        let n = u64::try_from(n).unwrap_or(u64::MAX);
        Self {
            usual_ms: self.usual_ms.saturating_mul(n),
            worst_ms: self.worst_ms.saturating_mul(n),
        }
    }

    /// Whichever is more.
    fn or(self, other: Self) -> Self {
        Self {
            usual_ms: self.usual_ms.max(other.usual_ms),
            worst_ms: self.worst_ms.max(other.worst_ms),
        }
    }

    fn and(self, other: Self) -> Self {
        Self {
            usual_ms: self.usual_ms + other.usual_ms,
            worst_ms: self.worst_ms + other.worst_ms,
        }
    }
}

/// The longest time without an answer that a plan costs something behind a
/// virtual address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outage {
    /// Service.
    pub service: String,
    /// Resource behind the address.
    pub resource: ResourceId,
    /// Usual, in milliseconds. 0: nobody is without an answer who asks once more.
    pub usual_ms: u64,
    /// Worst, in milliseconds.
    pub worst_ms: u64,
    /// How it comes about, an effect a line.
    pub why: Vec<String>,
}

/// What effects cost when they were measured, in milliseconds, oldest first; by
/// the name of the effect and the resource that was asked.
pub type Measures = BTreeMap<String, Vec<u64>>;

/// One effect on one thing behind an address.
struct Blow {
    /// Its name among the measures; empty where nothing is to be learned.
    key: String,
    cost: Cost,
    words: String,
}

/// Whether writes wait where a host stops what it runs: it is one of several members, or
/// was one as far as can be told, since the cloud file does not name it any more.
fn loses_member(on: &DesiredBalanced, host: &str, desired: &Desired) -> bool {
    on.single_writer && (on.members.iter().any(|m| m == host) || !desired.hosts.contains_key(host))
}

fn blow(effect: &Effect, on: &DesiredBalanced, desired: &Desired, plan: &Plan) -> Option<Blow> {
    let key = |what: &str| format!("{what}/{}", on.resource);
    match effect {
        Effect::Restart { resource, host } if *resource == on.resource => {
            let others = on.members.iter().filter(|m| *m != host).count();
            Some(if others > 0 {
                Blow {
                    key: String::new(),
                    cost: if on.single_writer {
                        LEAVES.or(JOINS)
                    } else {
                        SLOWER
                    },
                    words: format!(
                        "{host} is taken out before its {resource} is restarted, {others} others answer"
                    ),
                }
            } else {
                Blow {
                    key: key("restart"),
                    cost: ALONE,
                    words: format!("{resource} is on {host} alone: nobody answers while it restarts"),
                }
            })
        }
        // Others that start use the same processors.
        Effect::Restart { resource, host } => Some(Blow {
            key: String::new(),
            cost: SLOWER,
            words: format!("{resource} restarts on {host}"),
        }),
        Effect::Reload { unit, host } => Some(Blow {
            key: String::new(),
            cost: SLOWER,
            words: format!("{unit} on {host} goes on serving while it reads its files"),
        }),
        Effect::Reconfigure { resource } if *resource == on.resource => Some(Blow {
            key: key("reconfigure"),
            cost: ALONE,
            words: format!("all instances of {resource} are restarted at once"),
        }),
        Effect::Reconfigure { resource } => Some(Blow {
            key: key(&format!("reconfigure-{resource}")),
            cost: MOVE,
            words: format!("{resource} is restarted"),
        }),
        Effect::Readdress {
            services, from, to, ..
        } if services.contains(&on.service) => {
            // The balancers listen on the new address only once they have read it.
            let effects = plan.steps.iter().flat_map(|s| &s.effects);
            let hosts: BTreeSet<&str> = effects
                .filter_map(|e| match e {
                    Effect::Reload { host, .. } => Some(host.as_str()),
                    _ => None,
                })
                .collect();
            let turns = hosts.len();
            Some(Blow {
                key: key("readdress"),
                cost: MOVE.and(TURN.times(turns)),
                words: format!(
                    "{from} goes and {to} comes ({} ms), and is listened on after the turns of {turns} hosts ({} ms each)",
                    MOVE.usual_ms, TURN.usual_ms
                ),
            })
        }
        Effect::Standby { services, host } if services.contains(&on.service) => Some(Blow {
            key: key("standby"),
            cost: if loses_member(on, host, desired) {
                MOVE.or(LEAVES)
            } else {
                MOVE
            },
            words: format!("its address leaves {host}"),
        }),
        Effect::Move {
            services, from, to, ..
        } if services.contains(&on.service) => Some(Blow {
            key: key("move"),
            cost: MOVE,
            words: format!("its address leaves {from} for {to}"),
        }),
        // Nothing is learned of it: what asks beside a run does not write.
        Effect::Joins { host } => Some(Blow {
            key: String::new(),
            cost: if on.single_writer { JOINS } else { SLOWER },
            words: format!("{host} joins, and is given a copy"),
        }),
        Effect::Recovers { store } => Some(Blow {
            key: key("recover"),
            cost: RECOVERS,
            words: format!("{store} serves nowhere, and nothing on it answers until it is back"),
        }),
        Effect::Starts { host } => Some(Blow {
            key: String::new(),
            cost: SLOWER,
            words: format!("everything starts on {host}"),
        }),
        Effect::Standby { host, .. } => Some(Blow {
            key: String::new(),
            cost: match desired.nodes.len() {
                ..=1 => ALONE,
                _ if loses_member(on, host, desired) => LEAVES,
                _ => SLOWER,
            },
            words: format!("what {host} runs stops"),
        }),
        Effect::Readdress { .. } | Effect::Move { .. } => None,
    }
}

/// As measured, where it was.
fn measured(blow: &Blow, measures: &Measures) -> Cost {
    let Some(all) = measures.get(&blow.key).filter(|all| !all.is_empty()) else {
        return blow.cost;
    };
    let mut sorted = all.clone();
    sorted.sort_unstable();
    let most = sorted.last().copied().unwrap_or_default();
    let usual_ms = sorted.get(sorted.len() / 2).copied().unwrap_or_default();
    // Few measurements say little of the worst; but what is worse than thought is known.
    let learned = most * ROOM / 2;
    let worst_ms = if all.len() < 3 {
        learned.max(blow.cost.worst_ms)
    } else {
        learned
    };
    Cost {
        usual_ms,
        worst_ms: worst_ms.max(usual_ms),
    }
}

/// What a plan will cost, for each thing behind a virtual address. Effects do
/// not add up: steps that disturb go one after the other.
pub fn outage(plan: &Plan, desired: &Desired, measures: &Measures) -> Vec<Outage> {
    let effects: Vec<&Effect> = plan.steps.iter().flat_map(|s| &s.effects).collect();
    desired
        .balanced
        .iter()
        .map(|on| {
            let mut total = Cost::NONE;
            let mut why = Vec::new();
            for blow in effects.iter().filter_map(|e| blow(e, on, desired, plan)) {
                let cost = measured(&blow, measures);
                total = total.or(cost);
                let known = measures.get(&blow.key).map_or(0, Vec::len);
                let source = if known > 0 {
                    format!(", measured {known} times")
                } else {
                    String::new()
                };
                why.push(format!(
                    "{}: {} ms, at worst {} ms{source}",
                    blow.words, cost.usual_ms, cost.worst_ms
                ));
            }
            Outage {
                service: on.service.clone(),
                resource: on.resource.clone(),
                usual_ms: total.usual_ms,
                worst_ms: total.worst_ms,
                why,
            }
        })
        .collect()
}

/// Takes up what was measured while a plan was done: by resource, the longest
/// time without an answer in milliseconds. Only where one kind of effect can
/// have been the cause; free ones stay free, whatever was seen.
pub fn learn(plan: &Plan, desired: &Desired, seen: &BTreeMap<String, u64>, measures: &mut Measures) {
    for on in &desired.balanced {
        let Some(&ms) = seen.get(on.resource.as_str()).filter(|ms| **ms > NOISE_MS) else {
            continue;
        };
        let effects = plan.steps.iter().flat_map(|s| &s.effects);
        let mut keys: Vec<String> = effects
            .filter_map(|e| blow(e, on, desired, plan))
            .map(|b| b.key)
            .filter(|k| !k.is_empty())
            .collect();
        keys.dedup();
        if let [key] = keys.as_slice() {
            let all = measures.entry(key.clone()).or_default();
            all.push(ms);
            if all.len() > KEPT {
                all.remove(0);
            }
        }
    }
}
