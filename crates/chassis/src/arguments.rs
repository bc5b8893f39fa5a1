//! The command line of a daemon: everything else is configuration.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, ArgAction, Command, value_parser};

use crate::run::USAGE_ERROR;
use crate::{VERSION, config};

/// What the process was asked to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Run,
    PrintConfig,
    Health,
}

/// The parsed command line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Arguments {
    pub(crate) verb: Verb,
    pub(crate) config: Option<PathBuf>,
}

impl Arguments {
    /// Reads `arguments`, the program's name first. `settings` is shown by `--help`.
    ///
    /// # Errors
    /// The exit code, after help, version or what is wrong has been said.
    pub(crate) fn parse(
        name: &'static str,
        settings: String,
        arguments: impl IntoIterator<Item = OsString>,
    ) -> Result<Self, ExitCode> {
        let matches = command(name, settings).try_get_matches_from(arguments).map_err(|told| {
            let printed = told.print();
            let failed = told.use_stderr() || printed.is_err();
            if failed { ExitCode::from(USAGE_ERROR) } else { ExitCode::SUCCESS }
        })?;
        let verb = match matches.subcommand_name() {
            Some(_) => Verb::Health,
            None if matches.get_flag("print-config") => Verb::PrintConfig,
            None => Verb::Run,
        };
        Ok(Self { verb, config: matches.get_one("config").cloned() })
    }
}

fn command(name: &'static str, settings: String) -> Command {
    let config = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .env(config::FILE_VARIABLE)
        .global(true)
        .value_parser(value_parser!(PathBuf))
        .help("Settings in TOML; variables win over the file");
    let print_config = Arg::new("print-config")
        .long("print-config")
        .action(ArgAction::SetTrue)
        .help("Print the effective settings as TOML and exit");
    let health = Command::new("health")
        .about("Ask the process running on this host whether it is ready: exit 0 if so, 1 if not");
    Command::new(name)
        .version(VERSION)
        .arg(config)
        .arg(print_config)
        .subcommand(health)
        .disable_help_subcommand(true)
        .after_help(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Arguments, ExitCode> {
        let arguments = ["daemon"].iter().chain(arguments).map(OsString::from);
        Arguments::parse("daemon", String::new(), arguments)
    }

    #[test]
    fn a_daemon_runs_unless_asked_for_something_else() {
        assert_eq!(parse(&[]).unwrap().verb, Verb::Run);
        assert_eq!(parse(&["--print-config"]).unwrap().verb, Verb::PrintConfig);
        assert_eq!(parse(&["health"]).unwrap().verb, Verb::Health);
        let config = parse(&["health", "--config", "x.toml"]).unwrap().config;
        assert_eq!(config, Some(PathBuf::from("x.toml")));
    }

    #[test]
    fn a_wrong_argument_is_a_usage_error_and_help_is_none() {
        let usage = format!("{:?}", ExitCode::from(USAGE_ERROR));
        assert_eq!(format!("{:?}", parse(&["--confg"]).unwrap_err()), usage);
        assert_eq!(
            format!("{:?}", parse(&["--help"]).unwrap_err()),
            format!("{:?}", ExitCode::SUCCESS)
        );
    }
}
