//! The cluster's links read back: what `corosync-cfgtool -n` says of each link
//! to each other node. It is the only answer with both ends; `-s` names a node's
//! own addresses only.

/// What to run for [`Heard::parse`].
pub const ASK_LINKS: [&str; 2] = ["corosync-cfgtool", "-n"];
/// The name that the answer goes by.
pub const LINKS: &str = "cluster/links";

/// Another node on one link, as a node hears it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Its node id.
    pub node: u32,
    /// The link's number, which is its place among the cloud's links.
    pub link: usize,
    /// Whether it is heard there.
    pub connected: bool,
}

impl Heard {
    /// Reads the answer; lines that say nothing of a link are passed over.
    pub fn parse(text: &str) -> Vec<Self> {
        let mut node = None;
        let mut out = Vec::new();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nodeid:") => node = words.next().and_then(|w| w.parse().ok()),
                Some("LINK:") => {
                    let link = words.next().and_then(|w| w.parse().ok());
                    if let (Some(node), Some(link)) = (node, link) {
                        let connected = words.any(|w| w == "connected");
                        out.push(Self {
                            node,
                            link,
                            connected,
                        });
                    }
                }
                _ => {}
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Corosync 3.1.9 said it while a host's second cable was out.
    const ONE_OUT: &str = "Local node ID 2, transport knet
nodeid: 1 reachable
   LINK: 0 udp (fd00::12%2->fd00::11%2) enabled connected mtu: 1365
   LINK: 1 udp (fd00:1::12%2->fd00:1::11%2) enabled mtu: 1365

nodeid: 3 reachable
   LINK: 0 udp (fd00::12%2->fd00::13%2) enabled connected mtu: 1365
   LINK: 1 udp (fd00:1::12%2->fd00:1::13%2) enabled connected mtu: 1365
";

    #[test]
    fn each_link_to_each_node() {
        let heard = Heard::parse(ONE_OUT);
        let all: Vec<(u32, usize, bool)> = heard.iter().map(|h| (h.node, h.link, h.connected)).collect();
        assert_eq!(all, [(1, 0, true), (1, 1, false), (3, 0, true), (3, 1, true)]);
    }

    #[test]
    fn what_is_no_answer_says_nothing() {
        let text = "Could not initialize corosync configuration API error 2";
        assert!(Heard::parse(text).is_empty());
    }
}
