//! A Kinesis Client Library in native Rust.
//!
//! Several workers share the shards of a stream through leases in a DynamoDB table whose rows are those of
//! the Java Kinesis Client Library. A worker reads the shards it holds, hands batches to a [`Processor`],
//! and moves a shard's checkpoint only past what that accepted: at least once, in order within a shard,
//! whatever crashes.
//!
//! How it fits together: [`Consumer`] looks at the lease table on a timer, [`balance`] decides which leases
//! to take, each held lease has a task of its own that renews it (`held`) and one that reads its shard
//! (`shard_task`). [`transition`] knows every write that is ever made to a lease.
//!
//! It knows no JSON, SNS or SQS. Deliberately absent as yet: graceful hand-over while balancing, enhanced
//! fan-out, KPL de-aggregation, acknowledgement per record.

pub mod balance;
mod checkpoint;
mod consumer;
mod error;
mod held;
mod lease;
mod lease_table;
mod processor;
mod retrieval;
mod settings;
mod shard_task;
pub mod shards;
pub mod transition;

pub use checkpoint::{Checkpoint, InvalidCheckpoint, Position, SequenceNumber};
pub use consumer::{Consumer, Status};
pub use error::Error;
pub use lease::{HashRange, InvalidLease, Lease};
pub use processor::{Batch, Processor, Record, Retry};
pub use settings::{InitialPosition, Settings};
