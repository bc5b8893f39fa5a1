//! `listsubs` and `topics`: what the tables of the control plane say.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use event::names::River;

use crate::client::Resource;
use crate::failure::Result;
use crate::session::Session;

/// Prints the topics of a river. What is not active is said on standard error, and why.
pub(super) async fn run_subscriptions(session: &Session, river: &str) -> Result<()> {
    let river = River::parse(river, &session.names.stage)?;
    let found = subscriptions(session, &river).await?;
    let topics: Vec<&String> = found.keys().collect();
    session.output.print(&topics)?;
    for (topic, state) in &found {
        if let Some(note) = state {
            session.output.note(&format!("{topic}: {note}"));
        }
    }
    Ok(())
}

/// Prints the advertised topics.
pub(super) async fn run_topics(session: &Session) -> Result<()> {
    Ok(session.output.print(&topics(session).await?)?)
}

/// The topics that a river is subscribed to, each with what keeps it from being delivered.
async fn subscriptions(
    session: &Session,
    river: &River,
) -> anyhow::Result<BTreeMap<String, Option<String>>> {
    let table = session.names.stage.subscriptions_table();
    let query = session
        .aws
        .dynamodb
        .query()
        .table_name(&table)
        .consistent_read(true)
        .key_condition_expression("Subscriber = :river")
        .expression_attribute_values(":river", AttributeValue::S(river.as_str().to_owned()));
    let mut found = BTreeMap::new();
    let mut rows = query.into_paginator().items().send();
    while let Some(row) = rows.next().await {
        let row = row.map_err(|error| Resource::Table(&table).refused(error))?;
        if let Some(topic) = word(&row, "Topic") {
            found.insert(topic.to_owned(), hindrance(&row));
        }
    }
    Ok(found)
}

/// The advertised topics, sorted.
pub(crate) async fn topics(session: &Session) -> anyhow::Result<Vec<String>> {
    names(session, &session.names.stage.topics_table(), "Topic").await
}

/// The rivers that are subscribed to something, sorted.
pub(crate) async fn rivers(session: &Session) -> anyhow::Result<Vec<String>> {
    names(session, &session.names.stage.subscriptions_table(), "Subscriber").await
}

/// Every value of a key attribute, once each.
async fn names(session: &Session, table: &str, key: &str) -> anyhow::Result<Vec<String>> {
    let scan = session
        .aws
        .dynamodb
        .scan()
        .table_name(table)
        .consistent_read(true)
        .projection_expression("#key")
        .expression_attribute_names("#key", key);
    let mut names = Vec::new();
    let mut rows = scan.into_paginator().items().send();
    while let Some(row) = rows.next().await {
        let row = row.map_err(|error| Resource::Table(table).refused(error))?;
        names.extend(word(&row, key).map(str::to_owned));
    }
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

fn word<'a>(row: &'a HashMap<String, AttributeValue>, name: &str) -> Option<&'a str> {
    row.get(name)?.as_s().ok().map(String::as_str)
}

/// Why a subscription does not deliver; nothing when it does.
fn hindrance(row: &HashMap<String, AttributeValue>) -> Option<String> {
    let status = word(row, "Status").filter(|status| *status != "active")?;
    let reason = word(row, "Reason").map(|reason| format!(": {reason}"));
    Some(status.to_owned() + &reason.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Options;
    use crate::output::Output;
    use crate::session::Names;

    #[tokio::test(start_paused = true)]
    async fn what_is_more_than_a_page_of_dynamodb_is_listed_to_the_end() {
        let aws = local_aws::LocalAws::new();
        let names = Names::of(&Options::default()).unwrap();
        let output = Output { json: true, terminal: false };
        let session = Session::embedded(names, &aws.sdk_config(), output);
        let stage = &session.names.stage;
        control_plane::ensure_tables(session.aws.dynamodb.clone(), stage).await.unwrap();
        let text = |value: String| AttributeValue::S(value);
        // A page has at most a megabyte.
        for n in 0..40 {
            for (table, key) in
                [(stage.topics_table(), "Topic"), (stage.subscriptions_table(), "Subscriber")]
            {
                let put = session.aws.dynamodb.put_item().table_name(table);
                let put = put.item("Topic", text(format!("T{n:02}"))).item(
                    key,
                    text(match key {
                        "Topic" => format!("T{n:02}"),
                        _ => "r1".to_owned(),
                    }),
                );
                put.item("Note", text("x".repeat(60_000))).send().await.unwrap();
            }
        }
        assert_eq!(topics(&session).await.unwrap().len(), 40);
        let river = River::parse("r1", stage).unwrap();
        assert_eq!(subscriptions(&session, &river).await.unwrap().len(), 40);
        let page = session.aws.dynamodb.scan().table_name(stage.topics_table()).send().await;
        assert!(page.unwrap().count < 40, "a page of the emulator holds all of it");
    }

    #[test]
    fn only_what_is_not_active_is_hindered() {
        let row = |words: &[(&str, &str)]| {
            let text = |value: &str| AttributeValue::S(value.to_owned());
            words.iter().map(|(name, value)| ((*name).to_owned(), text(value))).collect()
        };
        assert_eq!(hindrance(&row(&[("Status", "active")])), None);
        assert_eq!(hindrance(&row(&[])), None, "a row of the original");
        assert_eq!(hindrance(&row(&[("Status", "pending")])).unwrap(), "pending");
        let degraded = row(&[("Status", "degraded"), ("Reason", "too many topics")]);
        assert_eq!(hindrance(&degraded).unwrap(), "degraded: too many topics");
    }
}
