//! What became of a batch.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use quarantine::Reason;

use crate::outlet::Attempt;
use crate::owed::Owed;
use crate::plan::Unfit;
use crate::target::Target;

/// What delivering and quarantining left, by index: ways to go again.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) left: BTreeMap<usize, Owed>,
    pub(crate) unfit: Vec<Unfit>,
    /// Why something is left.
    pub(crate) reason: String,
}

impl Outcome {
    /// Adds what a delivery came to. `way` is where to, `name` what people call it.
    pub(crate) fn add(&mut self, attempt: Attempt, way: &Owed, name: &str) {
        let kind = if way.sns { "refused_by_sns" } else { "refused_by_sqs" };
        self.unfit.extend(attempt.refused.into_iter().map(|refused| Unfit {
            index: refused.index,
            reason: Reason { kind, text: refused.reason },
            instead_of: way.clone(),
        }));
        if !attempt.left.is_empty() {
            self.reason = format!("{name} did not accept some events: {}", attempt.last_error);
        }
        for index in attempt.left {
            self.left.entry(index).or_default().add(way.clone());
        }
    }

    /// What a river did not take for so long that the shard waits for it no more becomes unfit.
    pub(crate) fn give_up(&mut self, target: &Arc<Target>, attempt: &mut Attempt, since: Duration) {
        let (url, seconds) = (&target.queue_url, since.as_secs());
        let text = format!("{url} took nothing for {seconds} s: {}", attempt.last_error);
        self.unfit.extend(attempt.left.drain(..).map(|index| Unfit {
            index,
            reason: Reason { kind: "river_unreachable", text: text.clone() },
            instead_of: Owed::river(Arc::clone(target)),
        }));
    }
}
