//! The end of a river: nothing comes in any more, what is in it is read, then its queues go.

use std::time::Duration;

use event::names::River;
use jiff::SignedDuration;

use super::{Action, Plan, View};
use crate::queue::Queue;
use crate::tables::Removal;

/// Least time between the end of deliveries and the look that finds a queue empty: its counts may be a minute old
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueAttributes.html>).
const DRAIN_LEAST: Duration = Duration::from_secs(60);

/// What SQS counts of a queue.
const COUNTS: [&str; 3] = [
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
];

/// The next steps of a river without topics that is to go.
pub(super) fn plan(river: &River, view: &View, removal: Removal, bridge: Duration) -> Plan {
    let mut plan = Plan { reason: "the river is to go".to_owned(), ..Plan::default() };
    plan.stop_delivery(view);
    let queues = [
        (river.queue(), view.queue.as_ref()),
        (river.dead_letter_queue(), view.dead_letter_queue.as_ref()),
    ];
    if !removal.discard {
        let waiting: u64 = queues.iter().filter_map(|(_, queue)| queue.map(count)).sum();
        let least =
            SignedDuration::try_from(bridge.max(DRAIN_LEAST)).unwrap_or(SignedDuration::MAX);
        let since = view.now.duration_since(removal.since);
        if waiting > 0 || since < least {
            plan.findings.push(format!(
                "it is being drained: {waiting} messages wait in its queues, and it goes when they are empty, \
                 {} s after its removal at the earliest",
                least.as_secs()
            ));
            return plan;
        }
    }
    let there = queues.into_iter().filter(|(_, queue)| queue.is_some());
    plan.actions.extend(there.map(|(name, _)| Action::DeleteQueue { name }));
    plan.actions.push(Action::Forget);
    plan
}

/// Messages in a queue, by its own account.
fn count(queue: &Queue) -> u64 {
    let number = |name: &&str| queue.attributes.get(*name)?.parse::<u64>().ok();
    COUNTS.iter().filter_map(number).sum()
}
