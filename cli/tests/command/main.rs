//! The real binary, as a person or a script runs it: against a `rapids up` of its own, over a socket.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

mod catalogue;
mod demo;
mod failures;
mod manage;
mod ops;
mod screen;
mod scripts;
mod support;
mod up;
mod watch;
