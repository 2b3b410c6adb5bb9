//! What is known to be wrong in packages that hosts have, and is not mended there.

use indexmap::IndexMap;
use render::{Desired, Standing};

use crate::Observed;

/// A sentence for each.
pub(crate) fn remarks(desired: &Desired, observed: &Observed) -> Vec<String> {
    let mut ill: IndexMap<&str, (String, Vec<&str>)> = IndexMap::new();
    let mut out = Vec::new();
    for (host, wanted) in &desired.hosts {
        let Some(Ok(facts)) = observed.get(host) else {
            continue;
        };
        for cure in &wanted.cures {
            match cure.standing(facts) {
                Standing::Ill => {
                    let how = if cure.wanted {
                        "`quorate apply` cures it".to_owned()
                    } else {
                        format!("`cures: [{}]` in the cloud file cures it", cure.name)
                    };
                    let words = format!("{} ({}): {how}", cure.summary, cure.version(facts));
                    ill.entry(&cure.name).or_insert((words, Vec::new())).1.push(host);
                }
                Standing::Strange if cure.wanted => out.push(format!(
                    "{host}: the cure {} is not for {}, whose file is left as it is",
                    cure.name,
                    cure.version(facts)
                )),
                Standing::Strange | Standing::Cured | Standing::Unseen => {}
            }
        }
    }
    let ill = ill
        .into_values()
        .map(|(words, hosts)| format!("{words}; on {}", hosts.join(", ")));
    ill.chain(out).collect()
}
