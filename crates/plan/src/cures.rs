//! Changes of files that packages brought: asked for and not done, or done and no
//! longer asked for. What restarts for them is the way of all files.

use render::{Desired, DesiredCure, Standing};
use wire::{Fact, Facts};

use crate::{Change, Observed};

/// What is to be changed of a host's file. `new`: packages are installed there before,
/// and the file may be among them.
pub(crate) fn change(cure: &DesiredCure, facts: &Facts, new: bool) -> Option<Change> {
    let path = &cure.file.write.path;
    let glyph = match cure.standing(facts) {
        Standing::Ill if cure.wanted => '~',
        Standing::Cured if !cure.wanted => '~',
        Standing::Unseen if cure.wanted && new && facts.files.get(path).is_some_and(Fact::is_absent) => '+',
        _ => return None,
    };
    Some(Change {
        what: format!("{path} (cure {})", cure.name),
        glyph,
        diff: cure.diff(),
    })
}

/// Cures that are asked for and cannot be done, a sentence each: the file is another.
pub(crate) fn strange(desired: &Desired, observed: &Observed) -> Vec<String> {
    let mut out = Vec::new();
    for (host, wanted) in &desired.hosts {
        let Some(Ok(facts)) = observed.get(host) else {
            continue;
        };
        let strange = |c: &&DesiredCure| c.wanted && c.standing(facts) == Standing::Strange;
        for cure in wanted.cures.iter().filter(strange) {
            out.push(format!(
                "{host}: {} is none of the files that the cure {} is for ({}), and is left as it is: see \
                 whether it is still wrong, and else take the cure out of the cloud file",
                cure.file.write.path,
                cure.name,
                cure.version(facts)
            ));
        }
    }
    out
}
