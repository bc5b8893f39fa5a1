//! Watches a stage by what is on its rapids, and proves it by a synthetic customer.
//!
//! Its river gets every event. What they say is kept in memory, by one process: a second one would get half of the
//! events, and see half of the truth. What is lost when it ends is what it was in the middle of judging.
//!
//! - `business`: what the business wants to know, event by event; `views`: what became of each view;
//! - `instances`: whose heartbeats are heard; `pings`: which rivers answer;
//! - `audit`: which events should have come to which river, and have not; `wanted` reads who wants what;
//! - `depths`: how much waits in rivers and quarantines;
//! - `probe`: Sally, every twenty seconds, stage by stage;
//! - `clock`: how much time has passed on the rapids, as far as is heard: what is due is judged by it;
//! - `desk` is where an event is shown to each of them, and where time passes; `labels` keeps series few.

mod audit;
mod business;
mod clock;
mod config;
mod depths;
mod desk;
mod instances;
mod labels;
mod metrics;
mod pings;
pub mod probe;
mod recent;
mod views;
mod wanted;
mod watch;

pub use config::{Config, Probe};
pub use watch::Monitor;

/// The service as a process.
pub type Service = river::Service<Monitor>;
