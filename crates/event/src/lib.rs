//! The event on the wire.
//!
//! Everything that two processes must agree on, and nothing that does I/O: the fields of an event and its ids
//! ([`Event`], [`Draft`], [`EventId`]), what the reader needs of one without copying it ([`Header`]), the
//! commands of the control stream ([`control`]), the names of AWS resources ([`names`]), SNS filter policies
//! ([`filter`]), what a service wants to hear ([`packet`]), what is routed to a queue directly ([`route`]), what topics
//! are said to be ([`catalogue`], [`schema`]) and the message group of a subject ([`message_group`]).

pub mod catalogue;
pub mod control;
mod draft;
mod event;
pub mod experiment;
pub mod filter;
mod header;
mod id;
pub mod names;
pub mod packet;
pub mod route;
pub mod schema;
mod subject;

pub use catalogue::Advert;
pub use draft::{Draft, MAX_HOPS, Origin};
pub use event::{Event, Producer};
pub use experiment::Experiment;
pub use header::{Header, Malformed};
pub use id::EventId;
pub use packet::Packet;
pub use subject::message_group;

/// The SNS message attribute that carries an event's type, and the key of every river's filter policy.
pub const EVENT_TYPE_ATTRIBUTE: &str = "event_type";
