//! Workers, shards and leases together, against the embedded AWS on a paused clock.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod aggregates;
mod audit;
mod basics;
mod beside_java;
mod handover;
mod lost;
mod positions;
mod shard_end;
mod starved;
mod stopping;
mod throughput;
mod under_a_leader;
mod world;
