//! What other hands changed: steps that nobody's command asked for.

use crate::plan::{Action, Plan, View};
use crate::subscription::FILTER_POLICY;
use crate::tables::Status;

/// A step that puts something back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Drift<'a> {
    pub(crate) action: &'a Action,
}

/// The steps of `plan` that repair. Where something is being worked on, or a river is to go, its steps are no repairs.
pub(crate) fn of<'a>(view: &View, plan: &'a Plan) -> Vec<Drift<'a>> {
    let is_settled = view.topics.values().all(|status| *status != Status::Pending)
        && !view.topics.is_empty()
        && view.row.route == Some(plan.route);
    let repairs = |action: &&Action| {
        matches!(
            action,
            Action::CreateQueue { .. }
                | Action::SetQueue { .. }
                | Action::Subscribe { .. }
                | Action::SetSubscription { .. }
                | Action::Unsubscribe { .. }
        )
    };
    let actions = plan.actions.iter().filter(repairs).map(|action| Drift { action });
    if is_settled { actions.collect() } else { Vec::new() }
}

impl Drift<'_> {
    /// In one word, for counting.
    pub(crate) fn kind(self) -> &'static str {
        match self.action {
            Action::CreateQueue { .. } => "queue_missing",
            Action::SetQueue { .. } => "queue_attributes",
            Action::Subscribe { .. } => "subscription_missing",
            Action::SetSubscription { name, .. } if name == FILTER_POLICY => "filter",
            Action::SetSubscription { .. } => "subscription_attributes",
            _ => "other",
        }
    }
}
