//! Cost of verbs on large clouds: the whole process, from the cloud file and the facts
//! on, over a curve of sizes. Hosts are made up, so it needs no lab.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::table::{Row, Runs, print};
use super::watch::{Cost, watched};
use crate::dist;
use crate::shell::{self, Error, program, root, run_quietly};

/// Hosts beside the three controllers.
const CURVE: [usize; 4] = [100, 300, 1000, 3000];
/// The size at which goals in seconds and megabytes are set.
const GOAL_AT: usize = 1000;
/// Verbs that look at all hosts; each is measured by itself.
const VERBS: [&str; 5] = ["check", "render", "plan", "losses", "status"];
/// Three times the hosts may cost so many times as much.
const THRICE: f64 = 3.3;

/// A cloud that is measured: its services, and its goals at [`GOAL_AT`].
struct Cloud {
    name: &'static str,
    services: &'static str,
    sizes: &'static [usize],
    cpu: Duration,
    megabytes: u64,
}

const CLOUDS: [Cloud; 2] = [
    Cloud {
        name: "keystone",
        services: "keystone",
        sizes: &CURVE,
        cpu: Duration::from_secs(1),
        megabytes: 200,
    },
    Cloud {
        name: "eight services",
        services: "keystone, placement, swift, glance, nova, neutron, cinder, horizon, heat",
        sizes: &[GOAL_AT],
        cpu: Duration::from_secs(3),
        megabytes: 400,
    },
];

/// Options of the measurement.
#[derive(clap::Args)]
pub struct Args {
    /// Measures this program instead of building the release of the bench
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

/// Measures the curve and prints it.
pub fn run(args: &Args) -> Result<(), Error> {
    super::tell_machine();
    print(&rows(args.program.as_deref())?);
    Ok(())
}

/// The curve, a line a verb and size.
pub fn rows(given: Option<&Path>) -> Result<Vec<Row>, Error> {
    let words = ["--release", "--package", "plan", "--bench", "scale"];
    let built = given.map_or_else(|| shell::built(&words, "scale"), |p| Ok(p.to_owned()))?;
    let mut out = Vec::new();
    for cloud in &CLOUDS {
        let mut before: Vec<Option<Cost>> = vec![None; VERBS.len()];
        for size in cloud.sizes {
            let dir = root().join(format!("target/bench/scale-{size}"));
            let failed = |e: std::io::Error| Error::Said(format!("{}: {e}", dir.display()));
            fs::create_dir_all(&dir).map_err(failed)?;
            let mut make = program(&built);
            make.arg("make").arg(&dir).arg(size.to_string());
            run_quietly(make.arg(cloud.services))?;
            for (verb, before) in VERBS.iter().zip(&mut before) {
                let cost = watched(program(&built).arg(verb).arg(&dir), &dir.join("log"))?;
                let what = format!("{verb}, 3 + {size}, {}", cloud.name);
                out.extend(judged(&what, cloud, *size, cost, before.as_ref()));
                *before = Some(cost);
            }
        }
    }
    Ok(out)
}

/// Time and memory of one verb at one size, beside their goals where there are any.
fn judged(what: &str, cloud: &Cloud, size: usize, cost: Cost, before: Option<&Cost>) -> Vec<Row> {
    let cpu = Runs(vec![cost.cpu]);
    let peak = cost.peak_kib * 1024;
    let told = format!("{:.2} s, {}", cost.cpu.as_secs_f64(), dist::megabytes(peak));
    if size == GOAL_AT {
        return vec![
            Row::time(format!("{what}: CPU"), &cpu, cloud.cpu),
            Row::size(
                format!("{what}: peak"),
                peak,
                dist::megabytes(peak),
                cloud.megabytes,
            ),
        ];
    }
    let last = CURVE.last().is_some_and(|last| *last == size);
    let before = before.map(|b| Runs(vec![b.cpu])).filter(|_| last);
    let ratio = before.map(|before| {
        Row::at_most(format!("{what}: × of a third"), cpu.ratio(&before), THRICE).beside(told.clone())
    });
    vec![ratio.unwrap_or_else(|| Row::plain(what, told))]
}
