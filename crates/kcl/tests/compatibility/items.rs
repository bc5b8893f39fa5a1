//! DynamoDB JSON.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::Value;

pub(crate) type Item = HashMap<String, AttributeValue>;

/// What a worker of KCL 3.5 in phase 1 of its migration, which is 2.x by its rules, leaves in the table.
pub(crate) const RECORDED: &str = include_str!("../fixtures/rows-phase1.json");
pub(crate) const RECORDED_WRITES: &str = include_str!("../fixtures/writes-phase1.json");
/// Rows as the source of other versions has them.
pub(crate) const BY_SOURCE: &str = include_str!("../fixtures/rows-by-source.json");

/// Every row of a file of rows, with the name of the moment or of the case.
pub(crate) fn rows(file: &str) -> Vec<(String, Item)> {
    let file: Value = serde_json::from_str(file).unwrap();
    let points = file["rows"].as_object().unwrap().iter();
    let named = |(name, rows): (&String, &Value)| {
        let rows = rows.as_array().unwrap().clone();
        let name = name.clone();
        rows.into_iter().map(move |row| (name.clone(), item(&row))).collect::<Vec<_>>()
    };
    points.flat_map(named).collect()
}

pub(crate) fn item(json: &Value) -> Item {
    let attributes = json.as_object().unwrap().iter();
    attributes.map(|(name, value)| (name.clone(), attribute(value))).collect()
}

pub(crate) fn attribute(json: &Value) -> AttributeValue {
    let (kind, value) = json.as_object().unwrap().iter().next().unwrap();
    let text = || value.as_str().unwrap().to_owned();
    let list = || value.as_array().unwrap().iter();
    match kind.as_str() {
        "S" => AttributeValue::S(text()),
        "N" => AttributeValue::N(text()),
        "B" => AttributeValue::B(Blob::new(text())), // Nobody looks inside.
        "SS" => AttributeValue::Ss(list().map(|text| text.as_str().unwrap().to_owned()).collect()),
        "L" => AttributeValue::L(list().map(attribute).collect()),
        "M" => AttributeValue::M(item(value)),
        other => panic!("an attribute of type {other}"),
    }
}

pub(crate) fn n(number: u64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

/// A number of a row, 0 where there is none.
pub(crate) fn number(item: &Item, name: &str) -> u64 {
    item.get(name).map_or(0, |value| value.as_n().unwrap().parse().unwrap())
}
