//! Commands that look after the machinery.

mod doctor;
mod lease;
mod leases;
mod probe;

use crate::args::ops::Ops;
use crate::failure::Result;
use crate::session::Session;

/// Does what is asked for.
///
/// # Errors
/// Refusals before anything was done, and whatever AWS fails with.
pub(crate) async fn run(session: &Session, command: Ops) -> Result<()> {
    match command {
        Ops::Doctor(settings) => doctor::run(session, &settings).await,
        Ops::Probe(settings) => probe::run(session, &settings).await,
        Ops::Lease(command) => lease::run(session, command).await,
    }
}
