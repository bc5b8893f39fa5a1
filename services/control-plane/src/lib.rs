//! Turns the commands of the control stream into rivers, and keeps them what they should be.
//!
//! A command changes what is desired, rows in DynamoDB, and is done with that. The river is then looked at
//! (`observe`), what is missing is decided (`plan`, pure) and done (`act`): at once for the river of a command, soon
//! again where AWS does not do it (`agenda`), and for every river on a timer (`patrol`), by the replica that reads
//! the first shard of the control stream (`held`). Every step can be done twice, so that a crash between any two is
//! repaired by the next look.
//!
//! A command that nobody can carry out goes to the quarantine with every byte and the reason.

mod act;
mod advertise;
mod agenda;
mod arn;
mod blueprint;
mod command;
mod config;
mod control_plane;
mod drift;
mod error;
mod handler;
mod held;
mod metrics;
mod nudge;
mod observe;
mod patrol;
mod plan;
mod policy;
mod preview;
mod queue;
mod reconcile;
mod subscription;
mod tables;

pub use config::{Config, DeadLetter, Prices, Queue};
pub use control_plane::{ControlPlane, ensure_tables};
pub use preview::{Clients, Foresight, NeverRan, Preview, Step, Wish};
