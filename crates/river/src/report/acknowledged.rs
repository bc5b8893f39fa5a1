//! Which audited events this process has accounted for.

use std::sync::{Mutex, PoisonError};

use event::{Event, EventId};
use serde_json::json;

use super::About;

/// Ids in one report: some 20 KB.
const TOGETHER_MAX: usize = 500;
/// Ids between two heartbeats; a process would have to settle ten thousand events a second.
const KEPT_MAX: usize = 20_000;
/// What is not audited: what services say of themselves.
const SYSTEM: &str = "system.";

/// Ids of audited events that were settled, or given back to the queue for another attempt, since the last report.
#[derive(Debug, Default)]
pub(super) struct Acknowledged(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    ids: Vec<EventId>,
    /// For these there was no room: whoever audits cannot tell what became of them.
    untold: u64,
}

impl Acknowledged {
    /// The event has come here, and is settled or lies in the queue again.
    pub(super) fn note(&self, event: &Event) {
        if !event.event_id.is_audited() || event.event_type.starts_with(SYSTEM) {
            return;
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.ids.len() < KEPT_MAX {
            kept.ids.push(event.event_id.clone());
        } else {
            kept.untold += 1;
        }
    }

    /// What is to be told, in as many events as it takes; none if there is nothing.
    pub(super) fn reports(&self, about: &About) -> Vec<Event> {
        let kept = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let report = |ids: &[EventId], untold: u64| {
            let mut payload = about.payload();
            payload["ids"] = json!(ids);
            if untold > 0 {
                payload["untold"] = untold.into();
            }
            about.event("system.Acknowledged", payload)
        };
        let chunks = kept.ids.chunks(TOGETHER_MAX).enumerate();
        // The first one says how many are missing: with room for none there would be no first one.
        chunks.map(|(at, ids)| report(ids, if at == 0 { kept.untold } else { 0 })).collect()
    }
}
