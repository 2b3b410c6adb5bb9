//! Stories drawn by proptest: what a cloud is at first, what it is to become, and what
//! happens on the way.

#![allow(dead_code, reason = "not every user wants all of it")]

use std::cell::Cell;

use names::HostName;
use proptest::prelude::*;
use render::Desired;
use sim::{Comes, Ended, Event, Fault, Happens, Spoils, World};

use crate::clouds::{ARCHITECTURES, EIGHT, away, made, name, of, of_hosts, restoring, said};

/// Operations after which one that was away all the time comes back: all else is over.
const LAST: usize = 1000;

/// State of a cloud when a story begins, and the one that it is to reach.
pub struct Start {
    /// `core keystone shrunk`.
    pub name: String,
    pub world: World,
    pub wanted: Desired,
    /// A host that comes back when all else is over.
    pub back: Option<HostName>,
}

/// Services in a word.
fn short(services: &str) -> &str {
    if services == EIGHT { "eight" } else { services }
}

pub fn starts(architecture: &str, services: &str) -> Vec<Start> {
    let [three, five] = [3, 5].map(|n| of(n, architecture, services));
    let other = ARCHITECTURES.into_iter().find(|a| *a != architecture).unwrap();
    let other = of(3, other, services);
    let whole = made(&three);
    let restore = restoring(&three, true);
    let start = |name: &str, world: &World, wanted: &Desired| Start {
        name: format!("{architecture} {} {name}", short(services)),
        world: world.clone(),
        wanted: wanted.clone(),
        back: None,
    };
    let mut out = vec![
        start("bare", &World::bare(&three), &three),
        start("made", &whole, &three),
        start("asleep", &whole.clone().asleep(), &three),
        start("grown", &whole, &five),
        start("restored", &whole, &restore),
        start("moved", &made(&other), &three),
    ];
    let grown = made(&five);
    let mut without = grown.clone();
    let last = name("c5");
    without.suffer(&Fault::Lost(last.clone()));
    out.push(Start {
        back: Some(last),
        ..start("away", &without, &away(5, architecture, services))
    });
    if services == EIGHT {
        // Those that come stand before the others in the list, by which one begins. Two devices
        // of a hash ring may not go at once: that is refused, so none is shrunk.
        let last = of_hosts(3..=5, architecture, services);
        out.push(start("headed", &made(&last), &five));
    } else {
        out.push(start("shrunk", &grown, &three));
    }
    out
}

/// Numbers of which a story is made.
pub type Draw = (Vec<Spoils>, Vec<Comes>);

/// A draw as it is kept: `1 2 true, …; 1 2 3 4 5, …`.
pub fn line((spoils, comes): &Draw) -> String {
    let spoils = spoils.iter().map(|(a, b, c)| format!("{a} {b} {c}"));
    let comes = comes.iter().map(|(a, b, c, d, e)| format!("{a} {b} {c} {d} {e}"));
    let [spoils, comes] = [spoils.collect::<Vec<_>>(), comes.collect()].map(|all| all.join(", "));
    format!("{spoils}; {comes}")
}

/// A draw that was kept.
pub fn kept(line: &str) -> Draw {
    let (spoils, comes) = line.split_once(';').unwrap();
    let groups = |text: &str| -> Vec<Vec<String>> {
        let groups = text
            .split(',')
            .map(|g| g.split_whitespace().map(str::to_owned).collect());
        groups.filter(|g: &Vec<String>| !g.is_empty()).collect()
    };
    let number = |word: &String| word.parse::<usize>().unwrap();
    let spoils = groups(spoils).into_iter();
    let spoils = spoils.map(|g| (number(&g[0]), number(&g[1]), g[2] == "true"));
    let comes = groups(comes).into_iter().map(|g| {
        let n: Vec<usize> = g.iter().map(number).collect();
        (n[0], n[1], n[2], n[3], n[4])
    });
    (spoils.collect(), comes.collect())
}

pub fn drawn() -> impl Strategy<Value = Draw> {
    let number = || 0..1000_usize;
    let spoils = prop::collection::vec((number(), number(), any::<bool>()), 0..4);
    let comes = (number(), number(), number(), number(), number());
    (spoils, prop::collection::vec(comes, 0..4))
}

/// Plans that were made and refused.
#[derive(Default)]
pub struct Counted {
    pub made: Cell<usize>,
    pub refused: Cell<usize>,
}

impl Counted {
    pub fn print(&self, what: &str) {
        let (made, refused) = (self.made.get(), self.refused.get());
        let share = 100 * refused / made.max(1);
        println!("{what}: {made} plans, {refused} refused: {share} %");
        assert!(share < 30, "{what}: {refused} of {made} plans were refused");
    }
}

/// Whatever happens on the way, it comes to a good end, and no law is broken by a plan.
pub fn lives(start: &Start, (spoils, comes): &Draw, counted: &Counted) -> Result<(), String> {
    let mut world = start.world.clone();
    world.want(&start.wanted);
    world.plans.set(0);
    world.refused.set(0);
    world.told = std::env::var_os("SIM_TELL").map(|_| Vec::new());
    let mut events = sim::story(&world, spoils, comes);
    events.extend(start.back.iter().map(|host| Event {
        at: world.done + LAST,
        what: Happens::Fault(Fault::Back(host.clone())),
    }));
    let ended = world.live(events);
    counted.made.set(counted.made.get() + world.plans.get());
    counted.refused.set(counted.refused.get() + world.refused.get());
    let told = world.told.as_ref().map_or_else(String::new, |t| t.join("\n"));
    if !matches!(ended, Ended::Empty(_)) {
        return Err(format!(
            "{told}\nafter {} operations: {}",
            world.done,
            said(&ended)
        ));
    }
    if !world.broken.is_empty() {
        return Err(format!("{told}\n{}", world.broken.join("\n")));
    }
    Ok(())
}
