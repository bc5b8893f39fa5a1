//! The grammar of the commands about topics and what is said of them.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Patience;
use super::words::Moment;

/// Settings of `advertise`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Advertise {
    /// The event type
    pub(crate) topic: String,
    /// JSON Schema (2020-12) of the payload, a file. Consumers written against the one in the catalogue have to be able
    /// to read what is valid under this one, else it is refused
    #[arg(long, value_name = "FILE")]
    pub(crate) schema: Option<PathBuf>,
    /// What such an event says
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,
    /// Whom to ask about it
    #[arg(long, value_name = "TEXT")]
    pub(crate) owner: Option<String>,
    /// A payload, as JSON or in a file
    #[arg(long, value_name = "FILE|JSON", allow_hyphen_values = true)]
    pub(crate) example: Option<String>,
    /// Have the schema taken although it breaks consumers
    #[arg(long, requires = "schema")]
    pub(crate) force: bool,
    /// Only say whether it would be taken
    #[arg(long, conflicts_with_all = ["wait", "no_wait"])]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) patience: Patience,
}

/// Settings of `topics`.
#[derive(Args, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Topics {
    /// What the catalogue says of each, who is subscribed, and what is odd: as `rapids catalogue`
    #[arg(long)]
    pub(crate) details: bool,
}

/// Settings of `catalogue`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Catalogue {
    /// An AsyncAPI 3.0 document: a channel for each topic, a message with envelope and payload, an operation for each
    /// river that receives it
    #[arg(long, value_name = "FORMAT", num_args = 0..=1, default_missing_value = "yaml", require_equals = true)]
    pub(crate) asyncapi: Option<Format>,
    /// Look also at what was on the rapids since then: types that nobody advertises, and whether what rivers wait for comes
    #[arg(long, value_name = "WHEN", value_parser = Moment::parse, conflicts_with = "asyncapi")]
    pub(crate) since: Option<Moment>,
}

/// How a document is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Yaml,
    /// For machines.
    Json,
}
