//! The same cloud without some of its hosts, for while they are away or given up: nothing
//! is asked of them and nothing waits for them. What the others have is the same: files and
//! the cluster's configuration name every host of the cloud file.

use names::HostName;

use crate::Desired;

impl Desired {
    /// The cloud as it is planned for while `hosts` are not there.
    #[must_use]
    pub fn without(&self, hosts: &[HostName]) -> Self {
        let mut out = self.clone();
        if hosts.is_empty() {
            return out;
        }
        let apart = |host: &HostName| hosts.contains(host);
        out.hosts.retain(|host, _| !apart(host));
        out.nodes.retain(|(host, _)| !apart(host));
        for store in &mut out.stores {
            let away = store.members.iter().filter(|host| apart(host));
            store.away = away.cloned().collect();
            store.members.retain(|host| !apart(host));
        }
        for api in &mut out.apis {
            api.members.retain(|host| !apart(host));
        }
        for balanced in &mut out.balanced {
            balanced.members.retain(|host| !apart(host));
        }
        for script in &mut out.scripts {
            script.hosts.retain(|host| !apart(host));
        }
        for forget in &mut out.forget {
            forget.script.hosts.retain(|host| !apart(host));
        }
        for script in &mut out.left_alone {
            script.hosts.retain(|host| !apart(host));
        }
        out.balancers.retain(|host| !apart(host));
        out.sql_hosts.retain(|host| !apart(host));
        out.apart.extend(hosts.iter().cloned());
        out
    }

    /// The same where what only `hosts` hold is given up for good.
    #[must_use]
    pub fn given_up(&self, hosts: &[HostName]) -> Self {
        let mut out = self.without(hosts);
        for (store, whole) in out.stores.iter_mut().zip(&self.stores) {
            let lost = whole.members.iter().filter(|host| hosts.contains(host));
            store.lost = lost.cloned().collect();
            store.away.clear();
        }
        // Only where those that are left are no majority.
        let whole = self.left_alone.iter().map(|script| script.hosts.len());
        let left = std::mem::take(&mut out.left_alone).into_iter().zip(whole);
        out.left_alone = left
            .filter(|(script, whole)| 2 * script.hosts.len() <= *whole)
            .map(|(script, _)| script)
            .collect();
        out.lost = hosts.to_vec();
        out
    }
}
