//! SQL over the archive, as a program of its own: DataFusion is larger than all other programs together.
//!
//! `events` is the table over exactly the live files of the archive's log, `prune` decides which of them a query has
//! to read, `json` is the function that looks into payloads, `session` puts them together, `print` writes results.
//! Nothing here writes to the archive.

mod args;
mod events;
mod json;
mod print;
mod prune;
mod session;

use std::io::{self, IsTerminal as _, Read as _};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Parser as _;
use clap::error::ErrorKind;
use tokio::runtime::Runtime;

use crate::args::Args;

/// Exit code of a refused command line (`EX_USAGE` of sysexits.h), the same as that of `rapids`.
const USAGE_ERROR: u8 = 64;

/// The whole of the program.
#[must_use]
pub fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(told) => {
            let asked = matches!(told.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            let told = told.print();
            return match (asked, told) {
                (true, Ok(())) => ExitCode::SUCCESS,
                (true, Err(_)) => ExitCode::FAILURE,
                (false, _) => ExitCode::from(USAGE_ERROR),
            };
        }
    };
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", chassis::explain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> anyhow::Result<()> {
    let sql = match args.sql {
        Some(sql) => sql,
        None => statement()?,
    };
    let runtime = Runtime::new().context("cannot start the runtime")?;
    runtime.block_on(async {
        let session = session::open(&args.archive).await?;
        print::run(&session, &sql, args.format, &mut io::stdout().lock()).await
    })
}

/// The statement from standard input.
fn statement() -> anyhow::Result<String> {
    let mut input = io::stdin();
    if input.is_terminal() {
        bail!(
            "there is no SQL: give it as the argument, or on standard input (--help has examples)"
        );
    }
    let mut sql = String::new();
    input.read_to_string(&mut sql).context("reading SQL from standard input")?;
    Ok(sql)
}

#[cfg(test)]
mod tests;
