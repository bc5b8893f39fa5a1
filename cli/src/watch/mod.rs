//! Commands for those who operate a stage: what flows, what came of an event, why it did not come, and what got
//! stuck. Nothing here is needed for events to flow, and nothing but `dlq redrive`, `dlq purge` and `replay` changes
//! anything.

mod dlq;
mod explain;
mod flow;
mod forest;
mod pace;
mod pick;
mod publication;
mod queue;
mod replay;
pub(crate) mod rows;
mod tail;
mod trace;

use crate::args::watch::Watch;
use crate::failure::Result;
use crate::session::Session;

/// Does what is asked for.
///
/// # Errors
/// Refusals before anything was done, and whatever AWS fails with.
pub(crate) async fn run(session: &Session, command: Watch) -> Result<()> {
    match command {
        Watch::Tail(settings) => Ok(tail::run(session, &settings).await?),
        Watch::Trace(settings) => trace::run(session, &settings).await,
        Watch::Flow(settings) => Ok(flow::run(session, &settings).await?),
        Watch::Explain(settings) => explain::run(session, &settings).await,
        Watch::Dlq(command) => dlq::run(session, command).await,
        Watch::Replay(settings) => replay::run(session, &settings).await,
    }
}
