//! Collects the offers for a view for a while, then selects among them.
//!
//! A view opens a window for each slot that offers are wanted for, and so does an offer that comes before its
//! view. When the window's time is over, `policy` ranks what was collected, and the selection goes onto the
//! rapids, an empty one too: a view without an offer is something that the business wants to hear of. Who
//! offers, and why, is nothing that the engine knows.
//!
//! Windows are closed by two timers. The one in memory, `timer`, is quick and may be lost; the other is an event
//! that the engine sends itself before it opens the window, and which comes again until the selection is out.

mod config;
mod deadline;
mod engine;
mod metrics;
mod offer;
mod policy;
mod selection;
mod timer;

pub use config::Config;
pub use engine::OfferEngine;

/// The service as a process.
pub type Service = river::Service<OfferEngine>;
