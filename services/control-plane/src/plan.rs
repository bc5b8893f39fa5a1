//! What to do so that a river becomes what it should be. Pure: a table of cases, no call.

use std::collections::BTreeMap;

use event::names::{River, Topic};
use event::packet::AttributeFilter;

use crate::blueprint::Blueprint;
use crate::error::Error;
use crate::policy::Topics;
use crate::queue::{self, Attributes, Queue};
use crate::subscription::{self, FILTER_POLICY, FILTER_VALUES_MAX, Subscription};
use crate::tables::{Status, Wanted};

/// A river's row in the table, and what AWS has of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct View {
    /// Each topic that somebody wants in the river, and how far it has come.
    pub(crate) topics: BTreeMap<Topic, Status>,
    /// What SNS is to check of each topic's events; nothing for one that is not here.
    pub(crate) filters: BTreeMap<Topic, AttributeFilter>,
    pub(crate) queue: Option<Queue>,
    pub(crate) dead_letter_queue: Option<Queue>,
    pub(crate) subscription: Option<Subscription>,
}

impl View {
    /// Whether the same topics with the same filters were wanted when it was seen.
    pub(crate) fn is_about(&self, wanted: &BTreeMap<Topic, Wanted>) -> bool {
        let same = |(topic, wanted): (&Topic, &Wanted)| {
            self.topics.contains_key(topic) && self.filters.get(topic) == Some(&wanted.filter)
        };
        self.topics.len() == wanted.len() && wanted.iter().all(same)
    }
}

/// One step. Each can be done twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    CreateQueue { name: String },
    SetQueue { name: String, attributes: Attributes },
    Subscribe { endpoint: String, attributes: subscription::Attributes },
    SetSubscription { arn: String, name: String, value: String },
    Unsubscribe { arn: String },
    Activate { topic: Topic },
}

/// The steps, in their order: a queue stands before anything is sent to it, a dead-letter queue before the
/// queue that needs it, and a topic is said to be active last.
///
/// # Errors
/// A river with more topics than a filter policy holds.
pub(crate) fn plan(
    blueprint: &Blueprint,
    river: &River,
    view: &View,
) -> Result<Vec<Action>, Error> {
    // What was refused once stays out of the filter, so that the rest of the river goes on.
    let wanted = view.topics.iter().filter(|(_, status)| **status != Status::Degraded);
    let filter = |topic: &Topic| view.filters.get(topic).cloned().unwrap_or_default();
    let topics: Topics = wanted.map(|(topic, _)| (topic.clone(), filter(topic))).collect();
    if topics.is_empty() {
        // The queue stays: what waits in it is data.
        let arn = view.subscription.as_ref().map(|found| found.arn.clone());
        return Ok(arn.map(|arn| Action::Unsubscribe { arn }).into_iter().collect());
    }
    if topics.len() > FILTER_VALUES_MAX {
        let count = topics.len();
        let why = format!("{count} topics, and an SNS filter policy holds {FILTER_VALUES_MAX}");
        return Err(Error::Refused { what: format!("river {river}"), why });
    }
    let mut actions = Vec::new();
    let dead_letters = queue::wanted_dead_letter(blueprint, river);
    stand_up(
        &mut actions,
        river.dead_letter_queue(),
        dead_letters,
        view.dead_letter_queue.as_ref(),
    );
    let wanted = queue::wanted(blueprint, river);
    stand_up(&mut actions, river.queue(), wanted, view.queue.as_ref());
    subscribe(&mut actions, blueprint, river, &topics, view.subscription.as_ref());
    let pending = view.topics.iter().filter(|(_, status)| **status == Status::Pending);
    actions.extend(pending.map(|(topic, _)| Action::Activate { topic: topic.clone() }));
    Ok(actions)
}

fn stand_up(actions: &mut Vec<Action>, name: String, wanted: Attributes, found: Option<&Queue>) {
    let attributes = match found {
        Some(found) => queue::missing(wanted, &found.attributes),
        None => {
            actions.push(Action::CreateQueue { name: name.clone() });
            wanted
        }
    };
    if !attributes.is_empty() {
        actions.push(Action::SetQueue { name, attributes });
    }
}

fn subscribe(
    actions: &mut Vec<Action>,
    blueprint: &Blueprint,
    river: &River,
    topics: &Topics,
    found: Option<&Subscription>,
) {
    let mut attributes = subscription::wanted(blueprint, river, topics);
    let Some(Subscription { arn, attributes: found }) = found else {
        let endpoint = blueprint.arns.queue(&river.queue());
        actions.push(Action::Subscribe { endpoint, attributes });
        return;
    };
    // The filter is what commands change, and SNS may show the one before the last: it is written always, so
    // that subscribe, unsubscribe and subscribe in a row cannot end with the second.
    let filter = attributes.remove(FILTER_POLICY);
    let changed = queue::missing(attributes, found);
    let set = |(name, value)| Action::SetSubscription { arn: arn.clone(), name, value };
    actions.extend(changed.into_iter().map(set));
    actions.extend(filter.map(|filter| set((FILTER_POLICY.to_owned(), filter))));
}

#[cfg(test)]
mod tests;
