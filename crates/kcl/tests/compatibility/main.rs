//! Sharing a lease table with the Kinesis Client Library: its rows as fixtures, its writes as a recorded trace,
//! and one set of rules that its writes and ours are held against.
//!
//! Each file in `tests/fixtures` says which program made it. No Java was at hand for any of them.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod items;
mod rows;
mod rules;
mod writes;
