//! Names of APIs: the host's own table first, then its resolver. Not for caching: a table
//! may change while the client runs.
//!
//! The resolver would ask a DNS server as well, for the kind of address that the table has
//! not, and waits for one that is not there.

use std::{
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs as _},
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Resolves by `/etc/hosts`, then by the C library.
pub(crate) struct HostsFirst;

impl Resolve for HostsFirst {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::task::spawn_blocking(move || look_up(name.as_str())).await;
            Ok(Box::new(found??.into_iter()) as Addrs)
        })
    }
}

fn look_up(name: &str) -> io::Result<Vec<SocketAddr>> {
    let table = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let listed = addresses(&table, name);
    if listed.is_empty() {
        // The port is the URL's.
        Ok((name, 0).to_socket_addrs()?.collect())
    } else {
        Ok(listed)
    }
}

fn addresses(table: &str, name: &str) -> Vec<SocketAddr> {
    let lines = table.lines().filter_map(|line| line.split('#').next());
    let listed = lines.filter_map(|line| {
        let mut words = line.split_whitespace();
        let address = words.next()?.parse::<IpAddr>().ok()?;
        let meant = words.any(|word| word.eq_ignore_ascii_case(name));
        meant.then(|| SocketAddr::new(address, 0))
    });
    listed.collect()
}

#[cfg(test)]
mod tests {
    use super::addresses;

    #[test]
    fn names_of_the_hosts_own_table() {
        let table =
            "127.0.0.1 localhost\n# 10.0.0.9 api\n10.0.0.1\tapi api.cloud # 10.0.0.2 other\nfd00::1 api\n";
        let check = |name: &str, expect: &[&str]| {
            let found = addresses(table, name);
            let found: Vec<String> = found.iter().map(|a| a.ip().to_string()).collect();
            assert_eq!(found, expect, "{name}");
        };
        check("API", &["10.0.0.1", "fd00::1"]);
        check("other", &[]);
        check("10.0.0.1", &[]);
    }
}
