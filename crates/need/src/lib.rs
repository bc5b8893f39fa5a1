//! Needs and solutions: somebody needs something, whoever can solves it, and one choice is made among what came.
//!
//! A need is an event. Whoever has a solution answers with an event of its own; who that is, and how many, nobody
//! knows. [`Needs`] collects the solutions of each need in a [`pond::Windows`] window, closes it in time or early, and
//! puts the choice onto the rapids, an empty one too: a need that nobody has a solution for is something to hear of.
//! What comes soon after that may still amend the choice.
//!
//! A service brings a [`Choose`]: pure functions from what was collected to what is said of it. [`Policy`] has the usual
//! ones: ranked, best, first, quorum and all.
//!
//! Windows are closed by two timers. The one in memory is quick and may be lost; the other is an event that the
//! service sends itself before it opens a window ([`DUE`]), and which comes again until the choice is out.

mod deadline;
mod needs;
mod policy;
mod settings;
mod timer;

pub use needs::{Choose, DUE, Needs, Seen};
pub use policy::{Candidate, Choice, Policy, Reason, Rejected, Selected};
pub use pond::{CloseReason, Collected, Frozen, Solution, WindowId};
pub use settings::{Amendments, Window};
