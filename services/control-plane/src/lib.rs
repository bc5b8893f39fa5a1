//! Turns the commands of the control stream into rivers.
//!
//! A command first changes what is desired, a row in DynamoDB; then the river is looked at (`observe`), what is
//! missing is decided (`plan`, pure) and done (`act`). Every step can be done twice and a crash between any two
//! is repaired by doing the command again, which is what happens: the checkpoint of the control stream moves
//! past a command only after its last step.
//!
//! A command that nobody can carry out goes to the quarantine with every byte and the reason. A command that
//! cannot be carried out now is tried again.
//!
//! Deliberately absent as yet: reconciliation on a timer. Drift is repaired when a command touches the river.

mod act;
mod arn;
mod blueprint;
mod command;
mod config;
mod control_plane;
mod error;
mod handler;
mod metrics;
mod plan;
mod policy;
mod queue;
mod reconcile;
mod subscription;
mod tables;

pub use config::{Config, DeadLetter, Queue};
pub use control_plane::{ControlPlane, ensure_tables};
