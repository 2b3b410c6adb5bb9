//! Packages of the distribution: what is installed, installing what is not, and
//! taking up newer versions, with services kept from starting. Not for removing.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    io::{self, ErrorKind},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    time::Duration,
};

use wire::{Command, Fact, OpError};

use crate::{ops::Session, process, run, session::Progress};

/// The unit that installs; another session finds it and waits.
const UNIT: &str = "quorate-packages";

const ASK: Duration = Duration::from_secs(20);
const INSTALL_MS: u64 = 30 * 60 * 1000;

/// How apt changes packages here: nobody is asked, and files that somebody changed stay.
const APT: &[&str] = &[
    "-y",
    "-q",
    "-o",
    "Dpkg::Options::=--force-confold",
    "-o",
    "Dpkg::Use-Pty=0",
    // An unattended upgrade may have it for minutes after a boot.
    "-o",
    "DPkg::Lock::Timeout=300",
];

/// Debian's maintainer scripts ask this program before they start a service.
const POLICY: &str = "/usr/sbin/policy-rc.d";
/// An administrator's own one is kept here meanwhile.
const SAVED: &str = "/usr/sbin/policy-rc.d.quorate-saved";
/// By this a stale one of ours is known.
const MARKER: &str = "put here by quorate while it installs packages";

/// What undoes [`forbid_starts`], as the shell has it: systemd runs it when
/// the unit ends, so that it is done also when we are gone by then.
fn undo() -> String {
    format!(
        "if grep -qs '{MARKER}' {POLICY}; then rm -f {POLICY}; fi; if [ -e {SAVED} ]; then mv -f {SAVED} {POLICY}; fi"
    )
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Debian,
    RedHat,
}

impl Family {
    fn here() -> Option<Self> {
        let is = |path| Path::new(path).exists();
        if is("/usr/bin/dpkg-query") {
            Some(Self::Debian)
        } else {
            is("/usr/bin/rpm").then_some(Self::RedHat)
        }
    }
}

/// Looks at packages: the version of what is installed.
pub(crate) async fn facts(names: &[String]) -> BTreeMap<String, Fact<String>> {
    if names.is_empty() {
        return BTreeMap::new();
    }
    let all = |fact: &dyn Fn() -> Fact<String>| names.iter().map(|name| (name.clone(), fact())).collect();
    let Some(family) = Family::here() else {
        return all(&|| Fact::Unknown("neither dpkg-query nor rpm is here".to_owned()));
    };
    let mut argv = match family {
        Family::Debian => vec![
            "dpkg-query",
            "-W",
            "-f",
            "${Package}\\t${db:Status-Status}\\t${Version}\\n",
            "--",
        ],
        Family::RedHat => vec![
            "rpm",
            "-q",
            "--qf",
            "%{NAME}\\tinstalled\\t%{VERSION}-%{RELEASE}\\n",
            "--",
        ],
    };
    argv.extend(names.iter().map(String::as_str));
    match process::run(&argv, None, ASK).await {
        // 1: some are not known, the others are told.
        Ok(ran) if family == Family::RedHat || matches!(ran.status, 0 | 1) => {
            let installed = parse(&ran.stdout);
            names
                .iter()
                .map(|name| {
                    let plain = name.split(':').next().unwrap_or(name);
                    let fact = installed
                        .get(plain)
                        .map_or(Fact::Absent, |&version| Fact::Known(version.to_owned()));
                    (name.clone(), fact)
                })
                .collect()
        }
        Ok(ran) => all(&|| {
            Fact::Unknown(format!(
                "dpkg-query ended with status {}: {}",
                ran.status,
                ran.stderr.trim()
            ))
        }),
        Err(failure) => all(&|| Fact::Unknown(failure.to_string())),
    }
}

/// Name to version of what is wholly installed.
fn parse(output: &str) -> HashMap<&str, &str> {
    output
        .lines()
        .filter_map(|line| {
            let mut fields = line.split('\t');
            let (name, state, version) = (fields.next()?, fields.next()?, fields.next()?);
            (state == "installed").then_some((name, version))
        })
        .collect()
}

/// Installs what is missing; how many were.
pub(crate) async fn install(
    session: &Session,
    names: &[String],
    progress: &Progress,
) -> Result<u32, OpError> {
    let wanted = missing(names).await?;
    if wanted.is_empty() {
        return Ok(0);
    }
    // Another session's, that lost its operator: it may be after other packages.
    run::settle(session, UNIT, progress).await?;
    let family = Family::here().unwrap_or(Family::Debian);
    let mut cured = Vec::new();
    loop {
        // Asked anew each time: what ran before may have installed some.
        let left = missing(names).await?;
        if left.is_empty() {
            break;
        }
        progress.say(format!("installing {}", left.join(" ")));
        let error = match attempt(session, family, install_argv(family, &left), progress).await {
            Ok(()) => match missing(names).await?.as_slice() {
                [] => break,
                still => OpError::new(format!(
                    "cannot install {}: still missing afterwards",
                    still.join(" ")
                )),
            },
            Err(error) => error,
        };
        match cure(family, &error.tail) {
            Some((why, argv)) if !cured.contains(&why) => {
                progress.say(why);
                attempt(session, family, argv, progress).await?;
                cured.push(why);
            }
            _ => {
                return Err(OpError {
                    message: format!("cannot install {}: {}", left.join(" "), error.message),
                    ..error
                });
            }
        }
    }
    Ok(u32::try_from(wanted.len()).unwrap_or(u32::MAX))
}

/// Takes up what the sources have; how many packages are of another version now.
/// Files that somebody changed, and ours, stay as they are.
pub(crate) async fn upgrade(session: &Session, progress: &Progress) -> Result<u32, OpError> {
    run::settle(session, UNIT, progress).await?;
    let family = Family::here().unwrap_or(Family::Debian);
    let before = versions(family).await?;
    let all: Vec<Vec<&str>> = match family {
        Family::Debian => vec![
            vec!["apt-get", "update", "-q"],
            [&["apt-get", "upgrade"], APT].concat(),
        ],
        Family::RedHat => vec![vec!["dnf", "upgrade", "-y", "-q", "--refresh"]],
    };
    for argv in all {
        let argv: Vec<String> = argv.into_iter().map(str::to_owned).collect();
        progress.say(argv.join(" "));
        attempt(session, family, argv, progress).await?;
    }
    let after = versions(family).await?;
    Ok(u32::try_from(after.difference(&before).count()).unwrap_or(u32::MAX))
}

/// Every package with its version, a line each.
async fn versions(family: Family) -> Result<BTreeSet<String>, OpError> {
    let argv: &[&str] = match family {
        Family::Debian => &["dpkg-query", "-W"],
        Family::RedHat => &["rpm", "-qa"],
    };
    let ran = process::run(argv, None, ASK).await;
    let ran = ran.map_err(|why| OpError::new(format!("cannot list the packages: {why}")))?;
    Ok(ran.stdout.lines().map(str::to_owned).collect())
}

async fn missing(names: &[String]) -> Result<Vec<String>, OpError> {
    let mut missing = Vec::new();
    for (name, fact) in facts(names).await {
        match fact {
            Fact::Known(_) => {}
            Fact::Absent => missing.push(name),
            Fact::Unknown(why) => {
                return Err(OpError::new(format!(
                    "cannot tell whether {name} is installed: {why}"
                )));
            }
        }
    }
    Ok(missing)
}

fn install_argv(family: Family, names: &[String]) -> Vec<String> {
    let fixed = match family {
        Family::Debian => [&["apt-get", "install", "--no-install-recommends"], APT].concat(),
        Family::RedHat => vec!["dnf", "install", "-y", "-q", "--setopt=install_weak_deps=False"],
    };
    fixed
        .into_iter()
        .map(str::to_owned)
        .chain(names.iter().cloned())
        .collect()
}

/// What to do about a failure before trying again, by what was said.
fn cure(family: Family, tail: &[String]) -> Option<(&'static str, Vec<String>)> {
    let said = |part: &str| tail.iter().any(|line| line.contains(part));
    let argv = |parts: &[&str]| parts.iter().map(|&part| part.to_owned()).collect();
    if family != Family::Debian {
        return None;
    }
    if said("dpkg was interrupted") {
        return Some((
            "dpkg was interrupted before: finishing its work",
            argv(&["dpkg", "--configure", "-a", "--force-confold"]),
        ));
    }
    let stale = [
        "Unable to locate package",
        "no installation candidate",
        "Unable to fetch",
        "Failed to fetch",
        "404 ",
    ];
    if stale.iter().any(|part| said(part)) {
        return Some((
            "the package lists are stale: updating them",
            argv(&["apt-get", "update", "-q"]),
        ));
    }
    None
}

async fn attempt(
    session: &Session,
    family: Family,
    argv: Vec<String>,
    progress: &Progress,
) -> Result<(), OpError> {
    let command = Command {
        unit: UNIT.to_owned(),
        argv,
        user: String::new(),
        env: vec![("DEBIAN_FRONTEND".to_owned(), "noninteractive".to_owned())],
        stdin: None,
        cwd: String::new(),
        timeout_ms: INSTALL_MS,
    };
    if family == Family::RedHat {
        return run::run(session, &command, None, progress).await.map(|_| ());
    }
    let policy = |verb: &str, error: &io::Error| OpError::new(format!("cannot {verb} {POLICY}: {error}"));
    forbid_starts().map_err(|error| policy("write", &error))?;
    let ran = run::run(session, &command, Some(&undo()), progress).await;
    allow_starts().map_err(|error| policy("restore", &error))?;
    ran.map(|_| ())
}

fn forbid_starts() -> io::Result<()> {
    match fs::read_to_string(POLICY) {
        Ok(present) if present.contains(MARKER) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Ok(_) => fs::rename(POLICY, SAVED)?,
        Err(error) => return Err(error),
    }
    let beside = format!("{POLICY}.quorate-new");
    fs::write(&beside, format!("#!/bin/sh\n# {MARKER}\nexit 101\n"))?;
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o755))?;
    fs::rename(&beside, POLICY)
}

/// What the unit does at its end too; done twice it is no harm.
fn allow_starts() -> io::Result<()> {
    if fs::read_to_string(POLICY).is_ok_and(|text| text.contains(MARKER)) {
        fs::remove_file(POLICY)?;
    }
    match fs::rename(SAVED, POLICY) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_wholly_installed_counts() {
        let output = "bash\tinstalled\t5.2-1\nold\tconfig-files\t1\nhalf\thalf-configured\t2\n";
        assert_eq!(parse(output), HashMap::from([("bash", "5.2-1")]));
    }

    #[test]
    fn cures() {
        let cure_of = |line: &str| cure(Family::Debian, &[line.to_owned()]).map(|(_, argv)| argv[0].clone());
        let interrupted =
            "E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem.";
        assert_eq!(cure_of(interrupted).as_deref(), Some("dpkg"));
        assert_eq!(
            cure_of("E: Unable to locate package foo").as_deref(),
            Some("apt-get")
        );
        assert_eq!(
            cure_of("E: Sub-process /usr/bin/dpkg returned an error code (1)"),
            None
        );
    }

    #[tokio::test]
    async fn this_machine_has_its_own_packages() {
        if Family::here() != Some(Family::Debian) {
            return;
        }
        let facts = facts(&["dpkg".to_owned(), "no-such-package-here".to_owned()]).await;
        assert!(facts["dpkg"].known().is_some());
        assert!(facts["no-such-package-here"].is_absent());
    }
}
