//! Workers, shards and leases together, against the embedded AWS on a paused clock.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod basics;
mod handover;
mod positions;
mod starved;
mod world;
