//! Rows of the control plane's tables, as others than their writer read them.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use event::names::{River, Topic};
use event::packet::Rule;
use event::{Experiment, Packet};

use crate::client::{Resource, is_missing};
use crate::session::Session;
use crate::verbs::experiment::definition;

/// A topic that is wanted in a river: a row of `Subscriptions-{stage}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subscription {
    pub(crate) river: String,
    pub(crate) topic: String,
    /// `active`, `pending` or `degraded`; rows of the original have none and are worked on.
    pub(crate) status: String,
    pub(crate) reason: Option<String>,
    /// What the river's service declares; empty where this version cannot read it.
    pub(crate) rules: Vec<Rule>,
}

impl Subscription {
    fn of(row: &HashMap<String, AttributeValue>) -> Option<Self> {
        let word = |name: &str| row.get(name)?.as_s().ok().map(String::as_str);
        let rules = word("Rules").and_then(|rules| serde_json::from_str(rules).ok());
        Some(Self {
            river: word("Subscriber")?.to_owned(),
            topic: word("Topic")?.to_owned(),
            status: word("Status").unwrap_or("pending").to_owned(),
            reason: word("Reason").map(str::to_owned),
            rules: rules.unwrap_or_default(),
        })
    }

    /// Whether events of this type belong to it.
    pub(crate) fn covers(&self, event_type: &str) -> bool {
        Topic::covers(&self.topic, event_type)
    }

    /// The declaration that the row keeps.
    pub(super) fn packet(&self) -> Packet {
        Packet::with_rules(&self.topic, self.rules.clone())
    }
}

/// Every subscription of the stage, by river and topic.
pub(crate) async fn subscriptions(session: &Session) -> anyhow::Result<Vec<Subscription>> {
    let table = session.names.stage.subscriptions_table();
    let scan = session.aws.dynamodb.scan().table_name(&table).consistent_read(true);
    let mut rows = scan.into_paginator().items().send();
    let mut found = Vec::new();
    while let Some(row) = rows.next().await {
        let row = row.map_err(|error| Resource::Table(&table).refused(error))?;
        found.extend(Subscription::of(&row));
    }
    found.sort_by(|a, b| (&a.river, &a.topic).cmp(&(&b.river, &b.topic)));
    Ok(found)
}

/// The subscriptions of one river, by topic.
pub(super) async fn of_river(
    session: &Session,
    river: &River,
) -> anyhow::Result<Vec<Subscription>> {
    let mut all = subscriptions(session).await?;
    all.retain(|row| row.river == river.as_str());
    Ok(all)
}

/// Every experiment, and whether it runs; none where the stage has no table of them.
pub(super) async fn experiments(session: &Session) -> anyhow::Result<Vec<(Experiment, bool)>> {
    let table = session.names.stage.experiments_table();
    let scan = session.aws.dynamodb.scan().table_name(&table).consistent_read(true);
    let mut rows = scan.into_paginator().items().send();
    let mut found = Vec::new();
    while let Some(row) = rows.next().await {
        let row = match row {
            Ok(row) => row,
            Err(error) if is_missing(&error) => return Ok(found),
            Err(error) => return Err(Resource::Table(&table).refused(error)),
        };
        let runs = row.get("Status").and_then(|status| status.as_s().ok());
        let runs = runs.is_some_and(|status| status == "running");
        found.extend(definition(&row).map(|experiment| (experiment, runs)));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_the_original_is_read_as_pending_and_without_rules() {
        let text = |value: &str| AttributeValue::S(value.to_owned());
        let mut row: HashMap<_, _> = [("Subscriber", "r1"), ("Topic", "View*")]
            .map(|(name, value)| (name.to_owned(), text(value)))
            .into();
        let read = Subscription::of(&row).unwrap();
        assert_eq!((&*read.status, read.rules.len()), ("pending", 0));
        assert!(read.covers("ViewPage") && !read.covers("Other"));
        let rules = r#"[{"at":"/eventDomain","rule":"demand_value","value":"web"}]"#;
        row.insert("Rules".to_owned(), text(rules));
        assert_eq!(Subscription::of(&row).unwrap().rules.len(), 1);
        row.remove("Topic");
        assert_eq!(Subscription::of(&row), None);
    }
}
