//! The table of hosts (hosts(5)): some names in it, among lines that are somebody else's.

/// Words of a line: an address and its names; nothing of a comment.
fn words(line: &str) -> Vec<&str> {
    line.split('#')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect()
}

/// Comments around our lines; an earlier text of ours has the first alone, and is ours whole.
const BEGIN: &str = "# Written by quorate";
const END: &str = "# End of the names written by quorate.";

/// The table `have` with the entries of `want`: names in `want` are ours, and are taken
/// out of other lines, whichever address they have there. All other lines stay byte for
/// byte, above ours. Twice is as once.
pub fn merge(have: &str, want: &str) -> String {
    let ours: Vec<&str> = want.lines().flat_map(|l| words(l).into_iter().skip(1)).collect();
    let mut out = String::new();
    let mut inside = false;
    for line in have.lines() {
        inside |= line.starts_with(BEGIN);
        if inside {
            inside = line != END;
            continue;
        }
        let words = words(line);
        let (mine, others): (Vec<&str>, Vec<&str>) = words.iter().skip(1).partition(|w| ours.contains(w));
        match words.first() {
            Some(address) if !mine.is_empty() => {
                if !others.is_empty() {
                    out.push_str(address);
                    out.push(' ');
                    out.push_str(&others.join(" "));
                    out.push('\n');
                }
            }
            _ => {
                out.push_str(line);
                out.push('\n');
            }
        }
    }
    out.push_str(want);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANT: &str =
        "# Written by quorate: these.\n10.0.0.1 c1\n10.0.0.2 c2\n# End of the names written by quorate.\n";

    #[track_caller]
    fn check(have: &str, expect: &str) {
        let merged = merge(have, WANT);
        assert_eq!(merged, format!("{expect}{WANT}"));
        assert_eq!(merge(&merged, WANT), merged, "not the same a second time");
    }

    #[test]
    fn lines_of_others_stay() {
        check("", "");
        let theirs = "127.0.0.1 localhost\n10.1.0.9\tbmc-c1 bmc1 # rack 3\n\n";
        check(theirs, theirs);
        check(
            &format!("{theirs}{WANT}10.1.0.8 below\n"),
            &format!("{theirs}10.1.0.8 below\n"),
        );
    }

    #[test]
    fn our_names_are_ours_alone() {
        // A distribution's installer gives the host's own name to loopback.
        check(
            "127.0.1.1 c1.example.org c1\n10.9.9.9 c2",
            "127.0.1.1 c1.example.org\n",
        );
        check("# c1 was 10.0.0.7 c1\n", "# c1 was 10.0.0.7 c1\n");
        // As earlier versions wrote it, whole; and with a host that is gone.
        check("# Written by quorate.\n127.0.0.1 localhost\n10.0.0.3 c3\n", "");
        check(
            "a.b.c.d x\n# Written by quorate: these.\n10.0.0.3 c3\n# End of the names written by quorate.\n",
            "a.b.c.d x\n",
        );
    }
}
