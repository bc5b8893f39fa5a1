//! Rows of `Topics-{stage}`, as others than their writer read them.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use event::catalogue::{
    ADVERTISED_AT, DESCRIPTION, EXAMPLE, Entry, LAST_COMMAND, OWNER, REFUSED, REFUSED_AT, SCHEMA,
    SCHEMA_AT, TOPIC,
};

use crate::client::{Resource, is_missing};
use crate::session::Session;

/// A topic that is advertised.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Topic {
    pub(super) name: String,
    pub(super) entry: Entry,
    pub(super) advertised_at: Option<String>,
    pub(super) schema_at: Option<String>,
    /// When and why the last command about it was refused, if it was.
    pub(super) refused: Option<(String, String)>,
    /// Where the last command lies that said more than the name.
    pub(super) last_command: Option<String>,
}

impl Topic {
    fn of(row: &HashMap<String, AttributeValue>) -> Option<Self> {
        let word = |name: &str| Some(row.get(name)?.as_s().ok()?.clone());
        let json = |name: &str| serde_json::from_str(&word(name)?).ok();
        Some(Self {
            name: word(TOPIC)?,
            entry: Entry {
                schema: json(SCHEMA),
                description: word(DESCRIPTION),
                owner: word(OWNER),
                example: json(EXAMPLE),
            },
            advertised_at: word(ADVERTISED_AT),
            schema_at: word(SCHEMA_AT),
            refused: word(REFUSED).map(|why| (word(REFUSED_AT).unwrap_or_default(), why)),
            last_command: word(LAST_COMMAND),
        })
    }
}

/// Every topic of the stage, by name.
pub(super) async fn topics(session: &Session) -> anyhow::Result<Vec<Topic>> {
    let table = session.names.stage.topics_table();
    let scan = session.aws.dynamodb.scan().table_name(&table).consistent_read(true);
    let mut rows = scan.into_paginator().items().send();
    let mut found = Vec::new();
    while let Some(row) = rows.next().await {
        let row = row.map_err(|error| Resource::Table(&table).refused(error))?;
        found.extend(Topic::of(&row));
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// One topic, if it is advertised; a table that is not there yet has none.
pub(super) async fn topic(session: &Session, name: &str) -> anyhow::Result<Option<Topic>> {
    let table = session.names.stage.topics_table();
    let get = session.aws.dynamodb.get_item().table_name(&table).consistent_read(true);
    match get.key(TOPIC, AttributeValue::S(name.to_owned())).send().await {
        Ok(found) => Ok(found.item.as_ref().and_then(Topic::of)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(Resource::Table(&table).refused(error)),
    }
}
