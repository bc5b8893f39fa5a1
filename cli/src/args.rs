//! The grammar of the command line. Lines of the REPL and of scripts are read by the same one.

pub(crate) mod catalogue;
pub(crate) mod manage;
pub(crate) mod ops;
pub(crate) mod top;
pub(crate) mod watch;
pub(crate) mod words;

use std::ffi::OsString;
use std::net::IpAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{ArgAction, Args, CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;

use crate::daemon::Selection;
use crate::failure::{Failure, Result};

const AFTER_HELP: &str = "\
Without a command: the commands send to advertise are read from the terminal, or from standard input line by line.
Region, credentials and endpoint are found as by every AWS SDK: AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL and so on.

Exit codes:
  0   done
  1   failed: standard error says what, why and what to do, in a script with the line's number
  64  the command line was refused and nothing was done";

const ADVERTISE_HELP: &str = "\
Examples:
  advertise ViewPage
  advertise ViewPage --schema ViewPage.schema.json --owner web --example '{\"name\":\"Sally\"}'
  advertise ViewPage --schema ViewPage.schema.json --dry-run

What is left out stays as it is in the catalogue.";

/// Kicks the tires of rapids and rivers: send events, subscribe rivers to topics, read rivers
#[derive(Debug, Parser)]
#[command(name = "rapids", version, after_help = AFTER_HELP)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) options: Options,
    /// Show each command of a script after the prompt, as an interactive session does
    #[arg(long)]
    pub(crate) echo: bool,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// Options that every command has.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Options {
    /// Stream with every event [default: Rapids-{stage}]
    #[arg(long, global = true, value_name = "STREAM")]
    pub(crate) rapids: Option<String>,
    /// Stream of control commands [default: Control-{stage}]
    #[arg(long, global = true, value_name = "STREAM")]
    pub(crate) control_stream: Option<String>,
    /// Deployment, the suffix of every resource [default: dev]
    #[arg(long, global = true, env = "RAPIDS_STAGE")]
    pub(crate) stage: Option<String>,
    /// JSON for machines: compact even on a terminal, the event's id from send, one object from up and demo
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// More logs on standard error: -v for info, -vv for debug
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// Everything that `rapids` does.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Verb(Verb),
    /// Create what a stage needs: streams, SNS topic, tables, quarantine queues; what exists stays as it is
    Bootstrap {
        #[command(flatten)]
        shards: Shards,
    },
    /// Compare ways: start, stop, list and report experiments
    #[command(subcommand)]
    Experiment(Experiment),
    /// Show topics: what is said of them, who listens, and what is odd about that
    #[command(after_help = "Examples:\n  \
        rapids catalogue --since 1h\n  \
        rapids catalogue --asyncapi > asyncapi.yaml")]
    Catalogue(catalogue::Catalogue),
    #[command(flatten)]
    Manage(manage::Manage),
    #[command(flatten)]
    Ops(ops::Ops),
    #[command(flatten)]
    Watch(watch::Watch),
    /// Ask the archive by SQL: `rapids query --help` has examples
    #[command(disable_help_flag = true)]
    Query {
        /// What rapids-query is given
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
        arguments: Vec<OsString>,
    },
    /// Show shards, rivers, services and offers, live, from the figures of the daemons
    #[command(after_help = "Examples:\n  \
        rapids top                                   # with the exports that `rapids up` printed\n  \
        rapids top --metrics http://127.0.0.1:9090   # a Prometheus: docker compose, or `kubectl port-forward`\n  \
        rapids top --metrics http://127.0.0.1:9090 --namespace staging   # of several stages\n  \
        rapids top --once --json --metrics http://127.0.0.1:9464/metrics")]
    Top(top::Top),
    /// Run an embedded AWS with all daemons on 127.0.0.1 until Ctrl-C
    Up(Up),
    /// Run the travel scenario in this process: Sally looks at a page, offers are made and chosen
    Demo,
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// What is done with experiments.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Experiment {
    /// Assign conversations to arms from now on
    #[command(after_help = "Example:\n  \
        rapids experiment start ranking --arms control:90,bold:10 --on ViewPage --unit /payload/name \\\n      \
        --rivers control=offer-engine,bold=offer-engine-bold")]
    Start {
        /// Its name, for ever: who is in which arm depends on it
        name: String,
        /// Arms and their weights, the control first: control:90,bold:10
        #[arg(long, value_delimiter = ',', required = true, value_name = "ARM:WEIGHT")]
        arms: Vec<String>,
        /// Event types at which a conversation is assigned
        #[arg(long, value_delimiter = ',', required = true, value_name = "EVENTS")]
        on: Vec<String>,
        /// Where in the event the unit is that keeps its arm; the conversation where nothing is there
        #[arg(long, default_value = "/subject", value_name = "POINTER")]
        unit: String,
        /// Rivers of arms whose services make the difference: bold=offer-engine-bold
        #[arg(long, value_delimiter = ',', value_name = "ARM=RIVER")]
        rivers: Vec<String>,
        #[command(flatten)]
        patience: Patience,
    },
    /// Assign no more
    Stop {
        /// The experiment
        name: String,
        #[command(flatten)]
        patience: Patience,
    },
    /// List experiments and whether they run
    List,
    /// Results per arm, from the events that the rapids still hold
    Report {
        /// The experiment
        name: String,
    },
}

/// Settings of `up`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Up {
    /// Port of the embedded AWS; 0: any
    #[arg(long, default_value_t = 4566)]
    pub(crate) port: u16,
    /// Address to listen on; 0.0.0.0 only where nobody else can reach it, as in a container: it checks no credentials
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    pub(crate) listen: IpAddr,
    #[command(flatten)]
    pub(crate) shards: Shards,
    /// Port of the first daemon's admin server, the others follow; 0: any
    #[arg(long, default_value_t = 9464, value_name = "PORT")]
    pub(crate) admin_port: u16,
    /// Daemons in this process: all, none, or names with commas between them
    #[arg(long, default_value = "all", value_name = "NAMES")]
    pub(crate) embedded_services: Selection,
    /// Also run the archive, a process of its own, in this folder or at this URL; then ask it by `rapids query`
    #[arg(long, value_name = "PLACE")]
    pub(crate) archive: Option<String>,
}

/// How wide the rapids are.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Shards {
    /// Shards of the rapids, if they do not exist yet
    // The default quota of a Kinesis stream's shards is 500 in the largest regions.
    #[arg(long = "shards", default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=500))]
    pub(crate) count: i32,
}

/// The verbs of the original.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub(crate) enum Verb {
    /// Publish an event with optional data
    Send {
        /// What happened: the event's type
        event: String,
        /// Who says so: the event's domain
        source: String,
        /// The payload as JSON
        #[arg(default_value = "{}", allow_hyphen_values = true)]
        data: String,
    },
    /// Subscribe a river to a topic
    Subscribe {
        /// The river, made if it does not exist
        river: String,
        /// The event type
        topic: String,
        #[command(flatten)]
        patience: Patience,
    },
    /// Get a batch of messages: at most ten, removed once they are printed
    #[command(name = "readfrom")]
    ReadFrom(watch::ReadFrom),
    /// List a river's subscriptions
    #[command(name = "listsubs")]
    ListSubs {
        /// The river
        river: String,
    },
    /// Remove a topic from a river
    Unsubscribe {
        /// The river
        river: String,
        /// The event type
        topic: String,
        #[command(flatten)]
        patience: Patience,
    },
    /// List topics
    Topics(catalogue::Topics),
    /// Advertise a topic others may consume
    #[command(after_help = ADVERTISE_HELP)]
    Advertise(catalogue::Advertise),
}

/// How long to wait for the control plane.
#[derive(Args, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Patience {
    /// Longest wait for the control plane to apply it
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    wait: u16,
    /// Return as soon as the command is on the control stream
    #[arg(long, conflicts_with = "wait")]
    no_wait: bool,
}

impl Patience {
    /// The longest wait; none when nobody waits.
    pub(crate) fn limit(self) -> Option<Duration> {
        (!self.no_wait).then(|| Duration::from_secs(self.wait.into()))
    }
}

/// Reads the command line, the program's name first.
///
/// # Errors
/// The exit code, after help, version or what is wrong has been said.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, ExitCode> {
    Cli::try_parse_from(arguments).map_err(|told| {
        if told.use_stderr() {
            return Failure::Usage(one_line(&told)).tell();
        }
        if told.print().is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    })
}

/// The grammar itself, for completion scripts.
pub(crate) fn grammar() -> clap::Command {
    Cli::command()
}

/// A line of the REPL or of a script.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// Blank, or a comment.
    Nothing,
    /// Something to do.
    Verb(Verb),
    /// `help`, and what it says.
    Help(String),
    /// The end of the session.
    Exit,
}

#[derive(Debug, Parser)]
#[command(
    multicall = true,
    name = "rapids",
    about = "Commands",
    override_usage = "COMMAND [ARGUMENTS]"
)]
struct LineGrammar {
    #[command(subcommand)]
    word: LineWord,
}

#[derive(Debug, Subcommand)]
enum LineWord {
    #[command(flatten)]
    Verb(Verb),
    /// Leave
    Exit,
}

/// The grammar of a line, for completion.
pub(crate) fn line_grammar() -> clap::Command {
    LineGrammar::command()
}

/// Reads one line, with the quotes of a shell.
///
/// # Errors
/// [`Failure::Usage`], when it is no command.
pub(crate) fn parse_line(line: &str) -> Result<Line> {
    if line.trim_start().starts_with('#') {
        return Ok(Line::Nothing);
    }
    let words = shell_words::split(line)
        .map_err(|_| Failure::Usage(format!("a quote is not closed in: {}", line.trim())))?;
    if words.is_empty() {
        return Ok(Line::Nothing);
    }
    match LineGrammar::try_parse_from(words) {
        Ok(LineGrammar { word: LineWord::Verb(verb) }) => Ok(Line::Verb(verb)),
        Ok(LineGrammar { word: LineWord::Exit }) => Ok(Line::Exit),
        Err(told) if told.kind() == ErrorKind::DisplayHelp => Ok(Line::Help(told.to_string())),
        Err(told) => Err(Failure::Usage(one_line(&told))),
    }
}

/// clap's refusal without its page layout: every paragraph but the last, which says that there is `--help`.
fn one_line(refusal: &clap::Error) -> String {
    let text = refusal.to_string();
    let paragraphs = text.split("\n\n").map(|part| part.split_whitespace().collect::<Vec<_>>());
    // The usage of all commands at once helps nobody who misspelt one.
    let unknown = refusal.kind() == ErrorKind::InvalidSubcommand;
    let is_said = |said: &String| {
        let usage = unknown && said.starts_with("Usage:");
        !said.is_empty() && !usage && !said.starts_with("For more information")
    };
    let mut said: Vec<_> = paragraphs.map(|words| words.join(" ")).filter(is_said).collect();
    if unknown {
        said.push("`help` lists the commands".to_owned());
    }
    let said = said.join("; ");
    said.strip_prefix("error: ").unwrap_or(&said).to_owned()
}

#[cfg(test)]
mod tests;
