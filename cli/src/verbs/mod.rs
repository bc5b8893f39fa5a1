//! The verbs of the original, one file for each way of talking to AWS.

pub(crate) mod control;
pub(crate) mod experiment;
pub(crate) mod list;
pub(crate) mod read;
pub(crate) mod send;

use event::control::Command;

use crate::args::Verb;
use crate::args::catalogue::Topics;
use crate::catalogue;
use crate::failure::Result;
use crate::session::Session;

/// Does what one line asks for.
///
/// # Errors
/// Refusals before anything was done, and whatever AWS fails with.
pub(crate) async fn run(session: &Session, verb: Verb) -> Result<()> {
    match verb {
        Verb::Send { event, source, data } => send::run(session, &event, &source, &data).await,
        Verb::Subscribe { river, topic, patience } => {
            control::run(session, &Command::subscribe(river, topic), patience.limit()).await
        }
        Verb::Unsubscribe { river, topic, patience } => {
            control::run(session, &Command::Unsubscribe { river, topic }, patience.limit()).await
        }
        Verb::Advertise(settings) => catalogue::advertise(session, settings).await,
        Verb::ReadFrom(settings) => read::run(session, &settings).await,
        Verb::ListSubs { river } => list::run_subscriptions(session, &river).await,
        Verb::Topics(Topics { details: true }) => Ok(catalogue::details(session, None).await?),
        Verb::Topics(Topics { details: false }) => list::run_topics(session).await,
    }
}
