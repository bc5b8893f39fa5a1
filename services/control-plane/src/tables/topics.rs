//! Rows of `Topics-{stage}`: what is advertised, and what the catalogue says of it.

use std::collections::HashMap;

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use event::catalogue::{
    ADVERTISED_AT, DESCRIPTION, EXAMPLE, Entry, LAST_COMMAND, OWNER, REFUSED, REFUSED_AT,
    REFUSED_MAX, SCHEMA, SCHEMA_AT, TOPIC,
};
use event::names::Topic;
use jiff::Timestamp;

use super::{Tables, text};
use crate::error::Error;

/// What the table says of a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Advertised {
    pub(crate) entry: Entry,
    /// Where the last command lies in the control stream that said more than the name.
    pub(crate) last_command: Option<String>,
    /// Why that was refused, if it was.
    pub(crate) refused: Option<String>,
}

impl Advertised {
    fn of(row: &HashMap<String, AttributeValue>) -> Self {
        let word = |name: &str| row.get(name).and_then(|value| value.as_s().ok()).cloned();
        // What other hands wrote and is no JSON is as good as missing.
        let json = |name: &str| word(name).and_then(|json| serde_json::from_str(&json).ok());
        Self {
            entry: Entry {
                schema: json(SCHEMA),
                description: word(DESCRIPTION),
                owner: word(OWNER),
                example: json(EXAMPLE),
            },
            last_command: word(LAST_COMMAND),
            refused: word(REFUSED),
        }
    }
}

impl Tables {
    /// Lists the topic. One that is listed keeps its time.
    pub(crate) async fn advertise(&self, topic: &Topic, at: Timestamp) -> Result<(), Error> {
        let put = self
            .dynamodb
            .put_item()
            .table_name(&self.topics)
            .item(TOPIC, text(topic.as_str()))
            .item(ADVERTISED_AT, text(&at.to_string()))
            .condition_expression("attribute_not_exists(#topic)")
            .expression_attribute_names("#topic", TOPIC);
        let Err(error) = put.send().await else { return Ok(()) };
        let known = error.as_service_error();
        if known.is_some_and(PutItemError::is_conditional_check_failed_exception) {
            return Ok(());
        }
        Err(Error::of_call("DynamoDB PutItem", &self.topics, error))
    }

    /// What is said of a topic; none if it is not listed.
    pub(crate) async fn advertised(&self, topic: &Topic) -> Result<Option<Advertised>, Error> {
        let get = self.dynamodb.get_item().table_name(&self.topics).consistent_read(true);
        let found = get.key(TOPIC, text(topic.as_str())).send().await;
        let found =
            found.map_err(|error| Error::of_call("DynamoDB GetItem", &self.topics, error))?;
        Ok(found.item.as_ref().map(Advertised::of))
    }

    /// Writes what the catalogue says of a topic by the command at `place`, provided that it says what was `seen` until
    /// now. False if it does not: another process was faster.
    pub(crate) async fn describe(
        &self,
        topic: &Topic,
        seen: Option<&Advertised>,
        entry: &Entry,
        place: &str,
        at: Timestamp,
    ) -> Result<bool, Error> {
        let json = |value: &Option<serde_json::Value>| value.as_ref().map(ToString::to_string);
        let attributes = [
            (DESCRIPTION, entry.description.clone()),
            (OWNER, entry.owner.clone()),
            (EXAMPLE, json(&entry.example)),
            (SCHEMA, json(&entry.schema)),
        ];
        let is_new =
            entry.schema.is_some() && seen.is_none_or(|seen| seen.entry.schema != entry.schema);
        let mut set = format!(
            "SET {ADVERTISED_AT} = if_not_exists({ADVERTISED_AT}, :at), {LAST_COMMAND} = :place"
        );
        let mut update = self
            .after(topic, seen, place)
            .expression_attribute_values(":at", text(&at.to_string()));
        if is_new {
            set += &format!(", {SCHEMA_AT} = :at");
        }
        for (name, value) in attributes {
            if let Some(value) = value {
                // `Schema` and `Owner` are words of DynamoDB's.
                set += &format!(", #{name} = :{name}");
                update = update.expression_attribute_names(format!("#{name}"), name);
                update = update.expression_attribute_values(format!(":{name}"), text(&value));
            }
        }
        set += &format!(" REMOVE {REFUSED}, {REFUSED_AT}");
        self.if_as_seen(update.update_expression(set)).await
    }

    /// Notes that the command at `place` was refused; a topic that is not listed is not listed by that. False as above.
    pub(crate) async fn refuse(
        &self,
        topic: &Topic,
        seen: &Advertised,
        reason: &str,
        place: &str,
        at: Timestamp,
    ) -> Result<bool, Error> {
        let update = self
            .after(topic, Some(seen), place)
            .update_expression(format!(
                "SET {REFUSED} = :reason, {REFUSED_AT} = :at, {LAST_COMMAND} = :place"
            ))
            .expression_attribute_values(":reason", text(beginning(reason)))
            .expression_attribute_values(":at", text(&at.to_string()));
        self.if_as_seen(update).await
    }

    /// An update on the condition that no other command has come in between.
    fn after(
        &self,
        topic: &Topic,
        seen: Option<&Advertised>,
        place: &str,
    ) -> UpdateItemFluentBuilder {
        let update = self.dynamodb.update_item().table_name(&self.topics);
        let update = update
            .key(TOPIC, text(topic.as_str()))
            .expression_attribute_values(":place", text(place));
        match seen.map(|seen| seen.last_command.as_ref()) {
            None => update.condition_expression(format!("attribute_not_exists({TOPIC})")),
            Some(None) => update.condition_expression(format!(
                "attribute_exists({TOPIC}) AND attribute_not_exists({LAST_COMMAND})"
            )),
            Some(Some(last)) => update
                .condition_expression(format!("{LAST_COMMAND} = :last"))
                .expression_attribute_values(":last", text(last)),
        }
    }

    async fn if_as_seen(&self, update: UpdateItemFluentBuilder) -> Result<bool, Error> {
        let Err(error) = update.send().await else { return Ok(true) };
        let known = error.as_service_error();
        if known.is_some_and(UpdateItemError::is_conditional_check_failed_exception) {
            return Ok(false);
        }
        Err(Error::of_call("DynamoDB UpdateItem", &self.topics, error))
    }
}

/// As much of a text as the row keeps.
fn beginning(text: &str) -> &str {
    let end = (0..=REFUSED_MAX.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or_default()]
}
