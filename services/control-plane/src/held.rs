//! The shards of the control stream that this process reads. Who reads the first of them looks after all rivers: so
//! one of several replicas does, and another takes over with the shard.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use kcl::ShardContext;
use tokio::sync::Notify;

/// Shards whose leases this process has. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    shards: Mutex<BTreeMap<Arc<str>, ShardContext>>,
    more: Notify,
}

impl Held {
    pub(crate) fn began(&self, shard: &ShardContext) {
        let mut shards = self.0.shards.lock().unwrap_or_else(PoisonError::into_inner);
        shards.insert(shard.id.clone(), shard.clone());
        drop(shards);
        self.0.more.notify_one();
    }

    pub(crate) fn ended(&self, shard: &ShardContext) {
        self.0.shards.lock().unwrap_or_else(PoisonError::into_inner).remove(&shard.id);
    }

    /// Whether this process has the lease of a shard, by its own clock.
    pub(crate) fn holds(&self, shard: &str) -> bool {
        let shards = self.0.shards.lock().unwrap_or_else(PoisonError::into_inner);
        shards.get(shard).is_some_and(ShardContext::is_held)
    }

    /// Waits until a lease was got.
    pub(crate) async fn more(&self) {
        self.0.more.notified().await;
    }
}
