//! The service kit: what a service on a river does, so that its author writes a type.
//!
//! A [`Handler`] says which river it drinks from, which topics that river listens to, and answers an event with
//! drafts. `main` is `chassis::run::<river::Service<Location>>("location")`. Everything else is done here, once:
//!
//! - `hook` subscribes the river, advertises what the service emits if told to, then waits for the queue;
//! - `consumer` puts together what follows: `source` receives as far as `turns` has room and `budget` bytes, `limit`
//!   decides how many are handled at once and `pressure` what speaks against more, `held` and `visibility` keep what was received, `delivery` takes one message from
//!   receipt to settlement, `settle` decides how, `delete` and `dead_letters` act on it;
//! - `rapids` publishes, `alarm` sends the service an event of its own after a while;
//! - `experiments` knows which arms there are, and which events are another river's because of them;
//! - `report` says on the rapids that the service lives, how it does and what it could not use, and answers pings.
//!
//! A message is deleted only after its answers are on the rapids and the handler has written down what it must
//! ([`Handler::answered`]); until then it is kept, and whatever goes wrong it comes again. What cannot be handled
//! at all lies in the river's dead-letter queue, with the reason.
//!
//! Not here on purpose: durable state (crate `pond`), which the kit never needs; and any knowledge of how events
//! get from the rapids to the queue.

mod alarm;
mod budget;
mod config;
mod consumer;
mod context;
mod dead_letters;
mod delete;
mod delivery;
mod experiments;
mod gather;
mod handler;
mod held;
mod hook;
mod limit;
mod message;
mod metrics;
mod pack;
mod pressure;
mod rapids;
mod report;
mod service;
mod settle;
mod source;
mod turns;
mod visibility;

pub use alarm::{Alarm, NotRung};
pub use config::{Config, NoConfig, Report};
pub use context::Context;
pub use event::{Advert, Draft, Event, Packet};
pub use experiments::Experiments;
pub use handler::{Failure, Handler, Outcome, payload};
pub use rapids::{NotPublished, Rapids};
pub use service::Service;

/// The README's example, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
