//! From the parsed command line to the command.

use std::io::{self, IsTerminal as _};

use anyhow::Context as _;
use tokio::runtime::Runtime;
use tracing_subscriber::EnvFilter;

use crate::args::{Cli, Command, Options};
use crate::failure::Result;
use crate::output::Output;
use crate::session::{DEFAULT_STAGE, Names, Session};
use crate::{
    args, bootstrap, catalogue, demo, manage, ops, query, repl, script, top, up, verbs, watch,
};

/// Runs the command.
///
/// # Errors
/// Why it failed; `main` says it.
pub(crate) fn run(cli: Cli) -> Result<()> {
    let Cli { options, echo, command } = cli;
    log(options.verbose);
    let output = Output::of_this_process(options.json);
    let runtime = Runtime::new().context("cannot start the runtime")?;
    let ended = match command {
        None => converse(&runtime, &options, output, echo),
        Some(Command::Verb(verb)) => runtime.block_on(async {
            let session = Session::open(&options, output).await?;
            verbs::run(&session, verb).await
        }),
        Some(Command::Experiment(experiment)) => runtime.block_on(async {
            let session = Session::open(&options, output).await?;
            verbs::experiment::run(&session, experiment).await
        }),
        Some(Command::Catalogue(settings)) => runtime.block_on(async {
            let session = Session::open(&options, output).await?;
            catalogue::run(&session, &settings).await
        }),
        Some(Command::Manage(command)) => runtime.block_on(async {
            let session = Session::open(&options, output).await?;
            manage::run(&session, command).await
        }),
        Some(Command::Ops(command)) => runtime.block_on(async {
            let session = Session::open(&options, output).await?;
            ops::run(&session, command).await
        }),
        Some(Command::Watch(command)) => runtime.block_on(async {
            let session = Session::open(&options, output).await?;
            watch::run(&session, command).await
        }),
        Some(Command::Bootstrap { shards }) => runtime.block_on(async {
            let session = Session::open(&options, output).await?;
            Ok(bootstrap::run(&session, shards.count).await?)
        }),
        Some(Command::Query { arguments }) => Err(query::run(&arguments, options.json).into()),
        Some(Command::Top(settings)) => Ok(runtime.block_on(top::run(&settings, output))?),
        Some(Command::Up(settings)) => {
            let names = Names::of_the_stage(&options)?;
            Ok(runtime.block_on(up::run(names, settings, output))?)
        }
        Some(Command::Demo) => {
            let names = Names::of_the_stage(&options)?;
            Ok(runtime.block_on(demo::run(names, output))?)
        }
        Some(Command::Completions { shell }) => {
            clap_complete::generate(shell, &mut args::grammar(), "rapids", &mut io::stdout());
            Ok(())
        }
    };
    // What was given up, such as a read of standard input, is not waited for.
    runtime.shutdown_background();
    ended
}

/// A conversation: with a person at a terminal, else with a script.
fn converse(runtime: &Runtime, options: &Options, output: Output, echo: bool) -> Result<()> {
    let terminal = io::stdin().is_terminal();
    let session = runtime.block_on(Session::open(options, output))?;
    if options.stage.is_none() {
        let notice = format!("stage not specified - default to {DEFAULT_STAGE}");
        if terminal {
            output.say(&notice)?;
        } else {
            output.note(&notice);
        }
    }
    if terminal { repl::run(runtime, &session) } else { script::run(runtime, &session, echo) }
}

/// Logs of the SDK and of embedded daemons, on standard error, so that answers stay alone on standard output.
fn log(verbose: u8) {
    let filter = match verbose {
        // What the SDK says while it looks for a region is told by the one line that follows.
        0 => "warn,aws_config=error",
        1 => "info",
        _ => "debug",
    };
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
}
