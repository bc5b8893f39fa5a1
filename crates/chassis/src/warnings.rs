//! What a process logs as a warning or an error, for whoever wants to tell it elsewhere.

use std::collections::BTreeMap;
use std::fmt;

use tokio::sync::mpsc::{self, Receiver, Sender};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Warnings that wait to be taken; what comes beyond that is in the logs only.
const WAITING_MAX: usize = 100;

/// A line of the logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// `warn` or `error`.
    pub level: &'static str,
    /// The module that says it.
    pub target: String,
    /// What it says.
    pub message: String,
    /// The rest of the line.
    pub fields: BTreeMap<String, String>,
}

/// Hands on every event of level warn and above; never waits.
#[derive(Debug)]
pub(crate) struct Warnings(Sender<Warning>);

impl Warnings {
    pub(crate) fn channel() -> (Self, Receiver<Warning>) {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        (Self(sender), receiver)
    }
}

impl<S: Subscriber> Layer<S> for Warnings {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = match *event.metadata().level() {
            Level::ERROR => "error",
            Level::WARN => "warn",
            _ => return,
        };
        let target = event.metadata().target().to_owned();
        let (message, fields) = (String::new(), BTreeMap::new());
        let mut warning = Warning { level, target, message, fields };
        event.record(&mut Fields(&mut warning));
        self.0.try_send(warning).ok(); // Nobody takes them, or not fast enough.
    }
}

struct Fields<'a>(&'a mut Warning);

impl Fields<'_> {
    fn put(&mut self, field: &Field, value: String) {
        if field.name() == "message" {
            self.0.message = value;
        } else {
            self.0.fields.insert(field.name().to_owned(), value);
        }
    }
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.to_owned());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, crate::explain(value));
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[test]
    fn warnings_and_errors_are_handed_on_with_their_fields_until_there_are_too_many() {
        let (layer, mut taken) = Warnings::channel();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::info!("no news");
            tracing::warn!(river = "brand", attempts = 3, "a batch was not accepted");
            for _ in 0..2 * WAITING_MAX {
                tracing::error!("again");
            }
        });
        let warning = taken.try_recv().unwrap();
        assert_eq!((warning.level, &*warning.message), ("warn", "a batch was not accepted"));
        assert_eq!(warning.fields["river"], "brand");
        assert_eq!(warning.fields["attempts"], "3");
        assert!(warning.target.starts_with("chassis"));
        assert_eq!(taken.len(), WAITING_MAX - 1);
    }
}
