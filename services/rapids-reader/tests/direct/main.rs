//! Rivers that the reader feeds directly.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod chaos;
#[path = "../common/mod.rs"]
mod common;
mod failing;
mod news;
mod rig;
mod ways;
