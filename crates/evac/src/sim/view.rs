//! The observation that an engine makes of the world.

use wire::Fact;

use super::machine::{CONTROLLERS, Machine, NETS};
use super::world::World;
use crate::{
    Compute, ControlSeen, Echo, EngineSeen, Followed, HostSeen, IntentRow, Name, ObserverSeen, PathSeen,
    Power, Room, Says, Seen, SentRow, Store,
};

fn unknown<T>(why: &str) -> Fact<T> {
    Fact::Unknown(why.to_owned())
}

impl World {
    pub fn view(&mut self, at: usize) -> Seen {
        let mut seen = self.seen.take().unwrap_or_else(|| self.template());
        let engine = &self.engines[at];
        seen.engine = EngineSeen {
            controller: seen.observers[engine.controller].controller.clone(),
            held: engine.held,
            quorate: Fact::Known(self.quorate(engine.controller)),
            running_ms: self.now - engine.since,
            late_ms: engine.late,
        };
        for (number, observer) in seen.observers.iter_mut().enumerate() {
            (observer.age_ms, observer.running_ms) = self.table(engine.controller, number);
        }
        let api = self.now >= self.failing.api;
        seen.control = ControlSeen {
            answer_ms: match (api, self.now < self.failing.slow) {
                (false, _) => unknown("503"),
                (true, true) => Fact::Known(4_000),
                (true, false) => Fact::Known(100),
            },
            scheduler: if api {
                Fact::Known(self.now >= self.failing.scheduler)
            } else {
                unknown("503")
            },
            conductor: if api { Fact::Known(true) } else { unknown("503") },
        };
        seen.store = self.rows_seen(at);
        for host in 0..self.hosts.len() {
            self.host_seen(at, host, api, &mut seen);
        }
        let lists = api && self.now >= self.failing.lists;
        seen.followed.clear();
        for (sent, ..) in &self.rows.sent {
            if seen.followed.iter().any(|f| f.vm == sent.vm) {
                continue;
            }
            let guest = &self.guests[self.vm(sent)];
            let server = match (lists, guest.deleted) {
                (false, _) => unknown("503"),
                (true, true) => Fact::Absent,
                (true, false) => Fact::Known(self.server(guest)),
            };
            seen.followed.push(Followed {
                vm: sent.vm.clone(),
                server,
            });
        }
        seen.migrations = if api && self.now >= self.failing.migrations {
            let mut moves: Vec<_> = self.moves.iter().map(|m| m.record.clone()).collect();
            for (record, m) in moves.iter_mut().zip(&self.moves) {
                record.age_ms = self.now - m.at;
            }
            Fact::Known(moves)
        } else {
            unknown("partial")
        };
        seen
    }

    fn template(&self) -> Seen {
        let name = |c: usize| Name::from(format!("c{}", c + 1));
        let nets: [Name; NETS] = ["management".into(), "tunnel".into()];
        let host = |(number, machine): (usize, &Machine)| HostSeen {
            host: machine.name.clone(),
            rack: Some(format!("rack{}", machine.rack).into()),
            aggregates: vec![format!("aggregate{}", number % 2).into()],
            zone: None,
            paths: (0..CONTROLLERS * NETS)
                .map(|at| PathSeen {
                    observer: name(at / NETS),
                    network: nets[at % NETS].clone(),
                    age_ms: Some(0),
                    boot: Some(machine.boots[0].clone()),
                    echo: Echo::Unknown,
                })
                .collect(),
            says: None,
            compute: Fact::Absent,
            agent: Fact::Absent,
            room: Fact::Absent,
            servers: Fact::Absent,
            power: Fact::Absent,
            storage_fenced: Fact::Absent,
            watchdog: None,
            proved_ms: if machine.proved {
                Fact::Known(1_000_000)
            } else {
                Fact::Absent
            },
            restarted_ms: None,
        };
        Seen {
            engine: EngineSeen {
                controller: name(0),
                held: None,
                quorate: Fact::Absent,
                running_ms: 0,
                late_ms: 0,
            },
            observers: (0..CONTROLLERS)
                .map(|c| ObserverSeen {
                    controller: name(c),
                    age_ms: None,
                    running_ms: 0,
                })
                .collect(),
            control: ControlSeen {
                answer_ms: Fact::Absent,
                scheduler: Fact::Absent,
                conductor: Fact::Absent,
            },
            store: Fact::Absent,
            hosts: self.hosts.iter().enumerate().map(host).collect(),
            followed: Vec::new(),
            migrations: Fact::Absent,
        }
    }

    /// Age of an observer's table as an engine on another controller has it.
    fn table(&self, engine: usize, observer: usize) -> (Option<u64>, u64) {
        let c = &self.controllers[observer];
        let cut = (engine != observer)
            .then(|| c.alone.or(self.controllers[engine].alone))
            .flatten();
        let stood = [c.stale, cut.map(|(at, _)| at)].into_iter().flatten().min();
        let age = stood.map_or(100, |at| (self.now - at).max(100));
        (Some(age), self.now.saturating_sub(c.since))
    }

    fn rows_seen(&self, at: usize) -> Fact<Store> {
        let alone = self.controllers[self.engines[at].controller].alone;
        if self.now < self.failing.store || alone.is_some_and(|(_, store)| store) {
            return unknown("the database does not answer");
        }
        let rows = &self.rows;
        let intent = |(intent, phase, opened): &(crate::Intent, u64, u64)| IntentRow {
            intent: intent.clone(),
            phase_ms: self.now - phase,
            opened_ms: self.now - opened,
        };
        let sent = |(sent, answer, when): &(crate::Sent, crate::Answer, u64)| SentRow {
            sent: sent.clone(),
            answer: answer.clone(),
            age_ms: self.now - when,
        };
        Fact::Known(Store {
            leader: rows.leader.clone(),
            intents: rows.intents.iter().map(intent).collect(),
            sent: rows.sent.iter().map(sent).collect(),
            opened_ms: rows.opened.iter().map(|when| self.now - when).collect(),
            released_ms: rows.released_until.checked_sub(self.now).filter(|left| *left > 0),
            paused: rows.paused,
            confirmed: rows.confirmed.clone(),
        })
    }

    fn host_seen(&self, at: usize, number: usize, api: bool, seen: &mut Seen) {
        let (machine, service, engine) = (&self.hosts[number], &self.services[number], &self.engines[at]);
        let looked = self.look.contains(&machine.name);
        let host = &mut seen.hosts[number];
        let mut silent = false;
        for (index, path) in host.paths.iter_mut().enumerate() {
            let (controller, net) = (index / NETS, index % NETS);
            let (heard, boot) = machine.heard[controller][net];
            // A table that stood still grows old with all that is in it.
            let until = self.controllers[controller].stale.unwrap_or(self.now);
            let age = until.saturating_sub(heard) + (self.now - until) + engine.late;
            path.age_ms = Some(age);
            if path.boot.as_ref() != Some(&machine.boots[boot]) {
                path.boot = Some(machine.boots[boot].clone());
            }
            silent |= age > 500;
            let answers = machine.kernel(self.now) && !machine.cut[controller][net];
            path.echo = match (self.controllers[controller].stale, age > 500, answers) {
                (Some(_), _, _) if machine.stood[controller] => Echo::Silent,
                (Some(_), _, _) | (None, false, _) => Echo::Unknown,
                (None, true, true) => Echo::Answers,
                (None, true, false) => Echo::Silent,
            };
        }
        let word = &machine.word;
        host.says = Some(Says {
            age_ms: self.now - word.at,
            boot: machine.boots[word.boot].clone(),
            storage_hangs: word.hangs,
            compute_dead: word.compute_dead,
            kdump: word.kdump,
        });
        host.compute = if api {
            Fact::Known(Compute {
                id: service.id.clone(),
                up: self.service_up(number),
                forced_down: service.forced,
                enabled: service.enabled,
                reason: service.reason.clone(),
                report_ms: self.now - machine.report_at,
            })
        } else {
            unknown("503")
        };
        host.agent = if api {
            Fact::Known(machine.kernel(self.now) && self.now >= machine.agent_at)
        } else {
            unknown("503")
        };
        host.room = Fact::Known(Room {
            ram_mb: self.free(number),
            vcpus: 64,
        });
        host.restarted_ms = engine.restarted[number].map(|when| self.now - when);
        host.storage_fenced = if machine.storage {
            Fact::Known(machine.refused)
        } else {
            Fact::Absent
        };
        let wanted = looked || silent || machine.boot > 0;
        host.servers = if !wanted {
            unknown("not asked")
        } else if api && self.now >= self.failing.lists {
            let here = self.guests.iter().filter(|g| g.host == number && !g.deleted);
            Fact::Known(here.map(|guest| self.server(guest)).collect())
        } else {
            unknown("partial")
        };
        host.power = if !looked {
            unknown("not asked")
        } else if machine.bmc.dead {
            unknown("no answer from the device")
        } else {
            let lie = machine.bmc.stale || (machine.bmc.lies && engine.off[number].is_some());
            Fact::Known(Power {
                on: machine.on && !lie,
                after_off: engine.off[number],
                device: "bmc".into(),
            })
        };
    }

    /// The record of a VM, with the hosts of those that it keeps apart from.
    fn server(&self, guest: &super::cloud::Guest) -> crate::Server {
        let mut server = guest.server.clone();
        if let Some(apart) = &mut server.apart {
            let same = |g: &&super::cloud::Guest| {
                let group = g.server.apart.as_ref().map(|a| &a.group);
                group == Some(&apart.group) && g.server.vm != guest.server.vm && !g.deleted
            };
            let peers = || self.guests.iter().filter(same);
            apart.hosts = peers().map(|g| g.server.host.clone()).collect();
            let open = self
                .moves
                .iter()
                .filter(|m| m.record.progress == crate::Progress::Open);
            let dest = open
                .filter(|m| peers().any(|g| g.server.vm == m.record.vm))
                .filter_map(|m| m.record.dest.clone());
            apart.hosts.extend(dest);
        }
        server
    }
}
