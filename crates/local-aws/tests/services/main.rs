//! What the emulated services promise, asked through the real SDK clients.
//!
//! In process by default. With `AWS_ENDPOINT_URL_SQS`, `_SNS` or `_DYNAMODB` the contract tests ask that endpoint
//! instead, so that the emulation can be held against another one, or against AWS.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers as well")]

mod dynamodb;
mod faults;
mod front;
mod sns;
mod sqs;
mod sts;
mod world;
