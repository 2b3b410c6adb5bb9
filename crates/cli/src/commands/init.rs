//! `quorate init`: a cloud file to begin with, from flags or from a few answers.
//!
//! It never writes over a file, and never writes a file that `check` refuses.

use std::io::{BufRead, ErrorKind, IsTerminal as _, Write as _};
use std::process::ExitCode;

use camino::{Utf8Path, Utf8PathBuf};
use catalog::Catalog;
use diagnostic::{Diagnostic, Source};
use model::{Wanted, Wish};

use crate::args::InitArgs;
use crate::failure::Failure;
use crate::project::{catalog, draw, judge};
use crate::say;

/// Beside the cloud file: what editors complete and explain it with.
const SCHEMA: &str = ".quorate/cloud.schema.json";

/// Who is asked; `None`: nobody is there.
type Asks<'a> = Option<&'a mut dyn BufRead>;

/// Runs it.
pub fn run(args: &InitArgs, overlays: &[Utf8PathBuf]) -> Result<ExitCode, Failure> {
    let print = args.file == "-";
    if !print && args.file.exists() {
        return Err(there_already(&args.file));
    }
    let (catalog, _) = catalog(overlays)?;
    let stdin = std::io::stdin();
    let mut lock = stdin.lock();
    let mut terminal: Asks<'_> = stdin.is_terminal().then_some(&mut lock as &mut dyn BufRead);
    let wanted = asked(args, &catalog, &mut terminal)?;
    let mut text = model::draft(&wanted, &catalog);
    let source = Source::new(args.file.as_str(), text.clone());
    let (good, findings) = judge(&source, &catalog);
    if !findings.is_empty() {
        say::drawn(&draw(&findings));
    }
    if good.is_none() || findings.iter().any(Diagnostic::is_error) {
        return Err(Failure::Input("nothing was written".to_owned()));
    }
    if print {
        say::out!("{text}");
        return Ok(ExitCode::SUCCESS);
    }
    text.insert_str(0, &format!("# yaml-language-server: $schema={SCHEMA}\n"));
    write(&args.file, &text)?;
    let folder = args.file.parent().filter(|p| !p.as_str().is_empty());
    let schema = folder.unwrap_or(Utf8Path::new(".")).join(SCHEMA);
    if let Some(folder) = schema.parent() {
        fs_err::create_dir_all(folder)?;
    }
    fs_err::write(&schema, super::schema::text(overlays)? + "\n")?;
    say::outln!(
        "{}: written; read it, then: quorate plan {}",
        args.file,
        args.file
    );
    Ok(ExitCode::SUCCESS)
}

fn there_already(file: &Utf8Path) -> Failure {
    Failure::Input(format!(
        "error: `{file}` is there already\n\nhint: name another file, or move this one away; `quorate init -` prints"
    ))
}

/// Made, never replaced: also if somebody made it in the meantime.
fn write(file: &Utf8Path, text: &str) -> Result<(), Failure> {
    let made = fs_err::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(file.as_std_path());
    match made {
        Ok(mut made) => Ok(made.write_all(text.as_bytes())?),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(there_already(file)),
        Err(error) => Err(error.into()),
    }
}

/// What the flags say; on a terminal the rest is asked for.
fn asked(args: &InitArgs, catalog: &Catalog, from: &mut Asks<'_>) -> Result<Wanted, Failure> {
    // Of those for the distribution that a file without a word about it means.
    let usual = cloud::Distribution::Debian13;
    let here = catalog.releases.values();
    let here = here.filter(|r| r.packages.contains_key(usual.as_str()));
    let newest = here.map(|r| r.name.clone()).max().unwrap_or_default();
    let release = args.release.clone().unwrap_or(newest);
    let name = answer(
        args.name.as_deref(),
        from,
        "The cloud's name",
        Some("cloud"),
        "--name",
    )?;
    let controllers = if args.controllers.is_empty() {
        let question = "The controllers, an odd number, as NAME=ADDRESS,NAME=ADDRESS,…";
        answer(None, from, question, None, "--controllers")?
    } else {
        args.controllers.join(",")
    };
    let controllers = controllers
        .split(',')
        .map(|one| match one.split_once('=') {
            Some((name, address)) => Ok((name.trim().to_owned(), address.trim().to_owned())),
            None => Err(Failure::Input(format!(
                "error: `{one}` is not a name with its address\n\nhint: write NAME=ADDRESS, such as c1=198.51.100.11"
            ))),
        })
        .collect::<Result<Vec<_>, _>>()?;
    let question = "Free addresses of the same network for the services, as FIRST-LAST";
    let vips = answer(args.vips.as_deref(), from, question, None, "--vips")?;
    let has =
        |s: &&catalog::Service| !s.foundation && (s.releases.is_empty() || s.releases.contains(&release));
    let all: Vec<&str> = catalog
        .services
        .values()
        .filter(has)
        .map(|s| s.name.as_str())
        .collect();
    let given = (!args.services.is_empty()).then(|| args.services.join(","));
    let services = answer(
        given.as_deref(),
        from,
        "The services of OpenStack",
        Some(&all.join(",")),
        "--services",
    )?;
    let mut wanted = Wanted {
        name,
        release,
        architecture: args.architecture.clone().unwrap_or_default(),
        controllers,
        network: args.network.clone().unwrap_or_default(),
        vips,
        services: services.split(',').map(|s| s.trim().to_owned()).collect(),
        fencing: Wish::Lab,
    };
    wanted.fencing = match (&args.fencing, &args.no_fencing) {
        (Some(agent), _) => Wish::Agent(agent.clone()),
        (None, Some(reason)) => Wish::None(reason.clone()),
        // A lab has a power device of its own, which need not be named.
        (None, None) if good(&wanted, catalog) => Wish::Lab,
        (None, None) => {
            let question = "The fence agent that cuts a host's power (empty: there is none)";
            let flags = "--fencing AGENT` or `--no-fencing REASON";
            match answer(None, from, question, Some(""), flags)?.as_str() {
                "" => Wish::None(answer(None, from, "Why is that accepted?", None, "--no-fencing")?),
                agent => Wish::Agent(agent.to_owned()),
            }
        }
    };
    Ok(wanted)
}

/// Whether nothing needs to be said of fencing.
fn good(wanted: &Wanted, catalog: &Catalog) -> bool {
    let source = Source::new("", model::draft(wanted, catalog));
    let (_, findings) = cloud::parse(&source);
    !findings.iter().any(|f| f.code == "fencing::missing")
}

/// The flag's value, else an answer. Without a terminal a default is taken, and what has
/// none is an error that names the flag.
fn answer(
    given: Option<&str>,
    from: &mut Asks<'_>,
    question: &str,
    default: Option<&str>,
    flag: &str,
) -> Result<String, Failure> {
    if let Some(given) = given {
        return Ok(given.to_owned());
    }
    match (from, default) {
        (Some(from), _) => {
            let shown = default.filter(|d| !d.is_empty()).map(|d| format!(" [{d}]"));
            say::err!("{question}{}: ", shown.unwrap_or_default());
            let mut line = String::new();
            let more = from.read_line(&mut line)?;
            match (line.trim(), default) {
                ("", Some(default)) if more > 0 => return Ok(default.to_owned()),
                ("", _) => {}
                (said, _) => return Ok(said.to_owned()),
            }
        }
        (None, Some(default)) if !default.is_empty() => return Ok(default.to_owned()),
        (None, _) => {}
    }
    Err(Failure::Input(format!(
        "error: nothing says: {question}\n\nhint: give `{flag}`, or answer on a terminal"
    )))
}
