//! Reads who wants what, as the control plane has it.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use event::Packet;

/// The subscriptions of a stage.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// What each river wants, of what is active: a topic that is still on its way may or may not be delivered.
    pub(crate) active: BTreeMap<String, Vec<Packet>>,
    /// How many topics each river has in each status.
    pub(crate) statuses: BTreeMap<(String, String), i64>,
}

/// Reads all of them.
///
/// # Errors
/// What DynamoDB said.
pub(crate) async fn read(dynamodb: &Client, table: &str) -> Result<Wanted, String> {
    let scan = dynamodb.scan().table_name(table).consistent_read(true);
    let mut rows = scan.into_paginator().items().send();
    let mut wanted = Wanted::default();
    while let Some(row) = rows.next().await {
        wanted.note(&row.map_err(|error| chassis::explain(&error))?);
    }
    // A scan has no order; two lists of the same wishes are to be equal.
    wanted.active.values_mut().for_each(|packets| packets.sort_by(|a, b| a.topic().cmp(b.topic())));
    Ok(wanted)
}

impl Wanted {
    fn note(&mut self, row: &HashMap<String, AttributeValue>) {
        let word = |name: &str| row.get(name)?.as_s().ok().map(String::as_str);
        let (Some(river), Some(topic)) = (word("Subscriber"), word("Topic")) else { return };
        // Rows of the original have none, and are worked on.
        let status = word("Status").unwrap_or("pending");
        *self.statuses.entry((river.to_owned(), status.to_owned())).or_default() += 1;
        // What cannot be read is not audited: nobody knows what should come.
        let rules = serde_json::from_str(word("Rules").unwrap_or("[]"));
        if let (Ok(rules), "active") = (rules, status) {
            let packets = self.active.entry(river.to_owned()).or_default();
            packets.push(Packet::with_rules(topic, rules));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_counted_and_what_is_active_and_can_be_read_is_audited() {
        let mut wanted = Wanted::default();
        let mut note = |topic: &str, status: &str, rules: &str| {
            let row =
                [("Subscriber", "r1"), ("Topic", topic), ("Status", status), ("Rules", rules)];
            let text = |value: &str| AttributeValue::S(value.to_owned());
            wanted.note(&row.map(|(name, value)| (name.to_owned(), text(value))).into());
        };
        let rules = r#"[{"at":"/eventDomain","rule":"demand_value","value":"web"}]"#;
        note("View*", "active", rules);
        note("Other", "pending", rules);
        note("Odd", "active", "?");
        let [packet] = &wanted.active["r1"][..] else { panic!("one") };
        assert_eq!((packet.topic(), packet.rules().len()), ("View*", 1));
        let count = |status: &str| wanted.statuses[&("r1".to_owned(), status.to_owned())];
        assert_eq!((count("active"), count("pending")), (2, 1));
    }
}
