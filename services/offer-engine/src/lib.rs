//! Collects the offers for a view for a while, then selects among them.
//!
//! A view is a need for each slot that offers are wanted for; an offer is a solution. Who offers, and why, is nothing
//! that the engine knows. A selection without any offer is told too: a view without an offer is something that the
//! business wants to hear of. An offer that comes soon after its selection may still amend it.

mod config;
mod engine;
mod metrics;
mod offer;
mod selection;

pub use config::{Config, Policy, Rule};
pub use engine::OfferEngine;

/// The service as a process.
pub type Service = river::Service<OfferEngine>;
