//! Logs on standard error: JSON lines for machines, or text for people.

use std::io::{self, IsTerminal as _};

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::Receiver;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::warnings::{Warning, Warnings};
use crate::{Problems, Validate};

/// What is logged, and how it looks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Config {
    /// One JSON object a line, or text.
    pub(crate) format: Format,
    /// Directives of `tracing-subscriber`: `info`, `info,kcl=debug`.
    pub(crate) filter: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    Json,
    Text,
}

impl Default for Config {
    fn default() -> Self {
        Self { format: Format::Json, filter: "info".to_owned() }
    }
}

impl Validate for Config {
    fn validate(&self, problems: &mut Problems) {
        if let Err(error) = EnvFilter::try_new(&self.filter) {
            problems.report("filter", format!("{error}; an example: info,kcl=debug"));
        }
    }
}

/// Sends the logs of this process to standard error. Once for each process; a second call changes nothing. What is
/// logged as a warning or worse can be taken from what is returned.
pub(crate) fn start(config: &Config) -> Receiver<Warning> {
    let (warnings, taken) = Warnings::channel();
    // Validated before: the fallback is never taken.
    let filter = EnvFilter::try_new(&config.filter).unwrap_or_default();
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let started = match config.format {
        Format::Json => {
            let logs = logs.json().flatten_event(true).with_span_list(false);
            logs.finish().with(warnings).try_init()
        }
        Format::Text => {
            logs.with_ansi(io::stderr().is_terminal()).finish().with(warnings).try_init()
        }
    };
    if started.is_err() {
        tracing::debug!("logs were already set up by whoever embeds this");
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_means_nothing_is_a_problem() {
        assert!(Problems::of(&Config::default()).is_empty());
        let config = Config { filter: "kcl=loud".to_owned(), ..Config::default() };
        assert!(Problems::of(&config).to_string().contains("filter"));
    }
}
