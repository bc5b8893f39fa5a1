//! A Kinesis Client Library in native Rust.
//!
//! Several workers share the shards of a stream through leases in a DynamoDB table whose rows are those of
//! the Java Kinesis Client Library. A worker reads the shards it holds, hands batches to a [`Processor`],
//! and moves a shard's checkpoint only past what that accepted: at least once, in order within a shard,
//! whatever crashes.
//!
//! Records come as batches to a [`Processor`], one by one to a function ([`each()`]), or as a stream of
//! deliveries that are acknowledged in any order ([`stream()`]). What fails is retried, halved and put away as
//! [`Attempts`] says, never skipped.
//!
//! How it fits together: a [`Consumer`] looks at the lease table on a timer; [`shards`] says which leases are
//! missing or have served, and [`balance`] which ones to get. Each lease that it holds has a task that keeps it
//! (`lease::held`, on a thread of its own) and one that works on its shard (`shard_task`): pages come from
//! `retrieval`, KPL aggregates are taken apart by `aggregate`, `delivery` hands records over and knows up to where
//! all is settled. [`lease::transition`] knows every write that is ever made to a lease. What is decided is decided
//! by functions without I/O.
//!
//! It knows no JSON, SNS or SQS.

mod aggregate;
mod backoff;
pub mod balance;
mod budget;
mod checkpoint;
mod clock;
mod consumer;
mod dead_letters;
mod delivery;
mod each;
mod error;
pub mod lease;
mod metrics;
mod participant;
mod processor;
mod record;
mod retrieval;
mod settings;
mod shard_task;
pub mod shards;
mod stream;

pub use aggregate::{Aggregated, Aggregator, Aggregators, NotAdded};
pub use checkpoint::{Checkpoint, InvalidCheckpoint, Position, SequenceNumber};
pub use consumer::{Consumer, Status};
pub use dead_letters::{WithDeadLetters, with_dead_letters};
pub use delivery::Progress;
pub use each::{Each, each};
pub use error::Error;
pub use lease::{HashRange, InvalidLease, Lease};
pub use metrics::{Access, Api, Fate, Got, Look, Loss, Metrics, NoMetrics};
pub use processor::{Batch, Ended, Failure, Processor, Scope, ShardContext};
pub use record::{PartitionKey, Record};
pub use settings::{
    Attempts, Balance, InitialPosition, Lanes, Mode, OutsideShard, Retrieval, Settings,
};
pub use stream::{Deliveries, RecordDelivery, ToStream, stream};

/// Compiles the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
