//! Rows of `Topics-{stage}`, as others than their writer read them.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use event::Advert;
use event::catalogue::{
    ADVERTISED_AT, DESCRIPTION, EXAMPLE, Entry, LAST_COMMAND, OWNER, REFUSED, REFUSED_AT, SCHEMA,
    SCHEMA_AT, TOPIC,
};

use crate::client::{Resource, is_missing};
use crate::session::Session;

/// A topic that is advertised.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Topic {
    pub(crate) name: String,
    pub(crate) entry: Entry,
    pub(crate) advertised_at: Option<String>,
    pub(crate) schema_at: Option<String>,
    /// When and why the last command about it was refused, if it was.
    pub(crate) refused: Option<(String, String)>,
    /// Where the last command lies that said more than the name.
    pub(crate) last_command: Option<String>,
}

impl Topic {
    /// Whether the catalogue says all that the advertisement does.
    pub(crate) fn says(&self, advert: &Advert) -> bool {
        fn is<T: PartialEq>(wanted: Option<&T>, found: Option<&T>) -> bool {
            wanted.is_none() || wanted == found
        }
        let entry = &self.entry;
        is(advert.schema.as_ref(), entry.schema.as_ref())
            && is(advert.description.as_ref(), entry.description.as_ref())
            && is(advert.owner.as_ref(), entry.owner.as_ref())
            && is(advert.example.as_ref(), entry.example.as_ref())
    }

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
pub(crate) async fn topics(session: &Session) -> anyhow::Result<Vec<Topic>> {
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
pub(crate) async fn topic(session: &Session, name: &str) -> anyhow::Result<Option<Topic>> {
    let table = session.names.stage.topics_table();
    let get = session.aws.dynamodb.get_item().table_name(&table).consistent_read(true);
    match get.key(TOPIC, AttributeValue::S(name.to_owned())).send().await {
        Ok(found) => Ok(found.item.as_ref().and_then(Topic::of)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(Resource::Table(&table).refused(error)),
    }
}
