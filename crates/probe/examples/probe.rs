//! Probes by hand: `probe PROBES.json SECONDS [HISTORY.jsonl]`.
//!
//! The first argument is a file with a JSON list of probes; a text `@PATH` in
//! it stands for the content of that file, which is how a CA is given. Prints the
//! report, and ends with status 1 when an acknowledged write is lost. Ctrl-C ends
//! it early, with a report.

use std::{env, error::Error, fs, fs::File, io::BufWriter, process::ExitCode, time::Duration};

use probe::{Bar, Limits, Probe, Prober, Report, View, read_back_all};
use serde_json::Value;

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let (Some(file), Some(seconds)) = (args.next(), args.next()) else {
        return Err("usage: probe PROBES.json SECONDS [HISTORY.jsonl]".into());
    };
    let mut value: Value = serde_json::from_str(&fs::read_to_string(file)?)?;
    include(&mut value)?;
    let probes: Vec<Probe> = serde_json::from_value(value)?;
    let limits = Limits {
        duration: Duration::from_secs(seconds.parse()?),
        requests: 100_000,
    };

    let mut handle = Prober::start(probes.clone(), limits).await?;
    let history = tokio::select! {
        () = handle.ended() => handle.stop().await,
        _ = tokio::signal::ctrl_c() => handle.stop().await,
    };
    if let Some(path) = args.next() {
        history.write(BufWriter::new(File::create(path)?))?;
    }
    let read = read_back_all(&probes, &history, Duration::from_secs(30)).await?;
    let report = Report::of(&history, &read, &View::default());
    println!("{report}");
    let failures = report.failures(&Bar::default());
    for failure in &failures {
        eprintln!("{failure}");
    }
    Ok(if failures.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Puts files in the place of their names.
fn include(value: &mut Value) -> Result<(), Box<dyn Error>> {
    match value {
        Value::String(text) => {
            if let Some(path) = text.strip_prefix('@') {
                *text = fs::read_to_string(path)?;
            }
        }
        Value::Array(list) => list.iter_mut().try_for_each(include)?,
        Value::Object(map) => map.values_mut().try_for_each(include)?,
        _ => {}
    }
    Ok(())
}
