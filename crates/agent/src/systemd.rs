//! systemd over the system bus: the few methods and properties that are used,
//! and waiting for a job. Not for what to do with units (`units`, `run`).

use std::{collections::HashMap, fmt, time::Duration};

use futures::StreamExt as _;
use wire::OpError;
use zbus::{Connection, ObjectPath, OwnedObjectPath, OwnedVariant, Variant};

use crate::{process, session::Progress};

const SERVICE: &str = "org.freedesktop.systemd1";
const UNIT: &str = "org.freedesktop.systemd1.Unit";
const UNIT_SERVICE: &str = "org.freedesktop.systemd1.Service";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// How often a job is looked at even though no signal came: signals are lost
/// when the manager re-executes itself.
const LOOK: Duration = Duration::from_secs(5);

/// Name, description, load state, active state, sub state, whom it follows,
/// path, and its job's number, type and path.
type Listed = (
    String,
    String,
    String,
    String,
    String,
    String,
    OwnedObjectPath,
    u32,
    String,
    OwnedObjectPath,
);

/// Symlinks that were changed: kind, link, target.
type Changes = Vec<(String, String, String)>;

#[zbus::proxy(
    interface = "org.freedesktop.systemd1.Manager",
    default_service = "org.freedesktop.systemd1",
    default_path = "/org/freedesktop/systemd1"
)]
pub(crate) trait Manager {
    fn subscribe(&self) -> zbus::Result<()>;
    fn reload(&self) -> zbus::Result<()>;
    fn list_units_by_patterns(&self, states: &[&str], patterns: &[&str]) -> zbus::Result<Vec<Listed>>;
    fn list_units_by_names(&self, names: &[&str]) -> zbus::Result<Vec<Listed>>;
    fn load_unit(&self, name: &str) -> zbus::Result<OwnedObjectPath>;
    fn get_unit_file_state(&self, file: &str) -> zbus::Result<String>;
    fn start_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    fn stop_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    fn restart_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    fn reload_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    fn reset_failed_unit(&self, name: &str) -> zbus::Result<()>;
    fn mask_unit_files(&self, files: &[&str], runtime: bool, force: bool) -> zbus::Result<Changes>;
    fn unmask_unit_files(&self, files: &[&str], runtime: bool) -> zbus::Result<Changes>;
    fn enable_unit_files(&self, files: &[&str], runtime: bool, force: bool) -> zbus::Result<(bool, Changes)>;
    fn disable_unit_files(&self, files: &[&str], runtime: bool) -> zbus::Result<Changes>;
    fn start_transient_unit(
        &self,
        name: &str,
        mode: &str,
        properties: &[(&str, Variant<'_>)],
        auxiliary: &[(&str, Vec<(&str, Variant<'_>)>)],
    ) -> zbus::Result<OwnedObjectPath>;

    #[zbus(signal)]
    fn job_removed(&self, id: u32, job: ObjectPath<'_>, unit: &str, result: &str) -> zbus::Result<()>;
}

/// What can be asked of a unit in one job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Start,
    Stop,
    Restart,
    Reload,
}

impl Verb {
    /// The word for messages.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Reload => "reload",
        }
    }
}

/// All properties of a unit of one interface.
pub(crate) struct Properties(HashMap<String, OwnedVariant>);

impl Properties {
    /// A text; empty where there is none.
    pub(crate) fn text(&self, name: &str) -> String {
        match self.0.get(name).map(|value| &**value) {
            Some(Variant::Str(text)) => text.to_string(),
            _ => String::new(),
        }
    }

    /// A small number (an exit status); zero where there is none.
    pub(crate) fn number(&self, name: &str) -> i32 {
        match self.0.get(name).map(|value| &**value) {
            Some(Variant::I32(number)) => *number,
            _ => 0,
        }
    }

    /// Whether it is so.
    pub(crate) fn is(&self, name: &str) -> bool {
        matches!(self.0.get(name).map(|value| &**value), Some(Variant::Bool(true)))
    }
}

/// The connection, with job signals subscribed to.
pub(crate) struct Systemd {
    bus: Connection,
    /// The manager's methods.
    pub(crate) manager: ManagerProxy<'static>,
}

impl Systemd {
    /// Connects to the system bus.
    pub(crate) async fn connect() -> Result<Self, OpError> {
        let attempt = async {
            let bus = Connection::system().await?;
            let manager = ManagerProxy::new(&bus).await?;
            manager.subscribe().await?;
            Ok(Self { bus, manager })
        };
        attempt
            .await
            .map_err(|error| OpError::new(format!("cannot talk to systemd: {}", Why(&error))))
    }

    /// The connection itself, for signals of one object.
    pub(crate) fn bus(&self) -> &Connection {
        &self.bus
    }

    /// What is common to all units. Loads the unit.
    pub(crate) async fn unit(&self, name: &str) -> zbus::Result<Properties> {
        self.properties(&unit_path(name), UNIT).await
    }

    /// What only services have.
    pub(crate) async fn service(&self, name: &str) -> zbus::Result<Properties> {
        self.properties(&unit_path(name), UNIT_SERVICE).await
    }

    /// Load and active state of each unit, in the order asked: one call for
    /// all, ten times as quick as all properties of each.
    pub(crate) async fn list(&self, names: &[&str]) -> zbus::Result<Vec<(String, String)>> {
        let listed = self.manager.list_units_by_names(names).await?;
        Ok(listed.into_iter().map(|unit| (unit.2, unit.3)).collect())
    }

    /// Names of the units in one of these active states that a pattern matches.
    pub(crate) async fn named_like(&self, states: &[&str], pattern: &str) -> zbus::Result<Vec<String>> {
        let listed = self.manager.list_units_by_patterns(states, &[pattern]).await?;
        Ok(listed.into_iter().map(|unit| unit.0).collect())
    }

    /// One property of what is common to all units.
    pub(crate) async fn unit_property<T: TryFrom<OwnedVariant>>(
        &self,
        name: &str,
        property: &str,
    ) -> zbus::Result<T> {
        self.property(name, UNIT, property).await
    }

    /// One property of a service.
    pub(crate) async fn service_property<T: TryFrom<OwnedVariant>>(
        &self,
        name: &str,
        property: &str,
    ) -> zbus::Result<T> {
        self.property(name, UNIT_SERVICE, property).await
    }

    async fn property<T: TryFrom<OwnedVariant>>(
        &self,
        name: &str,
        interface: &str,
        property: &str,
    ) -> zbus::Result<T> {
        let path = unit_path(name);
        let reply = self
            .bus
            .call_method(
                Some(SERVICE),
                path.as_str(),
                Some(PROPERTIES),
                "Get",
                &(interface, property),
            )
            .await?;
        let value: OwnedVariant = reply.body().deserialize()?;
        T::try_from(value).map_err(|_| zbus::Error::IncorrectType)
    }

    async fn properties(&self, path: &str, interface: &str) -> zbus::Result<Properties> {
        let reply = self
            .bus
            .call_method(Some(SERVICE), path, Some(PROPERTIES), "GetAll", &(interface,))
            .await?;
        Ok(Properties(reply.body().deserialize()?))
    }

    /// Calls a method of a unit that takes and gives nothing (`Ref`, `Unref`).
    pub(crate) async fn unit_call(&self, name: &str, method: &str) -> zbus::Result<()> {
        self.bus
            .call_method(Some(SERVICE), unit_path(name).as_str(), Some(UNIT), method, &())
            .await?;
        Ok(())
    }

    /// Does one job and waits for its end.
    pub(crate) async fn job(&self, unit: &str, verb: Verb, progress: &Progress) -> Result<(), OpError> {
        let manager = &self.manager;
        let started = async {
            match verb {
                Verb::Start => manager.start_unit(unit, "replace").await,
                Verb::Stop => manager.stop_unit(unit, "replace").await,
                Verb::Restart => manager.restart_unit(unit, "replace").await,
                Verb::Reload => manager.reload_unit(unit, "replace").await,
            }
        };
        let result = self
            .await_job(started, || {
                progress.say(format!("waiting for {unit} to {}", verb.word()));
            })
            .await
            .map_err(|error| OpError::new(format!("cannot {} {unit}: {}", verb.word(), Why(&error))))?;
        if result == "done" {
            return Ok(());
        }
        let tail = journal(unit).await;
        Err(OpError {
            tail,
            command: Some(format!("systemctl {} {unit}", verb.word())),
            ..OpError::new(format!(
                "cannot {} {unit}: {}",
                verb.word(),
                self.why_not(unit, &result).await
            ))
        })
    }

    /// Waits for the end of the job that `start` makes; its result in
    /// systemd's word. `still` is called every few seconds.
    pub(crate) async fn await_job(
        &self,
        start: impl Future<Output = zbus::Result<OwnedObjectPath>>,
        still: impl Fn(),
    ) -> zbus::Result<String> {
        // Before the job is made, else its end can be missed.
        let mut removed = self.manager.receive_job_removed().await?;
        let job = start.await?;
        loop {
            match tokio::time::timeout(LOOK, removed.next()).await {
                Ok(Some(signal)) => {
                    let told = signal.args()?;
                    if told.job.as_str() == job.as_str() {
                        return Ok(told.result.to_owned());
                    }
                }
                Ok(None) => return Err(zbus::Error::InvalidReply),
                Err(_) => {
                    still();
                    let there = self
                        .properties(job.as_str(), "org.freedesktop.systemd1.Job")
                        .await;
                    if there.is_err() {
                        return Ok("done".to_owned());
                    }
                }
            }
        }
    }

    /// What a job's result means, with the state the unit is in.
    async fn why_not(&self, unit: &str, result: &str) -> String {
        let state = match self.unit(unit).await {
            Ok(properties) => format!(
                "{} ({})",
                properties.text("ActiveState"),
                properties.text("SubState")
            ),
            Err(_) => "in an unknown state".to_owned(),
        };
        match result {
            "dependency" => format!("something it needs did not start; it is {state}"),
            "timeout" => format!("it took too long; it is {state}"),
            "canceled" => format!("another job took its place; it is {state}"),
            other => format!("the job ended as {other}; it is {state}"),
        }
    }
}

/// A unit's last lines in the journal.
pub(crate) async fn journal(unit: &str) -> Vec<String> {
    let argv = [
        "journalctl",
        "-u",
        unit,
        "-n",
        "20",
        "-o",
        "cat",
        "--no-pager",
        "-q",
    ];
    match process::run(&argv, None, Duration::from_secs(10)).await {
        Ok(ran) => process::tail(&ran.stdout),
        Err(_) => Vec::new(),
    }
}

/// Where a unit is on the bus: what is no letter and no digit, and a digit at
/// the start, is written as `_` and two hexadecimal digits (sd_bus_path_encode(3)).
fn unit_path(name: &str) -> String {
    use fmt::Write as _;
    let mut path = "/org/freedesktop/systemd1/unit/".to_owned();
    for (at, byte) in name.bytes().enumerate() {
        if byte.is_ascii_alphabetic() || (at > 0 && byte.is_ascii_digit()) {
            path.push(char::from(byte));
        } else {
            let _ = write!(path, "_{byte:02x}");
        }
    }
    path
}

/// An error of the bus in the other side's words alone.
pub(crate) struct Why<'a>(pub(crate) &'a zbus::Error);

impl fmt::Display for Why<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            zbus::Error::MethodError(_, Some(text), _) => f.write_str(text.trim_end_matches('.')),
            other => write!(f, "{other}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_units() {
        assert_eq!(
            unit_path("ssh.service"),
            "/org/freedesktop/systemd1/unit/ssh_2eservice"
        );
        assert_eq!(
            unit_path("9p@a-b_c.mount"),
            "/org/freedesktop/systemd1/unit/_39p_40a_2db_5fc_2emount"
        );
    }
}
