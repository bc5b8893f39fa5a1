//! A control plane and what AWS has afterwards.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

mod advertise;
mod chaos;
mod commands;
mod common;
mod drift;
mod replicas;
