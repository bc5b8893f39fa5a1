//! What is desired, and how far it has come: rows of DynamoDB, changed by conditional writes.
//!
//! The layout of `Subscriptions-{stage}` and `Topics-{stage}` is the original's; the attributes `Status`,
//! `StatusAt` and `Reason` are ours.

mod ensure;
mod experiments;
mod rivers;
mod settings;
mod topics;

use std::collections::BTreeMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use event::Packet;
use event::names::{River, Stage, Topic};
use event::packet::{AttributeFilter, Rule};
use jiff::Timestamp;

pub(crate) use self::rivers::{Removal, Row, Versions};
pub(crate) use self::settings::Published;
pub(crate) use self::topics::Advertised;
use crate::error::Error;

const SUBSCRIBER: &str = "Subscriber";
const TOPIC: &str = "Topic";
/// What the service declares about the topic, as JSON.
const RULES: &str = "Rules";
/// Index by topic: who is subscribed to it.
const BY_TOPIC: &str = "SubsForTopic";

/// How far a wanted topic has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// Wanted, and being worked on.
    Pending,
    /// SNS has it in the river's filter. Its events may take up to 15 minutes to arrive.
    Active,
    /// Refused, with the reason in the row; not in the filter.
    Degraded,
}

impl Status {
    fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Degraded => "degraded",
        }
    }

    /// What a row says. A row of the original has no status: it is worked on as a new one is.
    fn of(row: &BTreeMap<&str, &str>) -> Self {
        match row.get("Status") {
            Some(&"active") => Self::Active,
            Some(&"degraded") => Self::Degraded,
            _ => Self::Pending,
        }
    }
}

/// A topic that is wanted in a river.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) status: Status,
    /// What SNS is to check of its events.
    pub(crate) filter: AttributeFilter,
    /// What its service and experiments ask of them.
    pub(crate) rules: Vec<Rule>,
}

impl Wanted {
    /// What a row says. Rules that this version does not know are not checked by SNS: services check them anyway.
    fn of(topic: &Topic, row: &BTreeMap<&str, &str>, of_arms: &[Rule]) -> Self {
        let rules = row.get(RULES).and_then(|rules| serde_json::from_str(rules).ok());
        let rules: Vec<Rule> = rules.unwrap_or_default();
        let rules = [of_arms, &rules].concat();
        let packet = Packet::with_rules(topic.as_str(), rules.clone());
        Self { status: Status::of(row), filter: packet.filter(), rules }
    }
}

/// The tables of a stage.
#[derive(Clone, Debug)]
pub(crate) struct Tables {
    dynamodb: Client,
    subscriptions: String,
    topics: String,
    experiments: String,
    rivers: String,
}

impl Tables {
    pub(crate) fn new(dynamodb: Client, stage: &Stage) -> Self {
        let (subscriptions, topics) = (stage.subscriptions_table(), stage.topics_table());
        let (experiments, rivers) = (stage.experiments_table(), stage.rivers_table());
        Self { dynamodb, subscriptions, topics, experiments, rivers }
    }

    /// The topics of a river, and what SNS is to check of each, because of its service and of experiments.
    pub(crate) async fn wanted(&self, river: &River) -> Result<BTreeMap<Topic, Wanted>, Error> {
        let query = self
            .dynamodb
            .query()
            .table_name(&self.subscriptions)
            .consistent_read(true)
            .key_condition_expression("#subscriber = :river")
            .expression_attribute_names("#subscriber", SUBSCRIBER)
            .expression_attribute_values(":river", text(river.as_str()));
        let of_arms = self.rules_for(river).await?;
        let mut topics = BTreeMap::new();
        let mut rows = query.into_paginator().items().send();
        while let Some(row) = rows.next().await {
            let row = row.map_err(|error| self.failed("DynamoDB Query", error))?;
            let words: BTreeMap<_, _> = row
                .iter()
                .filter_map(|(name, value)| Some((name.as_str(), value.as_s().ok()?.as_str())))
                .collect();
            // A name that was put there by other hands and that SNS would refuse cannot be helped here.
            if let Some(Ok(topic)) = words.get(TOPIC).map(|name| Topic::parse(name)) {
                let wanted = Wanted::of(&topic, &words, &of_arms);
                topics.insert(topic, wanted);
            }
        }
        Ok(topics)
    }

    /// Says that the topic is wanted. One that is pending or active with the same rules stays what it is, and since
    /// when.
    pub(crate) async fn want(
        &self,
        river: &River,
        topic: &Topic,
        rules: &[Rule],
        at: Timestamp,
    ) -> Result<(), Error> {
        // Rules are values and texts: nothing in them can fail to be written.
        let rules = serde_json::to_string(rules).unwrap_or_default();
        let update = self
            .status(river, topic, Status::Pending, at)
            .update_expression(
                "SET #status = :status, StatusAt = :at, #rules = :rules REMOVE Reason",
            )
            .condition_expression(
                "attribute_not_exists(#status) OR #status = :degraded OR NOT #rules = :rules",
            )
            .expression_attribute_names("#rules", RULES)
            .expression_attribute_values(":rules", text(&rules))
            .expression_attribute_values(":degraded", text(Status::Degraded.as_str()));
        self.apply(update).await
    }

    /// Says that the topic is in the river's filter. A row that was removed meanwhile stays removed.
    pub(crate) async fn activate(
        &self,
        river: &River,
        topic: &Topic,
        at: Timestamp,
    ) -> Result<(), Error> {
        let update = self
            .status(river, topic, Status::Active, at)
            .update_expression("SET #status = :status, StatusAt = :at REMOVE Reason")
            .condition_expression("attribute_exists(Subscriber) AND NOT #status = :status");
        self.apply(update).await
    }

    /// Says that the topic was refused. One that is active stays so: a refusal takes nothing away.
    pub(crate) async fn degrade(
        &self,
        river: &River,
        topic: &Topic,
        reason: &str,
        at: Timestamp,
    ) -> Result<(), Error> {
        let update = self
            .status(river, topic, Status::Degraded, at)
            .update_expression("SET #status = :status, StatusAt = :at, Reason = :reason")
            .condition_expression("#status = :pending")
            .expression_attribute_values(":pending", text(Status::Pending.as_str()))
            .expression_attribute_values(":reason", text(reason));
        self.apply(update).await
    }

    /// Notes what keeps a wanted topic from being delivered.
    pub(crate) async fn hinder(
        &self,
        river: &River,
        topic: &Topic,
        reason: &str,
    ) -> Result<(), Error> {
        let update = self
            .dynamodb
            .update_item()
            .table_name(&self.subscriptions)
            .key(SUBSCRIBER, text(river.as_str()))
            .key(TOPIC, text(topic.as_str()))
            .update_expression("SET Reason = :reason")
            .condition_expression("#status = :pending")
            .expression_attribute_names("#status", "Status")
            .expression_attribute_values(":pending", text(Status::Pending.as_str()))
            .expression_attribute_values(":reason", text(reason));
        self.apply(update).await
    }

    /// Says that the topic is not wanted any more.
    pub(crate) async fn remove(&self, river: &River, topic: &Topic) -> Result<(), Error> {
        let delete = self
            .dynamodb
            .delete_item()
            .table_name(&self.subscriptions)
            .key(SUBSCRIBER, text(river.as_str()))
            .key(TOPIC, text(topic.as_str()));
        delete.send().await.map_err(|error| self.failed("DynamoDB DeleteItem", error))?;
        Ok(())
    }

    fn status(
        &self,
        river: &River,
        topic: &Topic,
        status: Status,
        at: Timestamp,
    ) -> UpdateItemFluentBuilder {
        self.dynamodb
            .update_item()
            .table_name(&self.subscriptions)
            .key(SUBSCRIBER, text(river.as_str()))
            .key(TOPIC, text(topic.as_str()))
            .expression_attribute_names("#status", "Status")
            .expression_attribute_values(":status", text(status.as_str()))
            .expression_attribute_values(":at", text(&at.to_string()))
    }

    /// A condition that does not hold says that there is nothing to do.
    async fn apply(&self, update: UpdateItemFluentBuilder) -> Result<(), Error> {
        let Err(error) = update.send().await else { return Ok(()) };
        let known = error.as_service_error();
        if known.is_some_and(UpdateItemError::is_conditional_check_failed_exception) {
            return Ok(());
        }
        Err(self.failed("DynamoDB UpdateItem", error))
    }

    fn failed<E>(&self, call: &'static str, error: SdkError<E>) -> Error
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        Error::of_call(call, &self.subscriptions, error)
    }
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

#[cfg(test)]
mod tests;
