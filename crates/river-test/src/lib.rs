//! A service on rapids and rivers in memory, for its author's tests.
//!
//! [`explore`] runs a service through every order of events, with copies, and dying at each of its calls to AWS, all in one
//! call and in virtual time:
//!
//! ```
//! use river::{Context, Draft, Event, Failure, Handler, NoConfig, Outcome, Packet};
//! use river_test::{Plan, explore};
//! use serde_json::json;
//!
//! struct Greeter;
//!
//! impl Handler for Greeter {
//!     const RIVER: &'static str = "greeter";
//!     const EMITS: &'static [&'static str] = &["Greeted"];
//!     const DOMAIN: &'static str = "hospitality";
//!     type Config = NoConfig;
//!
//!     fn listens_to() -> Vec<Packet> {
//!         vec![Packet::of("ViewPage")]
//!     }
//!
//!     async fn build(_: NoConfig, _: &Context) -> anyhow::Result<Self> {
//!         Ok(Self)
//!     }
//!
//!     async fn handle(&self, event: &Event) -> Result<Outcome, Failure> {
//!         Ok(Outcome::answer(Draft::new("Greeted", "greet", json!({ "to": event.payload["name"] }))))
//!     }
//! }
//!
//! let view = Event::root("ViewPage", "web", json!({ "name": "Sally" }), jiff::Timestamp::UNIX_EPOCH);
//! let plan = Plan::of([view]).each_twice().crash_at_every_call();
//! explore::<Greeter>(&plan, |run| {
//!     let greeted = run.answers_of("Greeted");
//!     assert_eq!(greeted.len(), 1, "one greeting for one view, whatever dies");
//!     assert_eq!(greeted[0].payload["to"], "Sally");
//! });
//! ```
//!
//! [`World`] is the same by hand, for what a plan cannot say.

mod explore;
mod lifeline;
mod plan;
mod world;

pub use explore::{Run, explore};
pub use lifeline::Crash;
pub use plan::Plan;
pub use world::{DeadLetter, Process, World};
