//! The command `sockeye`: a host of its own for programs that know nothing of it.

mod cli;
mod client;
mod config;
mod demo;
mod failure;
mod paint;
mod patience;
mod preload;
mod program;
mod run;
mod up;

use std::process::ExitCode;

use cli::Verb;
use failure::Failure;
use sockeye_control::What;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    match cli::parse().and_then(|cli| act(&cli.verb)) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

fn act(verb: &Verb) -> Result<ExitCode, Failure> {
    log()?;
    match verb {
        Verb::Demo(args) => demo::demo(args),
        Verb::Up(args) => up::up(args),
        Verb::Run(args) => run::run(args),
        Verb::Show(args) => show(args),
        Verb::Down(args) => {
            client::Client::connect(&client::path(args.control.control.as_deref())?)?.down()?;
            Ok(ExitCode::SUCCESS)
        }
        Verb::Tether(args) => demo::tether::exec(args),
        Verb::DemoServe(args) => demo::builtin::serve(args.at, &args.directory).map(|()| ExitCode::SUCCESS),
        Verb::DemoFetch(args) => {
            let seconds = demo::builtin::fetch(&args.url, &args.output)?;
            // As curl's -w '%{time_total}'.
            print(format_args!("{seconds:.6}"))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn show(args: &cli::Show) -> Result<ExitCode, Failure> {
    let mut client = client::Client::connect(&client::path(args.control.control.as_deref())?)?;
    let what = match args.what {
        cli::What::Interfaces => What::Interfaces,
        cli::What::Addresses => What::Addresses,
        cli::What::Routes => What::Routes,
        cli::What::Neighbors => What::Neighbors,
        cli::What::Sockets => What::Sockets,
        cli::What::Queues => What::Queues,
        cli::What::Counters => What::Counters,
    };
    let mut text = client.show(what, args.json)?;
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    print(text)?;
    Ok(ExitCode::SUCCESS)
}

fn print(text: impl std::fmt::Display) -> Result<(), Failure> {
    paint::print(text)
        .map_err(|error| Failure::new(format!("cannot write to standard output: {error}; check where it goes")))
}

/// Logs to standard error what `SOCKEYE_LOG` asks for; warnings and errors where it is not set.
fn log() -> Result<(), Failure> {
    let wanted = std::env::var("SOCKEYE_LOG").unwrap_or_else(|_| "warn".into());
    let filter = EnvFilter::try_new(&wanted)
        .map_err(|error| Failure::usage(format!("SOCKEYE_LOG={wanted}: {error}; try SOCKEYE_LOG=info")))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
    Ok(())
}
