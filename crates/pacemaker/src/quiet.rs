//! Since when nothing has happened in the cluster, from `cibadmin --query`.
//!
//! Its status section holds the time at which each member joined (`in_ccm` and
//! `crmd` of `node_state`, in seconds since Pacemaker 2.1.7; a truth value
//! before) and that of the last new result of each action. Pacemaker keeps a
//! recurring monitor's time while its result stays the same.

use roxmltree::Node;

/// `PCMK_EXEC_PENDING`: an action without a result yet.
const PENDING: &str = "-1";

/// Seconds since the epoch, by a member's clock, at which the last thing happened on it; or
/// the reason why its `node_state` does not tell.
pub(crate) fn last_event(name: &str, state: Node<'_, '_>) -> Result<i64, String> {
    if state.attribute("join") != Some("member") || state.attribute("expected") != Some("member") {
        return Err(format!("{name} is no member of the cluster"));
    }
    let mut last = i64::MIN;
    for what in ["in_ccm", "crmd"] {
        let joined =
            time(state, what).ok_or_else(|| format!("it is not told when {name} joined the cluster"))?;
        last = last.max(joined);
    }
    for action in state.descendants().filter(|n| n.has_tag_name("lrm_rsc_op")) {
        let what = action
            .attribute("operation_key")
            .or(action.attribute("id"))
            .unwrap_or("an action");
        if action.attribute("op-status") == Some(PENDING) {
            return Err(format!("{what} is under way on {name}"));
        }
        let changed = time(action, "last-rc-change")
            .ok_or_else(|| format!("it is not told when {what} was done on {name}"))?;
        last = last.max(changed);
    }
    Ok(last)
}

/// A time; `1` and the like are truth values of an older Pacemaker, 0 is never.
fn time(node: Node<'_, '_>, attribute: &str) -> Option<i64> {
    node.attribute(attribute)?.parse().ok().filter(|t| *t > 1)
}

#[cfg(test)]
mod tests {
    use crate::LiveCib;

    fn quiet_since(cib: &str, nodes: &[String]) -> Result<i64, String> {
        LiveCib::parse(cib.to_owned())?.quiet_since(nodes)
    }

    fn cib(c1: &str, c2: &str) -> String {
        format!(
            "<cib><configuration/><status><node_state uname=\"c1\" {c1}</node_state><node_state uname=\"c2\" {c2}</node_state></status></cib>"
        )
    }

    const WHOLE: &str = "in_ccm=\"100\" crmd=\"102\" join=\"member\" expected=\"member\">";

    fn op(time: &str) -> String {
        format!("{WHOLE}<lrm id=\"1\"><lrm_rsc_op operation_key=\"x_start_0\" op-status=\"0\" {time}/></lrm>")
    }

    fn both() -> [String; 2] {
        ["c1".to_owned(), "c2".to_owned()]
    }

    #[test]
    fn the_last_of_joins_and_results() {
        assert_eq!(quiet_since(&cib(WHOLE, WHOLE), &both()), Ok(102));
        let later = op("last-rc-change=\"300\"");
        assert_eq!(quiet_since(&cib(WHOLE, &later), &both()), Ok(300));
        // What a host outside did does not count.
        assert_eq!(quiet_since(&cib(WHOLE, &later), &both()[..1]), Ok(102));
    }

    #[test]
    fn what_is_not_told_is_not_long_ago() {
        let all = [
            (WHOLE.replace("\"100\"", "\"0\""), "when c2 joined"),
            (WHOLE.replace("\"100\"", "\"true\""), "when c2 joined"),
            (WHOLE.replace("\"100\"", "\"1\""), "when c2 joined"),
            (WHOLE.replace("crmd=\"102\"", ""), "when c2 joined"),
            (WHOLE.replace("join=\"member\"", "join=\"down\""), "no member"),
            (op(""), "when x_start_0 was done on c2"),
            (
                op("last-rc-change=\"5\"").replace("\"0\"", "\"-1\""),
                "under way on c2",
            ),
        ];
        for (state, why) in all {
            let error = quiet_since(&cib(WHOLE, &state), &both()).unwrap_err();
            assert!(error.contains(why), "{state}: {error}");
        }
        assert!(quiet_since("<cib><configuration/></cib>", &both()).is_err());
        assert!(quiet_since(&cib(WHOLE, WHOLE), &[]).is_err());
    }
}
