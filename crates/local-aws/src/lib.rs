//! An embedded AWS: Kinesis, SNS, SQS, DynamoDB and STS, as far as this system touches them.
//!
//! The same services answer in three ways: in process as the HTTP client of the Rust SDK ([`LocalAws::sdk_config`]),
//! on a loopback port for every other client ([`LocalAws::serve`]), and to a script of faults that can throttle,
//! delay, fail or lose any call ([`LocalAws::faults`]).
//!
//! What is deliberately absent: signatures and IAM are not checked, nothing is kept on disk. An operation that is
//! not served is an error, never a silent success.

mod client;
mod clock;
mod dynamodb;
mod faults;
mod kinesis;
mod local_aws;
mod server;
mod service;
mod sns;
mod sqs;
mod sts;
mod wire;

pub use clock::Clock;
pub use faults::{Fault, Faults};
pub use kinesis::KinesisSettings;
pub use local_aws::{ACCOUNT, Builder, LocalAws};
pub use service::Service;
