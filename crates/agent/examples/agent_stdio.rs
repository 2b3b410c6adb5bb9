//! Serves one session on the standard streams, as the agent of the binary
//! does: for trying requests by hand (see `agent_call`).

#[tokio::main]
async fn main() -> std::process::ExitCode {
    let ended = agent::serve(tokio::io::stdin(), tokio::io::stdout(), "example").await;
    // Not by return: a read of standard input that nobody ends would keep us.
    std::process::exit(match ended {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("agent: {error}");
            1
        }
    });
}
