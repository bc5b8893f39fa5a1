//! Attributes of an item, read and written.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;

/// Attributes by name, as DynamoDB has them.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// Partition key of every item.
pub(crate) const PK: &str = "pk";
/// Sort key of every item.
pub(crate) const SK: &str = "sk";
/// When DynamoDB may delete the item, in seconds since the Unix epoch.
pub(crate) const TTL: &str = "ttl";

pub(crate) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(crate) fn seconds(at: Timestamp) -> AttributeValue {
    AttributeValue::N(at.as_second().to_string())
}

pub(crate) fn number(value: u32) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// A small number; none where it is missing or something else.
pub(crate) fn number_of(item: &Item, attribute: &str) -> Option<u32> {
    item.get(attribute)?.as_n().ok()?.parse().ok()
}

/// Whether DynamoDB may have deleted the item by `now`. One without an expiry never has.
pub(crate) fn has_expired(item: &Item, now: Timestamp) -> bool {
    let expiry = item.get(TTL).and_then(|ttl| ttl.as_n().ok()?.parse::<i64>().ok());
    expiry.is_some_and(|expiry| expiry <= now.as_second())
}

/// The key of an item.
pub(crate) fn key(pk: &str, sk: &str) -> Item {
    HashMap::from([(PK.to_owned(), text(pk)), (SK.to_owned(), text(sk))])
}

/// A text attribute; none where it is missing or something else.
pub(crate) fn text_of<'a>(item: &'a Item, attribute: &str) -> Option<&'a str> {
    item.get(attribute)?.as_s().ok().map(String::as_str)
}
