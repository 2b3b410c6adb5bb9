//! Tries the lab by hand: `lab up SPEC.json`, then the verbs by the lab's name.
//! Not the product's command line; that is the CLI crate's.

use std::process::ExitCode;

type Failure = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &[String]) -> Result<ExitCode, Failure> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["lab", "bmc", name] => lab::serve_bmc(name).await?,
        ["lab", "host-supervisor", name, host] => lab::supervise_host(name, host)?,
        ["up", file] => {
            let spec: lab::LabSpec = serde_json::from_str(&std::fs::read_to_string(file)?)?;
            let report = lab::up(&spec, &|line| eprintln!("{line}")).await?;
            println!("{}", serde_json::to_string_pretty(&report)?);
        }
        ["down", name] => lab::down(name)?,
        ["cut", name, host] => lab::cut(name, host)?,
        ["on", name, host] => lab::on(name, host)?,
        ["ready", name, hosts @ ..] => {
            let hosts: Vec<String> = hosts.iter().map(|&h| h.to_owned()).collect();
            lab::wait_ready(name, &hosts, std::time::Duration::from_mins(1)).await?;
        }
        ["unplug", name, host, network @ ..] => lab::unplug(name, host, network.first().copied())?,
        ["plug", name, host, network @ ..] => lab::plug(name, host, network.first().copied())?,
        ["list"] => println!("{}", serde_json::to_string_pretty(&lab::list()?)?),
        ["events", name] => println!("{}", serde_json::to_string_pretty(&lab::events(name)?)?),
        ["residue", name] => println!("{}", lab::residue(name)?.join("\n")),
        ["inventory"] => println!("{}", lab::inventory()?.join("\n")),
        ["shell", name, host, argv @ ..] => {
            let argv: Vec<String> = argv.iter().map(|&a| a.to_owned()).collect();
            let status = lab::shell(name, host, &argv)?;
            let code = status.code().and_then(|c| u8::try_from(c).ok()).unwrap_or(1);
            return Ok(ExitCode::from(code));
        }
        _ => return Err("lab up SPEC.json | down|events|residue LAB | cut|on LAB HOST | unplug|plug LAB HOST [NETWORK] | ready LAB [HOST…] | shell LAB HOST [ARGV…] | list | inventory".into()),
    }
    Ok(ExitCode::SUCCESS)
}
