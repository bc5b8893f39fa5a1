//! Carries every record of the rapids to the rivers: by the SNS topic with their filters, and to the queues of those that
//! are fed directly.
//!
//! A record goes on byte for byte as it came, with its event type as the message attribute that river filters look at.
//! The checkpoint of a shard passes a record only once SNS and each river that is fed directly have accepted it, or once
//! it lies in the quarantine with the reason why it cannot be carried.
//!
//! `cargo` reads a batch, `routes` knows what is fed directly, `plan` decides which way each record goes, `carrier` has it
//! go there: `outlet` sends in requests that `pack` cuts, `publish` to SNS, `send` to queues. A river whose queue fails
//! (`target`) stops nobody for ever, and a record that comes again goes only where it is still `owed`. What is unfit is
//! `put_away`.

mod attributes;
mod cargo;
mod carrier;
mod config;
mod metrics;
mod outcome;
mod outlet;
mod owed;
mod pack;
mod plan;
mod publish;
mod put_away;
mod reader;
mod routes;
mod send;
mod target;

pub use config::Config;
pub use reader::RapidsReader;
