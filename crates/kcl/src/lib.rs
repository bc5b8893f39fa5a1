//! A Kinesis Client Library in native Rust.
//!
//! Several workers share the shards of a stream through leases in a DynamoDB table whose rows are those of
//! the Java Kinesis Client Library. A worker reads the shards it holds, hands batches to a [`Processor`],
//! and moves a shard's checkpoint only past what that accepted: at least once, in order within a shard,
//! whatever crashes.
//!
//! How it fits together: [`Consumer`] looks at the lease table on a timer, [`balance`] decides which leases
//! to take, each held lease has a task of its own that renews it (`held`) and one that reads its shard
//! (`shard_task`). [`lease::transition`] knows every write that is ever made to a lease.
//!
//! It knows no JSON, SNS or SQS. Deliberately absent as yet: graceful hand-over while balancing, enhanced
//! fan-out, KPL de-aggregation, acknowledgement per record.

mod backoff;
pub mod balance;
mod budget;
mod checkpoint;
mod clock;
mod consumer;
mod delivery;
mod each;
mod error;
pub mod lease;
mod metrics;
#[cfg_attr(not(test), expect(dead_code, reason = "the consumer is to call it"))]
mod participant;
mod processor;
mod record;
mod retrieval;
mod settings;
mod shard_task;
pub mod shards;
mod stream;

pub use checkpoint::{Checkpoint, InvalidCheckpoint, Position, SequenceNumber};
pub use consumer::{Consumer, Status};
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
