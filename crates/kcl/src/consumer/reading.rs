//! The shards that a worker reads: a task each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::processor::{Ended, Failure};

/// How a shard's task ended, and what the processor said if it was that which ended it.
pub(crate) type End = (Ended, Option<Failure>);

pub(super) struct Reading {
    pub(super) tasks: JoinSet<End>,
    shards: BTreeMap<Id, Shard>,
    /// Tells every task to finish.
    pub(super) stop: CancellationToken,
}

struct Shard {
    id: Arc<str>,
    hint: Arc<Notify>,
}

impl Reading {
    pub(super) fn new(stop: &CancellationToken) -> Self {
        Self { tasks: JoinSet::new(), shards: BTreeMap::new(), stop: stop.child_token() }
    }

    pub(super) fn begin(
        &mut self,
        shard: Arc<str>,
        hint: Arc<Notify>,
        task: impl Future<Output = End> + Send + 'static,
    ) {
        let id = self.tasks.spawn(task).id();
        self.shards.insert(id, Shard { id: shard, hint });
    }

    pub(super) fn len(&self) -> usize {
        self.shards.len()
    }

    pub(super) fn keys(&self) -> BTreeSet<String> {
        self.shards.values().map(|shard| shard.id.to_string()).collect()
    }

    /// Has the lease of a shard renewed soon, as it may have been asked for.
    pub(super) fn hint(&self, key: &str) {
        for shard in self.shards.values().filter(|shard| &*shard.id == key) {
            shard.hint.notify_one();
        }
    }

    /// Takes note of a task that has ended: which shard, and how.
    pub(super) fn forget(&mut self, ended: Result<(Id, End), JoinError>) -> (Arc<str>, End) {
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let shard = self.shards.remove(&id).map_or_else(|| Arc::from(""), |shard| shard.id);
        match ended {
            Ok((_, end)) => (shard, end),
            Err(error) => {
                error!(shard = &*shard, error = %error, "reading a shard failed, it will be taken again");
                (shard, (Ended::Lost, None))
            }
        }
    }
}
