//! `dlq purge`: deleted for ever.

use anyhow::{Context as _, anyhow};
use aws_sdk_sqs::operation::purge_queue::PurgeQueueError;
use futures_util::FutureExt as _;
use serde_json::json;

use super::confirm::{is_attended, is_typed};
use super::home::DeadLetters;
use super::pass::Pass;
use crate::args::watch::Only;
use crate::failure::{Failure, Result};
use crate::output::Progress;
use crate::session::Session;
use crate::signals::Signals;
use crate::watch::queue::Queue;

/// Deletes what is meant.
pub(super) async fn run(
    session: &Session,
    letters: &DeadLetters,
    only: &Only,
    yes: bool,
) -> Result<()> {
    let queue = letters.open(session).await?;
    let count = queue.count(session).await?;
    let name = &queue.name;
    if !yes {
        let count = count.visible + count.hidden;
        let what = if only.is_everything() { "all" } else { "what matches" };
        if !is_attended() {
            return Err(Failure::Usage(format!(
                "queue {name} has {count} messages and nobody is there to confirm: say --yes to delete {what} for ever"
            )));
        }
        session.output.note(&format!(
            "queue {name} has {count} messages; to delete {what} for ever, type its name:"
        ));
        if !is_typed(name)? {
            return Err(Failure::Usage("that is not its name: nothing was deleted".to_owned()));
        }
    }
    let deleted = if only.is_everything() {
        purge(session, &queue).await?;
        // SQS does not say how many it deletes.
        count.visible + count.hidden
    } else {
        let mut pass = Pass::new(session, &queue)?;
        let mut deleted = 0;
        let done = delete(&mut pass, only, &mut deleted).await;
        pass.finish().await;
        done.with_context(|| format!("after {deleted} messages were deleted"))?;
        deleted
    };
    if session.output.json {
        return Ok(session.output.print(&json!({ "queue": name, "deleted": deleted }))?);
    }
    Ok(session.output.say(&format!("{deleted} messages deleted from queue {name}"))?)
}

async fn purge(session: &Session, queue: &Queue) -> anyhow::Result<()> {
    let error = match session.aws.sqs.purge_queue().queue_url(&queue.url).send().await {
        Ok(_) => return Ok(()),
        Err(error) => error,
    };
    if error.as_service_error().is_some_and(PurgeQueueError::is_purge_queue_in_progress) {
        let name = &queue.name;
        return Err(anyhow!(
            "queue {name} was purged within the last 60 seconds: SQS wants you to wait"
        ));
    }
    Err(anyhow::Error::new(error).context(format!("purging queue {}", queue.name)))
}

async fn delete(pass: &mut Pass<'_>, only: &Only, deleted: &mut u64) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let mut progress = Progress::new();
    while let Some(parcels) = pass.next().await? {
        for parcel in parcels.iter().filter(|parcel| only.takes(parcel)) {
            if signals.next().now_or_never().is_some() {
                return Err(anyhow!("stopped; the others lie where they were"));
            }
            pass.delete(parcel).await?;
            *deleted += 1;
            progress.show(&format!("{deleted} deleted"));
        }
    }
    Ok(())
}
