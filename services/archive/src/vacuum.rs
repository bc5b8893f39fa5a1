//! Deletes files that nobody needs: those that were merged into others, and those that a writer left behind.
//!
//! Both are kept for a grace time. Someone who opened the archive before may still be reading the former, and a
//! writer that is at work right now may be about to commit the latter.

use std::sync::Arc;

use futures_util::TryStreamExt as _;
use jiff::{SignedDuration, Timestamp};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};

use crate::Error;
use crate::log::Log;
use crate::partition::DATA;
use crate::rows::Rows;
use crate::state::State;

/// Whether a file is to be deleted: it is not live, and has not been for this long.
pub(crate) fn is_doomed(
    state: &State,
    path: &str,
    written: Timestamp,
    now: Timestamp,
    grace: SignedDuration,
) -> bool {
    let since = state.removed_at(path).unwrap_or(written);
    !state.is_live(path) && now.duration_since(since) > grace
}

/// Deletes what has been of no use for longer than `grace`, and says how many files that were.
///
/// # Errors
/// [`Error`]; what is left is deleted next time.
pub(crate) async fn vacuum(
    store: &Arc<dyn ObjectStore>,
    log: &Log,
    state: &mut State,
    now: Timestamp,
    grace: SignedDuration,
) -> Result<usize, Error> {
    let data = Path::from(DATA);
    let rows = Rows::new(Arc::clone(store));
    let mut listed = store.list(Some(&data));
    let mut old = Vec::new();
    while let Some(file) = listed.try_next().await.map_err(Error::store("list", &data))? {
        // Files of the present are most of all, and never deleted.
        if now.duration_since(written(&file)) > grace {
            old.push(file);
        }
    }
    // After the listing: what was committed meanwhile is live.
    log.refresh(state).await?;
    let mut deleted = 0;
    for file in old {
        if is_doomed(state, file.location.as_ref(), written(&file), now, grace) {
            rows.delete(&file.location).await?;
            deleted += 1;
        }
    }
    Ok(deleted)
}

fn written(file: &ObjectMeta) -> Timestamp {
    let (second, nanos) =
        (file.last_modified.timestamp(), file.last_modified.timestamp_subsec_nanos());
    let nanos = i32::try_from(nanos).unwrap_or_default();
    // A time that cannot be told is none at which the file is old.
    Timestamp::new(second, nanos).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
