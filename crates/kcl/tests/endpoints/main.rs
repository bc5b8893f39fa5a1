//! The library against an AWS that is reached from outside: in real time, every worker on a runtime of its own.
//!
//! `KCL_TEST_KINESIS_ENDPOINT` and `KCL_TEST_DYNAMODB_ENDPOINT` (`http://127.0.0.1:PORT`) say where; without them
//! the same tests run against the embedded AWS. `.ci/second-opinion` sets them to emulators that others wrote.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod backend;
mod basics;
mod fan_out;
mod fleet;
mod positions;
mod reshard;
mod tale;
mod world;
