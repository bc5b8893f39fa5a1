//! How a river is: what is wanted of it, what the control plane found, what waits in it.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use event::names::{River as Name, Stage};
use event::route::{DIRECT, Direct, RIVER, Routing};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use serde::Serialize;

use crate::client::{Resource, is_missing};
use crate::session::Session;
use crate::watch::queue::{Count, Queue};
use crate::watch::rows::{Subscription, subscriptions};

/// Rivers that are looked at side by side: SQS answers in milliseconds, and hundreds of rivers are to be listed in
/// seconds.
const SIDE_BY_SIDE: usize = 16;

/// One river.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct River {
    pub(crate) name: String,
    pub(crate) topics: Vec<Subscription>,
    pub(crate) row: Row,
    /// What is in its queue; none where it has none.
    pub(crate) waiting: Option<Count>,
    /// What is in its dead-letter queue.
    pub(crate) dead: Option<Count>,
}

/// What the control plane says of it: its row of `Rivers-{stage}`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) routing: Routing,
    pub(crate) route: Option<String>,
    pub(crate) route_reason: Option<String>,
    pub(crate) direct: Option<Direct>,
    /// `drain` or `discard`, where it is to go.
    pub(crate) removal: Option<String>,
    pub(crate) checked_at: Option<Timestamp>,
    pub(crate) problem: Option<String>,
    pub(crate) findings: Vec<String>,
}

/// A river in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    Active,
    Bridging,
    Pending,
    Degraded,
    Removing,
    Idle,
}

impl State {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Bridging => "bridging",
            Self::Pending => "pending",
            Self::Degraded => "degraded",
            Self::Removing => "removing",
            Self::Idle => "idle",
        }
    }
}

impl River {
    /// How it is at `now`, in one word: the worst of what is true.
    pub(crate) fn state(&self, now: Timestamp) -> State {
        let any = |status: &str| self.topics.iter().any(|topic| topic.status == status);
        let bridging = self.bridge_end().is_some_and(|end| now < end);
        if any("degraded") {
            State::Degraded
        } else if any("pending") || self.row.problem.is_some() {
            State::Pending
        } else if self.row.removal.is_some() {
            State::Removing
        } else if self.topics.is_empty() {
            State::Idle
        } else if bridging {
            State::Bridging
        } else {
            State::Active
        }
    }

    /// When the last of its bridges closes.
    pub(crate) fn bridge_end(&self) -> Option<Timestamp> {
        self.row
            .direct
            .iter()
            .flat_map(|direct| &direct.packets)
            .filter_map(|line| line.until)
            .max()
    }

    /// What is wrong with it, in lines that name it.
    pub(crate) fn problems(&self) -> Vec<String> {
        let name = &self.name;
        let degraded = self.topics.iter().filter(|topic| topic.status == "degraded");
        let mut problems: Vec<_> = degraded
            .map(|topic| {
                let reason = topic.reason.as_deref().unwrap_or("no reason is given");
                format!("river {name}, topic {}: {reason}", topic.topic)
            })
            .collect();
        let hindered = self.row.problem.iter().filter(|problem| {
            !self.topics.iter().any(|topic| topic.reason.as_ref() == Some(*problem))
        });
        problems.extend(hindered.map(|problem| format!("river {name}: {problem}")));
        // Of a river that is to go they say how far that is.
        let findings = self.row.findings.iter().filter(|_| self.row.removal.is_none());
        problems.extend(findings.map(|finding| format!("river {name}: {finding}")));
        problems
    }
}

impl Row {
    fn of(row: &HashMap<String, AttributeValue>) -> Self {
        let word = |name: &str| row.get(name)?.as_s().ok().map(String::as_str);
        Self {
            routing: word("Routing").and_then(Routing::parse).unwrap_or_default(),
            route: word("Route").map(str::to_owned),
            route_reason: word("RouteReason").map(str::to_owned),
            direct: word(DIRECT).and_then(|json| Direct::parse(json).ok()),
            removal: word("Removal").map(str::to_owned),
            checked_at: word("CheckedAt").and_then(|at| at.parse().ok()),
            problem: word("Problem").map(str::to_owned),
            findings: word("Findings")
                .and_then(|json| serde_json::from_str(json).ok())
                .unwrap_or_default(),
        }
    }

    /// Whether it says nothing: a river that is gone leaves no more than its last command behind.
    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// Every river of the stage that somebody wants or that is still there, by name, without what waits in it.
pub(crate) async fn wanted(session: &Session) -> anyhow::Result<BTreeMap<String, River>> {
    let mut rivers: BTreeMap<String, River> = BTreeMap::new();
    let river = |name: &str| River { name: name.to_owned(), ..River::default() };
    for subscription in subscriptions(session).await? {
        let name = subscription.river.clone();
        rivers.entry(name.clone()).or_insert_with(|| river(&name)).topics.push(subscription);
    }
    for (name, row) in rows(session).await? {
        if !row.is_nothing() {
            rivers.entry(name.clone()).or_insert_with(|| river(&name)).row = row;
        }
    }
    Ok(rivers)
}

/// The same, with what waits in them.
pub(crate) async fn all(session: &Session) -> anyhow::Result<Vec<River>> {
    let rivers = wanted(session).await?;
    let looked = stream::iter(rivers.into_values()).map(|river| count(session, river));
    looked.buffered(SIDE_BY_SIDE).try_collect().await
}

/// Adds what waits in a river.
pub(crate) async fn count(session: &Session, mut river: River) -> anyhow::Result<River> {
    // What other hands wrote into the table and SQS would refuse has no queue.
    if let Ok(name) = Name::parse(&river.name, &session.names.stage) {
        river.waiting = count_in(session, &name.queue()).await?;
        river.dead = count_in(session, &name.dead_letter_queue()).await?;
    }
    Ok(river)
}

async fn count_in(session: &Session, queue: &str) -> anyhow::Result<Option<Count>> {
    match Queue::find(session, queue).await? {
        Some(queue) => Ok(Some(queue.count(session).await?)),
        None => Ok(None),
    }
}

/// What the control plane says of one river; nothing where it says nothing.
pub(crate) async fn row(session: &Session, river: &Name) -> anyhow::Result<Row> {
    let table = session.names.stage.rivers_table();
    let get = session.aws.dynamodb.get_item().table_name(&table).consistent_read(true);
    match get.key(RIVER, AttributeValue::S(river.as_str().to_owned())).send().await {
        Ok(found) => Ok(found.item.as_ref().map(Row::of).unwrap_or_default()),
        Err(error) if is_missing(&error) => Ok(Row::default()),
        Err(error) => Err(Resource::Table(&table).refused(error)),
    }
}

async fn rows(session: &Session) -> anyhow::Result<Vec<(String, Row)>> {
    let table = session.names.stage.rivers_table();
    let scan = session.aws.dynamodb.scan().table_name(&table).consistent_read(true);
    let mut pages = scan.into_paginator().items().send();
    let mut found = Vec::new();
    while let Some(row) = pages.next().await {
        let row = match row {
            Ok(row) => row,
            Err(error) if is_missing(&error) => return Ok(found),
            Err(error) => return Err(Resource::Table(&table).refused(error)),
        };
        let name = row.get(RIVER).and_then(|name| name.as_s().ok());
        // Rows about the whole stage have names that no river can have.
        let name = name.filter(|name| is_river(name, &session.names.stage));
        found.extend(name.map(|name| (name.clone(), Row::of(&row))));
    }
    Ok(found)
}

fn is_river(name: &str, stage: &Stage) -> bool {
    Name::parse(name, stage).is_ok()
}

#[cfg(test)]
mod tests {
    use event::route::Line;

    use super::*;

    fn topic(status: &str) -> Subscription {
        Subscription {
            river: "r1".into(),
            topic: "A".into(),
            status: status.into(),
            reason: (status == "degraded").then(|| "too many".into()),
            rules: Vec::new(),
        }
    }

    fn river(statuses: &[&str]) -> River {
        let topics = statuses.iter().map(|status| topic(status)).collect();
        River { name: "r1".into(), topics, ..River::default() }
    }

    #[test]
    fn a_river_is_the_worst_of_what_is_true_of_it() {
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        assert_eq!(river(&["active"]).state(now), State::Active);
        assert_eq!(river(&["active", "pending"]).state(now), State::Pending);
        assert_eq!(river(&["pending", "degraded"]).state(now), State::Degraded);
        assert_eq!(river(&[]).state(now), State::Idle);
        let mut removing = river(&[]);
        removing.row.removal = Some("drain".into());
        assert_eq!(removing.state(now), State::Removing);
        let mut hindered = river(&["active"]);
        hindered.row.problem = Some("SQS SetQueueAttributes r1-dev failed".into());
        assert_eq!(hindered.state(now), State::Pending);
    }

    #[test]
    fn a_river_bridges_until_its_last_line_ends() {
        let at = |text: &str| -> Timestamp { text.parse().unwrap() };
        let line = |until| Line { topic: "A".into(), rules: Vec::new(), until };
        let mut bridged = river(&["active"]);
        let until = Some(at("2026-11-23T12:16:00Z"));
        bridged.row.direct =
            Some(Direct { queue_url: String::new(), packets: vec![line(until), line(None)] });
        assert_eq!(bridged.state(at("2026-11-23T12:15:59Z")), State::Bridging);
        assert_eq!(bridged.state(at("2026-11-23T12:16:00Z")), State::Active);
    }

    #[test]
    fn a_reason_is_told_once() {
        let mut degraded = river(&["degraded"]);
        degraded.row.problem = Some("too many".into());
        assert_eq!(degraded.problems(), ["river r1, topic A: too many"]);
        degraded.row.problem = Some("no permission".into());
        degraded.row.findings = vec!["a foreign key".into()];
        assert_eq!(degraded.problems().len(), 3);
    }

    #[test]
    fn what_this_version_cannot_read_of_a_row_is_left_out() {
        let text = |value: &str| AttributeValue::S(value.to_owned());
        let row =
            [("Routing", "by pigeon"), (DIRECT, "{"), ("CheckedAt", "noon"), ("Route", "sns")];
        let row = row.map(|(name, value)| (name.to_owned(), text(value))).into();
        let read = Row::of(&row);
        assert_eq!(read, Row { route: Some("sns".into()), ..Row::default() });
        assert!(!read.is_nothing() && Row::of(&HashMap::new()).is_nothing());
    }
}
