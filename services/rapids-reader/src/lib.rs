//! Carries every record of the rapids to the SNS topic that feeds the rivers.
//!
//! A record is published byte for byte as it came, with its event type as the message attribute that river
//! filters look at. The checkpoint of a shard passes a record only once SNS has accepted it, or once it lies
//! in the quarantine with the reason why it cannot be carried.
//!
//! `carrier` decides what becomes of each record, `pack` cuts what is publishable into requests, `publish`
//! sends them, and the crate `quarantine` keeps what is unfit.

mod attributes;
mod carrier;
mod config;
mod metrics;
mod pack;
mod publish;
mod reader;

pub use config::Config;
pub use reader::RapidsReader;
