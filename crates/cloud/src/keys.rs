//! Every key of the cloud file: its name, what it says, the shape of its value.
//!
//! One table. The reader takes the keys that it knows from here, and the JSON
//! Schema is made of it (in `model`, which knows the services). It judges
//! nothing: whether an address is one is the reader's matter.

use crate::types::{Architecture, Distribution, NetworkUse, Profile, Role};
use names::NetworkName;

/// A key of a map.
#[derive(Debug)]
pub struct Key {
    /// As written in the file.
    pub name: &'static str,
    /// What an operator may want to know: shown by editors.
    pub says: &'static str,
    /// What stands behind it.
    pub shape: Shape,
}

/// A map of known keys.
#[derive(Debug)]
pub struct Map {
    /// All that it may have.
    pub keys: &'static [Key],
    /// Those that it must have.
    pub required: &'static [&'static str],
    /// Of these exactly one must be there; empty: no such choice.
    pub one_of: &'static [&'static str],
}

/// Words with what each says.
pub type Words = fn() -> Vec<(&'static str, &'static str)>;

/// What a name is of.
#[derive(Clone, Copy, Debug)]
pub enum Named {
    /// The cloud.
    Cloud,
    /// A host.
    Host,
    /// A network.
    Network,
    /// Whatever the agent takes.
    Option,
}

/// The shape of a value.
#[derive(Debug)]
pub enum Shape {
    /// Text; numbers and truth values are taken as written.
    Text,
    /// A name that is made here.
    Name(Named),
    /// An IP address.
    Address,
    /// A network in CIDR notation.
    Cidr,
    /// `FIRST-LAST`.
    Pool,
    /// A whole number from the first to the second.
    Whole(i64, i64),
    /// One of a few words.
    Word(Words),
    /// A release of the catalogue.
    Release,
    /// A service of the catalogue.
    Service,
    /// Service: its settings, as the catalogue has them.
    Settings,
    /// File: section: key, as the catalogue has them.
    Config,
    /// A file that the catalogue has as sections and keys.
    File,
    /// An address by service.
    Pins,
    /// Known keys.
    Map(&'static Map),
    /// Keys that the operator names, all of one shape; the one that must be there.
    By(Named, Option<&'static str>, &'static Shape),
    /// Several.
    List(&'static Shape),
    /// One or several.
    OneOrMore(&'static Shape),
    /// One of several shapes.
    Either(&'static [Shape]),
}

/// A day in seconds: who waits longer does not want it at all.
pub(crate) const DAY: i64 = 86_400;

/// A year in days: what is rarer is not done by a timer.
pub(crate) const YEAR: i64 = 366;

const fn key(name: &'static str, says: &'static str, shape: Shape) -> Key {
    Key { name, says, shape }
}

const fn map(keys: &'static [Key]) -> Map {
    Map {
        keys,
        required: &[],
        one_of: &[],
    }
}

/// The whole file.
pub const CLOUD: Map = Map {
    required: &["cloud", "release", "hosts", "vips", "services"],
    ..map(&[
        key(
            "cloud",
            "The cloud's name: it stands in the names of the cluster, its certificates and its lab. At most 15 \
             lower-case letters, digits and dashes.",
            Shape::Name(Named::Cloud),
        ),
        key(
            "release",
            "The OpenStack release, in quotes: without them YAML reads a number.",
            Shape::Release,
        ),
        key(
            "architecture",
            "Who runs the services. Default: `full`.",
            Shape::Word(|| Architecture::SAYS.to_vec()),
        ),
        key(
            "distribution",
            "The hosts' operating system: packages, paths and units follow from it. Default: `debian-13`.",
            Shape::Word(|| Distribution::SAYS.to_vec()),
        ),
        key(
            "profile",
            "How soon a silent host is held dead. Default: `steady`.",
            Shape::Word(|| Profile::SAYS.to_vec()),
        ),
        key(
            "region",
            "The region's name in the service catalogue. Default: `RegionOne`.",
            Shape::Text,
        ),
        key(
            "hosts",
            "The hosts by their short names, as `hostname` says them there.",
            Shape::By(Named::Host, None, &Shape::Map(&HOST)),
        ),
        key(
            "networks",
            "The networks by name; `management` holds each host's `address`. Default: the /24 (or /64) around the \
             first host.",
            Shape::By(
                Named::Network,
                Some(NetworkName::MANAGEMENT),
                &Shape::Map(&NETWORK),
            ),
        ),
        key(
            "vips",
            "The virtual addresses, by which clients reach the services: free addresses of the management network.",
            Shape::Map(&VIPS),
        ),
        key(
            "services",
            "The services of OpenStack. What every cloud needs (time, cluster, balancer, database, broker, cache) \
             comes by itself.",
            Shape::List(&Shape::Service),
        ),
        key(
            "power",
            "How the power of a silent host is cut. Several are levels: the next is tried when one fails.",
            Shape::OneOrMore(&Shape::Map(&POWER)),
        ),
        key(
            "fencing",
            "Only to say that no host's power can be cut, and why that is accepted.",
            Shape::Map(&FENCING),
        ),
        key(
            "ssh",
            "How the hosts are reached: by your own `ssh`, with its configuration, keys and jump hosts.",
            Shape::Map(&SSH),
        ),
        key(
            "time",
            "Time servers outside, best four: of two nobody knows which one is wrong. Without any the hosts keep each \
             other together.",
            Shape::Map(&TIME),
        ),
        key(
            "timeouts",
            "How long is waited, in seconds. `home-after`: how long all must have been whole before a virtual address \
             is moved back to its home.",
            Shape::Map(&TIMEOUTS),
        ),
        key(
            "upkeep",
            "What `quorate upkeep` does when it is due; run it by a timer.",
            Shape::Map(&UPKEEP),
        ),
        key(
            "settings",
            "Settings of each service: what the catalogue offers to be set.",
            Shape::Settings,
        ),
        key(
            "config",
            "Keys of configuration files, by file, section and key, over what is written without them. Without a \
             value a key is left out of the file. Keys on which high availability rests are refused.",
            Shape::Config,
        ),
        key(
            "cures",
            "Changes of files that packages brought, for what is known to be wrong in them; `quorate check` names those \
             of this release. What is taken out of the list is undone.",
            Shape::OneOrMore(&Shape::Text),
        ),
        key(
            "shared-files",
            "Configuration files that you write in too: quorate sets its keys in them and touches nothing else. \
             Without this a file is written whole.",
            Shape::OneOrMore(&Shape::File),
        ),
    ])
};

/// A host.
pub const HOST: Map = Map {
    required: &["role", "address"],
    ..map(&[
        key(
            "role",
            "What it is for. An odd number of controllers votes.",
            Shape::OneOrMore(&Shape::Word(roles)),
        ),
        key(
            "address",
            "Its address in the management network.",
            Shape::Address,
        ),
        key(
            "addresses",
            "Its addresses in further networks.",
            Shape::By(Named::Network, None, &Shape::Address),
        ),
        key(
            "domain",
            "What it fails together with: no place should hold half of the votes.",
            Shape::Map(&DOMAIN),
        ),
        key(
            "power",
            "How this host's power is cut, in place of the cloud's `power`.",
            Shape::OneOrMore(&Shape::Map(&HOST_POWER)),
        ),
        key(
            "away",
            "Why it is not there for now: the cloud is changed without it meanwhile.",
            Shape::Text,
        ),
        key(
            "ssh",
            "How this host is reached, where it is not as for all.",
            Shape::Map(&HOST_SSH),
        ),
    ])
};

const USER: Key = key(
    "user",
    "root, or a user with `sudo` without a password. Default: `root`.",
    Shape::Text,
);
const PORT: Key = key(
    "port",
    "The SSH server's port. Default: 22.",
    Shape::Whole(1, 65535),
);

/// `ssh` of a host.
pub const HOST_SSH: Map = map(&[
    USER,
    PORT,
    key(
        "address",
        "A name or address to connect to. Default: the management address.",
        Shape::Text,
    ),
]);

/// `ssh` of the cloud.
pub const SSH: Map = map(&[
    USER,
    PORT,
    key(
        "config",
        "An ssh_config used instead of yours, relative to this file.",
        Shape::Text,
    ),
]);

/// `domain` of a host. Its keys are the words of [`Domain`]; a test compares.
pub const DOMAIN: Map = map(&[
    key("rack", "The rack that it stands in.", Shape::Text),
    key("switch", "The network switch that it hangs on.", Shape::Text),
    key("feed", "The power feed that it lives on.", Shape::Text),
]);

/// A network.
pub const NETWORK: Map = Map {
    required: &["cidr"],
    ..map(&[
        key("cidr", "Its range, such as `198.51.100.0/24`.", Shape::Cidr),
        key(
            "use",
            "What it carries besides.",
            Shape::OneOrMore(&Shape::Word(|| NetworkUse::SAYS.to_vec())),
        ),
    ])
};

/// `vips`.
pub const VIPS: Map = Map {
    one_of: &["pool", "shared"],
    ..map(&[
        key(
            "pool",
            "`FIRST-LAST`: each service has an address of its own, spread evenly over the balancers.",
            Shape::Pool,
        ),
        key("shared", "One address for all services.", Shape::Address),
        key("pins", "Services with an address of your choice.", Shape::Pins),
    ])
};

const AGENT: Key = key(
    "agent",
    "A stock fence agent, such as `fence_ipmilan` or `fence_redfish`.",
    Shape::Text,
);
const OPTIONS: Key = key(
    "options",
    "The agent's options. `{host}` and `{address}` are filled in for each host.",
    Shape::By(
        Named::Option,
        None,
        &Shape::Either(&[Shape::Text, Shape::Map(&OPTION)]),
    ),
);

const TOGETHER: Key = key(
    "together",
    "Devices that act together, such as two outlets that feed one host: it is dead when all of them succeeded.",
    Shape::List(&Shape::Map(&DEVICE)),
);

/// A device of several that act together.
pub const DEVICE: Map = Map {
    required: &["agent"],
    ..map(&[AGENT, OPTIONS])
};

/// A level of a host's `power`.
pub const HOST_POWER: Map = Map {
    one_of: &["agent", "together"],
    ..map(&[AGENT, OPTIONS, TOGETHER])
};

/// A level of the cloud's `power`.
pub const POWER: Map = Map {
    one_of: &["agent", "together"],
    ..map(&[
        AGENT,
        OPTIONS,
        TOGETHER,
        key(
            "hosts",
            "The hosts that it switches. Default: all.",
            Shape::OneOrMore(&Shape::Text),
        ),
    ])
};

/// An option of a fence agent that is not told in this file.
pub const OPTION: Map = Map {
    one_of: &["file", "secret"],
    ..map(&[
        key(
            "file",
            "A file whose content is the value, relative to this file: it is read into the vault.",
            Shape::Text,
        ),
        key("secret", "The name of a secret of the vault.", Shape::Text),
    ])
};

/// `fencing`.
pub const FENCING: Map = Map {
    required: &["none"],
    ..map(&[key(
        "none",
        "Why nothing is fenced. `status` repeats it; what may exist only once will not be taken over.",
        Shape::Text,
    )])
};

/// `time`.
pub const TIME: Map = map(&[key(
    "servers",
    "Their names or addresses.",
    Shape::OneOrMore(&Shape::Text),
)]);

/// `timeouts`.
pub const TIMEOUTS: Map = map(&[key(
    "home-after",
    "Seconds in which all must have been whole before a virtual address is moved back to its home. Default: 300.",
    Shape::Whole(0, DAY),
)]);

/// `upkeep`.
pub const UPKEEP: Map = map(&[
    key(
        "keys-every",
        "Days after which rings of keys, such as those of tokens, are turned. Default: 7.",
        Shape::Whole(1, YEAR),
    ),
    key("backup", "Which backups are made and kept.", Shape::Map(&BACKUP)),
]);

/// `backup` of `upkeep`.
pub const BACKUP: Map = map(&[
    key(
        "every",
        "Days from one backup to the next. Default: 1.",
        Shape::Whole(1, YEAR),
    ),
    key(
        "keep",
        "How many backups are kept. Default: 14.",
        Shape::Whole(1, 1000),
    ),
    key(
        "to",
        "Where they lie: a folder, relative to this file, or `s3://BUCKET/PREFIX`. Default: beside the vault.",
        Shape::Text,
    ),
]);

fn roles() -> Vec<(&'static str, &'static str)> {
    let all = "Database, messaging, cache, balancer, api and network in one.";
    let mut words = vec![("controller", all)];
    words.extend(Role::SAYS);
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Domain;

    /// The reader asks for the words of `Domain`, not for these.
    #[test]
    fn the_keys_of_a_domain_are_its_words() {
        let keys: Vec<&str> = DOMAIN.keys.iter().map(|k| k.name).collect();
        let words: Vec<&str> = Domain::WORDS.iter().map(|(w, _)| *w).collect();
        assert_eq!(keys, words);
    }
}
