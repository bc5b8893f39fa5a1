//! The command line.

use archive::place::DEFAULT_PLACE;
use clap::{Parser, ValueEnum};

const AFTER_HELP: &str = "\
Tables: events, and one for each event type, such as ViewPage.
Columns: event_id, event_type, event_domain, timestamp, correlation_id, causation_id, producer,
  subject, hops, experiments, synthetic, payload, event, archived_at.
payload, experiments and event are JSON: json(payload, 'location/city') is the text at a place,
null where nothing is. What is asked of event_type and timestamp decides which files are read.

Examples:
  rapids query 'select event_type, count(*) from events group by 1 order by 2 desc'
  rapids query \"select json(payload, 'name') as name, count(*) from ViewPage group by 1\"
  rapids query --format csv \
    \"select * from events where timestamp > now() - interval '1 hour'\"
  rapids query \"select event_type, hops from events where correlation_id = '…' order by timestamp\"
  rapids query 'describe events'
  rapids query --archive s3://bucket/prefix <statement.sql

Exit codes: 0 done, 1 failed, 64 the command line was refused";

/// SQL over the archive
#[derive(Debug, Parser)]
#[command(name = "rapids-query", bin_name = "rapids query", version, after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// One statement that reads; from standard input when it is left out
    pub(crate) sql: Option<String>,
    /// The archive: a folder, file:///… or s3://bucket/prefix
    #[arg(long, env = "RAPIDS_ARCHIVE", default_value = DEFAULT_PLACE, value_name = "PLACE")]
    pub(crate) archive: String,
    /// What rows look like: a table, an object of JSON per line, or CSV with a header
    #[arg(long, default_value = "table")]
    pub(crate) format: Format,
}

/// What rows look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people. All rows are in memory before the first is shown.
    Table,
    /// An object per line.
    Json,
    /// With a header.
    Csv,
}
