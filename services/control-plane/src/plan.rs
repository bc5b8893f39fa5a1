//! What to do so that a river becomes what it should be. Pure: a table of cases, no call.

mod action;
mod lines;
mod removal;
mod route;

use std::collections::BTreeMap;

use event::names::{River, Topic};
use event::packet::{AttributeFilter, Rule};
use jiff::Timestamp;

pub(crate) use self::action::Action;
pub(crate) use self::route::Route;
use self::route::{Facts, decide};
use crate::blueprint::Blueprint;
use crate::error::Error;
use crate::policy::Topics;
use crate::queue::{self, Attributes, Queue};
use crate::subscription::{self, FILTER_POLICY, Subscription};
use crate::tables::{Row, Status, Versions, Wanted};

/// What is wanted of a river, and what AWS has of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct View {
    /// Each topic that somebody wants in the river, and how far it has come.
    pub(crate) topics: BTreeMap<Topic, Status>,
    /// What SNS is to check of each topic's events; nothing for one that is not here.
    pub(crate) filters: BTreeMap<Topic, AttributeFilter>,
    /// What its service declares about them.
    pub(crate) rules: BTreeMap<Topic, Vec<Rule>>,
    pub(crate) row: Row,
    pub(crate) versions: Versions,
    pub(crate) queue: Option<Queue>,
    pub(crate) dead_letter_queue: Option<Queue>,
    pub(crate) subscription: Option<Subscription>,
    /// Subscriptions of the SNS topic, where all of them were listed.
    pub(crate) policies: Option<usize>,
    /// What SNS said when it refused a subscription a moment ago.
    pub(crate) refused: Option<String>,
    /// Whether what SNS shows may be older than the last change: then the filter is written whatever it shows.
    pub(crate) in_doubt: bool,
    pub(crate) now: Timestamp,
}

impl View {
    /// Whether the same was wanted when it was seen.
    pub(crate) fn is_about(&self, wanted: &BTreeMap<Topic, Wanted>, row: &Row) -> bool {
        let same = |(topic, wanted): (&Topic, &Wanted)| {
            self.topics.contains_key(topic) && self.filters.get(topic) == Some(&wanted.filter)
        };
        let topics = self.topics.len() == wanted.len() && wanted.iter().all(same);
        topics && self.row.asks_as(row)
    }

    /// The topics that are to be delivered. What was refused once stays out, so that the rest of the river goes on.
    fn wanted_topics(&self) -> impl Iterator<Item = &Topic> {
        let wanted = self.topics.iter().filter(|(_, status)| **status != Status::Degraded);
        wanted.map(|(topic, _)| topic)
    }
}

/// How a river is fed, the steps to it, and what is not as it should be but is left to people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) route: Route,
    /// Why by this route.
    pub(crate) reason: String,
    pub(crate) actions: Vec<Action>,
    pub(crate) findings: Vec<String>,
}

/// The steps, in their order: a queue stands before anything is sent to it, a dead-letter queue before the queue that
/// needs it, the reader writes before SNS is told, and a topic is said to be active last.
///
/// # Errors
/// A river that is told to go by SNS, and has more topics than a filter policy holds.
pub(crate) fn plan(blueprint: &Blueprint, river: &River, view: &View) -> Result<Plan, Error> {
    let filter = |topic: &Topic| view.filters.get(topic).cloned().unwrap_or_default();
    let topics: Topics = view.wanted_topics().map(|topic| (topic.clone(), filter(topic))).collect();
    if topics.is_empty() {
        if let Some(removal) = view.row.removal {
            return Ok(removal::plan(river, view, removal, blueprint.bridge));
        }
        // The queue stays: what waits in it is data.
        let mut plan = Plan { reason: "no topics".to_owned(), ..Plan::default() };
        plan.stop_delivery(view);
        return Ok(plan);
    }
    let (route, reason) = decide(&Facts {
        routing: view.row.routing,
        current: view.row.route,
        topics: topics.len(),
        subscribed: view.subscription.is_some(),
        policies: view.policies,
        refused: view.refused.as_deref(),
    })
    .map_err(|error| error.about(format_args!("river {river}")))?;
    let mut plan = Plan { route, reason, ..Plan::default() };
    let dead_letters = queue::wanted_dead_letter(blueprint, river);
    plan.stand_up(river.dead_letter_queue(), dead_letters, view.dead_letter_queue.as_ref());
    plan.stand_up(river.queue(), queue::wanted(blueprint, river), view.queue.as_ref());
    let refiltered = is_refiltered(blueprint, river, &topics, view);
    plan.feed_directly(view, blueprint, refiltered);
    match (route, &view.subscription) {
        (Route::Sns, found) => plan.subscribe(blueprint, river, &topics, found.as_ref(), view),
        (Route::Direct, Some(found)) => {
            plan.actions.push(Action::Unsubscribe { arn: found.arn.clone() });
        }
        (Route::Direct, None) => {}
    }
    let pending = view.topics.iter().filter(|(_, status)| **status == Status::Pending);
    plan.actions.extend(pending.map(|(topic, _)| Action::Activate { topic: topic.clone() }));
    Ok(plan)
}

/// Whether the filter that SNS has is another than the one that it is to have.
fn is_refiltered(blueprint: &Blueprint, river: &River, topics: &Topics, view: &View) -> bool {
    let Some(found) = &view.subscription else { return true };
    let wanted = subscription::wanted(blueprint, river, topics).remove(FILTER_POLICY);
    wanted.is_some_and(|wanted| !queue::has(&found.attributes, FILTER_POLICY, &wanted))
}

impl Plan {
    /// Whether the river is gone after it.
    pub(crate) fn is_the_end(&self) -> bool {
        self.actions.last() == Some(&Action::Forget)
    }

    /// Nothing is to come in any more.
    fn stop_delivery(&mut self, view: &View) {
        let arn = view.subscription.as_ref().map(|found| found.arn.clone());
        self.actions.extend(arn.map(|arn| Action::Unsubscribe { arn }));
        if view.row.direct.is_some() {
            self.actions.push(Action::Route { lines: Vec::new() });
        }
    }

    fn stand_up(&mut self, name: String, wanted: Attributes, found: Option<&Queue>) {
        let attributes = match found {
            Some(found) => {
                self.findings.extend(queue::foreign(&name, &wanted, &found.attributes));
                queue::missing(wanted, &found.attributes)
            }
            None => {
                self.actions.push(Action::CreateQueue { name: name.clone() });
                wanted
            }
        };
        if !attributes.is_empty() {
            self.actions.push(Action::SetQueue { name, attributes });
        }
    }

    fn feed_directly(&mut self, view: &View, blueprint: &Blueprint, refiltered: bool) {
        let lines = lines::wanted(view, self.route, blueprint.bridge, refiltered);
        let found = view.row.direct.as_ref();
        let url = view.queue.as_ref().map(|queue| queue.url.as_str());
        let is_routed = match found {
            Some(direct) => direct.packets == lines && Some(direct.queue_url.as_str()) == url,
            None => lines.is_empty(),
        };
        let news = !is_routed && !lines.is_empty();
        if !is_routed {
            self.actions.push(Action::Route { lines });
        }
        let pending = view.topics.values().any(|status| *status == Status::Pending);
        let unheard = view.versions.nudged < view.versions.version && pending && found.is_some();
        if news || unheard {
            self.actions.push(Action::Nudge);
        }
    }

    fn subscribe(
        &mut self,
        blueprint: &Blueprint,
        river: &River,
        topics: &Topics,
        found: Option<&Subscription>,
        view: &View,
    ) {
        let mut attributes = subscription::wanted(blueprint, river, topics);
        let Some(Subscription { arn, attributes: found }) = found else {
            let endpoint = blueprint.arns.queue(&river.queue());
            self.actions.push(Action::Subscribe { endpoint, attributes });
            return;
        };
        let set = |(name, value)| Action::SetSubscription { arn: arn.clone(), name, value };
        // The filter is what commands change, and SNS may show the one before the last: in doubt it is written, so that
        // subscribe, unsubscribe and subscribe in a row cannot end with the second.
        let filter = attributes
            .remove_entry(FILTER_POLICY)
            .filter(|(name, value)| view.in_doubt || !queue::has(found, name, value));
        self.actions.extend(queue::missing(attributes, found).into_iter().map(set));
        self.actions.extend(filter.map(set));
    }
}

#[cfg(test)]
mod tests;
