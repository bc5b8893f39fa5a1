//! What every process does, so that a service is only its own subject.
//!
//! A service implements [`Service`] and its `main` is one line, [`run`]: read the configuration or exit 64
//! with every problem told, start telemetry, make the AWS clients, bind the admin server, build, run, and on
//! SIGTERM settle within the grace period. The same service runs inside another process with [`embed`].
//!
//! No domain word belongs here: nothing in this crate knows what an event, a river or a pond is. There is no
//! global state either, everything a service is given comes through its [`Kit`].

mod admin;
mod arguments;
mod aws;
mod clock;
pub mod config;
mod consumer_metrics;
pub mod duration;
mod embed;
mod explain;
mod health;
mod kit;
mod label_values;
mod readiness;
mod run;
mod service;
mod telemetry;
mod warnings;

pub use aws::aws_config;
pub use clock::Clock;
pub use config::{Problems, Validate};
pub use consumer_metrics::consumer_metrics;
pub use embed::{Embedded, embed};
pub use explain::explain;
pub use kit::Kit;
pub use label_values::LabelValues;
pub use readiness::{Latch, Readiness};
pub use run::run;
pub use service::Service;
pub use warnings::Warning;

/// The version of this build, the same for every crate of the workspace.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Commit that the system was built from, where whoever built it told (`RAPIDS_REVISION`, as docker/Dockerfile does).
pub const REVISION: &str = match option_env!("RAPIDS_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};
