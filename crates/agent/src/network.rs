//! Addresses and listening sockets, from the kernel's own tables. Not for
//! asking anything over the network (`query`).

use std::{
    collections::HashMap,
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use wire::{Address, Listener};

/// All addresses on all interfaces.
pub(crate) fn addresses() -> Vec<Address> {
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else {
        return Vec::new();
    };
    let mut found: Vec<Address> = interfaces
        .filter_map(|interface| {
            let address = ip(interface.address.as_ref()?)?;
            let prefix = interface
                .netmask
                .as_ref()
                .and_then(ip)
                .map_or(full(address), ones);
            Some(Address {
                interface: interface.interface_name,
                address: address.to_string(),
                prefix,
            })
        })
        .collect();
    found.sort();
    found.dedup();
    found
}

fn ip(storage: &nix::sys::socket::SockaddrStorage) -> Option<IpAddr> {
    let v4 = storage.as_sockaddr_in().map(|a| IpAddr::V4(a.ip()));
    v4.or_else(|| storage.as_sockaddr_in6().map(|a| IpAddr::V6(a.ip())))
}

fn ones(mask: IpAddr) -> u8 {
    let count = match mask {
        IpAddr::V4(mask) => mask.to_bits().count_ones(),
        IpAddr::V6(mask) => mask.to_bits().count_ones(),
    };
    u8::try_from(count).unwrap_or(u8::MAX)
}

fn full(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// All listening TCP sockets, with the process that has each.
pub(crate) fn listeners() -> Vec<Listener> {
    let mut sockets = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        sockets.extend(parse_tcp(&fs::read_to_string(table).unwrap_or_default()));
    }
    let owners = owners(sockets.iter().map(|socket| socket.inode).collect());
    let mut found: Vec<Listener> = sockets
        .into_iter()
        .map(|socket| Listener {
            address: socket.address.to_string(),
            port: socket.port,
            process: owners.get(&socket.inode).cloned().unwrap_or_default(),
        })
        .collect();
    found.sort();
    found.dedup();
    found
}

#[derive(Debug, PartialEq, Eq)]
struct Socket {
    address: IpAddr,
    port: u16,
    inode: u64,
}

/// The lines in state `LISTEN` of `/proc/net/tcp` or `tcp6` (proc(5)).
fn parse_tcp(table: &str) -> Vec<Socket> {
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
            if *state != "0A" {
                return None;
            }
            let (address, port) = local.split_once(':')?;
            Some(Socket {
                address: parse_address(address)?,
                port: u16::from_str_radix(port, 16).ok()?,
                inode: inode.parse().ok()?,
            })
        })
        .collect()
}

/// Words of 32 bits, each printed as the number it is in memory: what the
/// machine's byte order makes of network order.
fn parse_address(hex: &str) -> Option<IpAddr> {
    let mut bytes = Vec::with_capacity(16);
    for at in (0..hex.len()).step_by(8) {
        let word = u32::from_str_radix(hex.get(at..at + 8)?, 16).ok()?;
        bytes.extend(word.to_ne_bytes());
    }
    if let Ok(bytes) = <[u8; 4]>::try_from(bytes.as_slice()) {
        return Some(IpAddr::V4(Ipv4Addr::from(bytes)));
    }
    <[u8; 16]>::try_from(bytes.as_slice())
        .ok()
        .map(|bytes| IpAddr::V6(Ipv6Addr::from(bytes)))
}

/// `comm` of the first process, by number, that holds each socket: workers
/// share it with the one that made it. Stops when all are found.
fn owners(mut wanted: Vec<u64>) -> HashMap<u64, String> {
    let mut found = HashMap::new();
    wanted.sort_unstable();
    wanted.dedup();
    let Ok(processes) = fs::read_dir("/proc") else {
        return found;
    };
    let mut pids: Vec<u32> = processes
        .flatten()
        .filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse().ok()))
        .collect();
    pids.sort_unstable();
    for pid in pids {
        if found.len() == wanted.len() {
            break;
        }
        let Ok(open) = fs::read_dir(format!("/proc/{pid}/fd")) else {
            continue;
        };
        for entry in open.flatten() {
            let Ok(target) = fs::read_link(entry.path()) else {
                continue;
            };
            let inode = target
                .to_str()
                .and_then(|target| target.strip_prefix("socket:["))
                .and_then(|rest| rest.strip_suffix(']'))
                .and_then(|number| number.parse::<u64>().ok());
            let Some(inode) = inode else { continue };
            if wanted.binary_search(&inode).is_ok() && !found.contains_key(&inode) {
                let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
                found.insert(inode, comm.trim_end().to_owned());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0CEA 00000000:0000 0A 00000000:00000000 00:00000000 00000000   110        0 21539 1 0000000000000000 100 0 0 10 0
   1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 17001 1 0000000000000000 100 0 0 10 0
   2: 0B0012C6:0016 010012C6:D5B2 01 00000000:00000000 02:000A7D9F 00000000     0        0 30001 4 0000000000000000 20 4 30 10 -1
";
    const TCP6: &str = "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 17003 1 0000000000000000 100 0 0 10 0
   1: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 17009 1 0000000000000000 100 0 0 10 0
";

    #[test]
    #[cfg(target_endian = "little")]
    fn listening_sockets_only() {
        let seen: Vec<_> = parse_tcp(TCP).into_iter().chain(parse_tcp(TCP6)).collect();
        let text: Vec<_> = seen
            .iter()
            .map(|s| format!("{} {} {}", s.address, s.port, s.inode))
            .collect();
        assert_eq!(
            text,
            [
                "127.0.0.1 3306 21539",
                "0.0.0.0 22 17001",
                ":: 22 17003",
                "::1 8080 17009"
            ]
        );
    }

    #[test]
    fn our_own_listener_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = listeners();
        let ours = seen
            .iter()
            .find(|l| l.port == port && l.address == "127.0.0.1")
            .unwrap();
        assert!(!ours.process.is_empty());
    }

    #[test]
    fn loopback_has_its_address() {
        assert!(
            addresses()
                .iter()
                .any(|a| a.address == "127.0.0.1" && a.prefix == 8 && a.interface == "lo")
        );
    }
}
