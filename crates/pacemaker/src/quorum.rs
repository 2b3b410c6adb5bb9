//! `corosync-quorumtool -s` read: whether the partition that was asked has quorum. It is
//! votequorum's own word, which is there also while Pacemaker elects its controller and
//! `crm_mon` tells of none. Not for who is a member.

/// Name of the answer that holds its output.
pub const QUORUM: &str = "corosync/quorum";

/// The program that prints it, with its arguments.
pub const ASK_QUORUM: [&str; 2] = ["corosync-quorumtool", "-s"];

/// Quorum as the text tells it; `None` if it tells nothing. The exit status is no answer:
/// it is 0 with quorum, 2 without, and 1 if nothing could be asked.
pub fn has_quorum(text: &str) -> Option<bool> {
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let (_, said) = lines.find(|(key, _)| key.trim() == "Quorate")?;
    match said.trim() {
        "Yes" => Some(true),
        "No" => Some(false),
        _ => None,
    }
}
