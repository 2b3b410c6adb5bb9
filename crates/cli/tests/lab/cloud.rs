//! A story's own cloud: its folder, its lab, and the program run on them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use camino::Utf8PathBuf;
use serde_json::Value;
use tempfile::TempDir;
use vault::{ExposeSecret as _, Vault};

use crate::said::{Said, program, run, tell, until};

pub const HOSTS: [&str; 3] = ["c1", "c2", "c3"];

/// The name of a second network.
pub const SECOND: &str = "ring2";

fn last(host: &str) -> String {
    format!("1{}", host.trim_start_matches('c'))
}

/// Two networks, and the lab's own BMC: these prefixes may be anybody's, so that
/// a file that does not name it is refused.
fn two_networks(first: &str, second: &str) -> String {
    format!(
        "networks:\n  management: {{ cidr: \"{first}/64\" }}\n  {SECOND}: {{ cidr: \"{second}/64\", use: [corosync] }}\n\
         power:\n  agent: fence_redfish\n  options:\n    ip: \"[{first}1]\"\n    ipport: \"8443\"\n    username: quorate\n    \
         password: {{ secret: lab/bmc-password }}\n    systems_uri: \"/redfish/v1/Systems/{{host}}\"\n    \
         ssl: \"1\"\n    ssl_insecure: \"1\"\n"
    )
}

/// Taken down whatever becomes of the story.
pub struct Cloud {
    pub name: String,
    /// What the addresses in its first network begin with.
    first: String,
    /// The same of a second network with a link of its own, if there is one.
    second: Option<String>,
    dir: TempDir,
}

impl Drop for Cloud {
    fn drop(&mut self) {
        if let Err(error) = lab::down(&self.name) {
            eprintln!("{error}");
        }
    }
}

impl Cloud {
    /// A cloud of three in 198.18.`net`.0/24; left-overs of an earlier story go.
    pub fn new(name: &str, net: u8) -> Self {
        Self::within(name, format!("198.18.{net}."), None)
    }

    /// A cloud of three without an IPv4 address, in `first`/64 and `second`/64,
    /// each with a link; left-overs of an earlier story go.
    pub fn of_two_networks(name: &str, first: &str, second: &str) -> Self {
        Self::within(name, first.to_owned(), Some(second.to_owned()))
    }

    fn within(name: &str, first: String, second: Option<String>) -> Self {
        lab::down(name).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let cloud = Self {
            name: name.to_owned(),
            first,
            second,
            dir,
        };
        cloud.describe("");
        cloud
    }

    /// Writes the cloud file, with further lines.
    pub fn describe(&self, more: &str) {
        self.describe_services("[keystone]", more);
    }

    /// The same with other services.
    pub fn describe_services(&self, services: &str, more: &str) {
        self.describe_hosts(&HOSTS, services, more);
    }

    /// The same with other controllers.
    pub fn describe_hosts(&self, hosts: &[&str], services: &str, more: &str) {
        let lines = hosts.iter().map(|host| {
            let (address, last) = (self.address(host), last(host));
            let second = self.second.as_ref();
            let second = second
                .map(|start| format!(", addresses: {{ {SECOND}: \"{start}{last}\" }}"))
                .unwrap_or_default();
            format!("  {host}: {{ role: controller, address: \"{address}\"{second} }}\n")
        });
        let hosts: String = lines.collect();
        let (name, first) = (&self.name, &self.first);
        let second = self.second.iter();
        let networks: String = second.map(|second| two_networks(first, second)).collect();
        let text = format!(
            "cloud: {name}\nrelease: \"2025.1\"\nhosts:\n{hosts}\
             vips: {{ pool: \"{first}100-{first}119\" }}\nservices: {services}\n{networks}{more}"
        );
        fs_err::write(self.file(), text).unwrap();
    }

    /// `c1` ends in 11, and so on.
    pub fn address(&self, host: &str) -> String {
        format!("{}{}", self.first, last(host))
    }

    pub fn file(&self) -> PathBuf {
        self.dir.path().join("cloud.yaml")
    }

    pub fn state(&self) -> Utf8PathBuf {
        let state = self.dir.path().join(".quorate").join(&self.name);
        Utf8PathBuf::from_path_buf(state).unwrap()
    }

    /// The program with these words and the cloud file.
    pub fn say(&self, words: &[&str]) -> Said {
        let file = self.file();
        let mut words: Vec<&str> = words.to_vec();
        words.push(file.to_str().unwrap());
        run(program(), &words)
    }

    /// `quorate lab VERB NAME WORDS…`.
    pub fn lab(&self, verb: &str, words: &[&str]) -> Said {
        let all: Vec<&str> = ["lab", verb, &self.name]
            .into_iter()
            .chain(words.iter().copied())
            .collect();
        run(program(), &all)
    }

    /// Files of those that the cloud is rendered to.
    pub fn rendered<const N: usize>(&self, names: [&str; N]) -> [String; N] {
        let to = tempfile::tempdir().unwrap();
        let to = to.path().join("rendered");
        self.say(&["render", "--to", to.to_str().unwrap()]).good();
        names.map(|name| fs_err::read_to_string(to.join(name)).unwrap())
    }

    pub fn up(&self) {
        self.up_with(&[]);
    }

    /// With further words.
    pub fn up_with(&self, words: &[&str]) {
        let words = [&["lab", "up"], words].concat();
        let said = self.say(&words).good();
        tell(&format!("{}: up in {:.1} s", self.name, said.took.as_secs_f64()));
    }

    pub fn down(&self) {
        self.lab("down", &[]).good();
        assert_eq!(lab::residue(&self.name).unwrap(), Vec::<String>::new());
    }

    /// A shell script on a host, past its network.
    pub fn shell(&self, host: &str, script: &str) -> Said {
        self.lab("shell", &[host, "sh", "-c", script])
    }

    /// A program of ours in the background; its words go to a file.
    pub fn spawn(&self, words: &[&str], log: &str) -> Child {
        let log = fs_err::File::create(self.dir.path().join(log)).unwrap();
        Command::new(program())
            .args(words)
            .arg(self.file())
            .stdin(Stdio::null())
            .stdout(log.file().try_clone().unwrap())
            .stderr(log.into_file())
            .spawn()
            .unwrap()
    }

    /// What a program in the background said so far.
    pub fn log(&self, log: &str) -> String {
        fs_err::read_to_string(self.dir.path().join(log)).unwrap()
    }

    pub fn apply(&self) -> Said {
        let said = self.say(&["apply", "--yes"]).good();
        tell(&format!("{}: {}", self.name, said.out.trim()));
        said
    }

    pub fn status(&self) -> Result<Value, String> {
        let said = self.say(&["status", "--output", "json"]);
        serde_json::from_str(&said.out).map_err(|_| said.to_string())
    }

    /// Waits for the verdict, which nobody helps along.
    #[track_caller]
    pub fn until_redundant(&self, limit: Duration) {
        let mut last = Value::Null;
        until("the verdict `redundant`", limit, || {
            // A long wait tells for what it waited.
            self.redundant_or(|status| {
                if status["reason"] != last {
                    tell(&format!("{}: {}", status["verdict"], status["reason"]));
                    last = status["reason"].clone();
                }
            })
        });
    }

    /// Waits until the status tells this state of a member; gives the status.
    #[track_caller]
    pub fn until_member(&self, host: &str, state: &str, limit: Duration) -> Value {
        until(&format!("{host} to be {state}"), limit, || {
            let status = self.status()?;
            let mut members = status["members"].as_array().into_iter().flatten();
            match members.find(|m| m["host"] == host) {
                Some(member) if member["state"] == state => Ok(status),
                _ => Err(format!("{status:#}")),
            }
        })
    }

    /// Waits until a host's partition has no quorum by its own account.
    #[track_caller]
    pub fn until_without_quorum(&self, host: &str, limit: Duration) {
        until(&format!("{host} to have no quorum"), limit, || {
            let said = self.shell(host, "corosync-quorumtool -s");
            if said.all().contains("Activity blocked") {
                Ok(())
            } else {
                Err(said.to_string())
            }
        });
    }

    pub fn redundant(&self) -> Result<(), String> {
        self.redundant_or(|_| {})
    }

    /// The same; a status with another verdict is looked at.
    fn redundant_or(&self, look: impl FnOnce(&Value)) -> Result<(), String> {
        let status = self.status()?;
        if status["verdict"] == "redundant" {
            return Ok(());
        }
        look(&status);
        Err(format!("{status:#}"))
    }

    /// The virtual address of a service.
    pub fn vip(&self, service: &str) -> String {
        let status = self.status().unwrap();
        let vips = status["vips"].as_array().unwrap();
        let vip = vips.iter().find(|v| v["service"] == service);
        let Some(address) = vip.and_then(|v| v["address"].as_str()) else {
            panic!("no address of {service} in {status:#}");
        };
        address.to_owned()
    }

    /// The same as it stands in a URL.
    pub fn url(&self, service: &str, port: u16) -> String {
        SocketAddr::new(self.vip(service).parse().unwrap(), port).to_string()
    }

    pub fn vault(&self) -> Vault {
        let state = self.state();
        Vault::open(&state.join("vault.age"), &vault::identities(&state)).unwrap()
    }

    pub fn secret(&self, name: &str) -> String {
        let vault = self.vault();
        let Some(secret) = vault.get(name) else {
            panic!("no {name}, but: {}", vault.names().collect::<Vec<_>>().join(" "));
        };
        secret.expose_secret().to_owned()
    }

    /// Takes the hosts' records of their boots away.
    pub fn forget_boots(&self) {
        for host in HOSTS {
            self.shell(host, "rm -f /var/lib/quorate/boots && sync").good();
        }
    }
}
