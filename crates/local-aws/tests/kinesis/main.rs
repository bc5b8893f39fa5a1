//! What the emulated Kinesis promises a reader, asked through the real SDK client.
//!
//! In process by default. With `AWS_ENDPOINT_URL_KINESIS` the tests ask that endpoint instead, so that the
//! emulation can be held against another one, or against AWS; those that need a clock in hand say so and pass.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers as well")]

mod fan_out;
mod iterators;
mod limits;
mod listing;
mod reshard;
mod streams;
mod world;
