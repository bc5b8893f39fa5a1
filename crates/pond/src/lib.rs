//! Durable state for services.
//!
//! A service has one table, opened as a [`Pond`], and keeps in it what it needs of these:
//!
//! - [`Inbox`]: which events were handled, so that a copy is dropped;
//! - [`Facts`]: what is known in a conversation. Facts only grow, so a [`Rule`] over them fires once in whatever
//!   order the events arrive;
//! - [`Windows`]: a need, its solutions for a while, and one choice among them, through any crash;
//! - [`Outbox`]: events that have to follow a change of state when no message comes again if they do not, and the
//!   sweeper that publishes what was left behind;
//! - [`Reference`]: small tables of things that somebody else knows, put row by row or from a file.
//!
//! Nothing here publishes, and nothing knows of rivers: a service writes what it must before it lets an event go.
//! Nothing here holds a lock or a lease either: every write that decides something is conditional, and whoever
//! comes second finds out.

mod error;
mod facts;
mod inbox;
mod item;
mod outbox;
mod reference;
mod rule;
mod table;
mod window;

pub use error::Error;
pub use facts::{Fact, Facts, Known};
pub use inbox::Inbox;
pub use outbox::{CommitError, Committed, Outbox, Refused, Sweep, Swept, Unpublished};
pub use reference::{LoadError, Reference};
pub use rule::{Requires, Rule, due};
pub use table::Pond;
pub use window::{
    CloseReason, Closing, Collected, Frozen, Lateness, Opening, Solution, When, WindowId, Windows,
};
