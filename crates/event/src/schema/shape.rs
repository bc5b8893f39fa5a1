//! Whether a JSON value is a JSON Schema: every keyword as the meta-schema of 2020-12 has it, every reference within it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Malformed;
use super::members::Types;
use super::node::Node;
use super::number::count;

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// What stands under a keyword.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Schema,
    Schemas,
    SchemasByName,
    Types,
    Number,
    Step,
    Count,
    Text,
    Texts,
    TextsByName,
    List,
    Flag,
    Anything,
}

fn shape(keyword: &str) -> Shape {
    match keyword {
        "not"
        | "if"
        | "then"
        | "else"
        | "items"
        | "contains"
        | "additionalProperties"
        | "propertyNames"
        | "unevaluatedItems"
        | "unevaluatedProperties"
        | "contentSchema" => Shape::Schema,
        "allOf" | "anyOf" | "oneOf" | "prefixItems" => Shape::Schemas,
        "$defs" | "definitions" | "properties" | "patternProperties" | "dependentSchemas" => {
            Shape::SchemasByName
        }
        "type" => Shape::Types,
        "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => Shape::Number,
        "multipleOf" => Shape::Step,
        "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties"
        | "minContains" | "maxContains" => Shape::Count,
        "$id" | "$schema" | "$ref" | "$anchor" | "$dynamicRef" | "$dynamicAnchor" | "$comment"
        | "title" | "description" | "pattern" | "format" | "contentEncoding"
        | "contentMediaType" => Shape::Text,
        "required" => Shape::Texts,
        "dependentRequired" => Shape::TextsByName,
        "enum" | "examples" => Shape::List,
        "uniqueItems" | "deprecated" | "readOnly" | "writeOnly" => Shape::Flag,
        _ => Shape::Anything,
    }
}

/// Schemas that apply to one value, each by way of the one before: so many fit on a stack.
const DEPTH_MAX: usize = 32;

/// Checks a document.
pub(super) fn check(root: &Value) -> Result<(), Malformed> {
    let nodes = all(root)?;
    let homes: BTreeSet<_> = nodes.iter().map(|node| node.home.as_str()).collect();
    for node in &nodes {
        let Some(reference) = node.get("$ref").and_then(Value::as_str) else { continue };
        let home = reference.strip_prefix('#');
        if !home.is_some_and(|home| homes.contains(home)) {
            let why = format!(
                "refers to {reference:?}, which is no schema within this one: point to one as #/$defs/NAME, for nothing \
                 is fetched"
            );
            return Err(malformed(node, "$ref", why));
        }
    }
    let mut done = BTreeSet::new();
    nodes.iter().try_for_each(|node| leads_on(node, &mut Vec::new(), &mut done))
}

/// Every schema of a document, the document itself first.
pub(super) fn all(root: &Value) -> Result<Vec<Node<'_>>, Malformed> {
    let mut nodes = vec![Node::root(root)];
    let mut next = 0;
    while let Some(node) = nodes.get(next).cloned() {
        next += 1;
        if node.schema.is_boolean() {
            continue;
        }
        let Some(keywords) = node.keywords() else {
            let why = "is neither an object nor true or false".to_owned();
            return Err(Malformed { at: node.home, why });
        };
        for (keyword, value) in keywords {
            look(&node, keyword, value)?;
            match shape(keyword) {
                Shape::Schema => nodes.extend(node.child(keyword)),
                Shape::Schemas => nodes.extend(node.list(keyword)),
                Shape::SchemasByName => nodes.extend(node.entries(keyword).map(|(_, node)| node)),
                _ => {}
            }
        }
    }
    Ok(nodes)
}

/// Checks what stands under a keyword, but for the schemas there.
fn look(node: &Node<'_>, keyword: &str, value: &Value) -> Result<(), Malformed> {
    let names = |value: &Value| {
        let list = value.as_array();
        list.is_some_and(|list| list.iter().all(Value::is_string) && texts_differ(list))
    };
    let is_type = |value: &Value| value.as_str().and_then(Types::named).is_some();
    let (fits, expected) = match shape(keyword) {
        Shape::Anything | Shape::Schema => (true, ""),
        Shape::Schemas => {
            (value.as_array().is_some_and(|list| !list.is_empty()), "a list of schemas")
        }
        Shape::SchemasByName => (value.is_object(), "an object with schemas"),
        Shape::Types => {
            let list = value.as_array().filter(|list| !list.is_empty() && texts_differ(list));
            let fits = is_type(value) || list.is_some_and(|list| list.iter().all(is_type));
            (
                fits,
                "a type, or a list of different types: null, boolean, integer, number, string, array, object",
            )
        }
        Shape::Number => (value.is_number(), "a number"),
        Shape::Step => (value.as_f64().is_some_and(|step| step > 0.0), "a number above zero"),
        Shape::Count => (count(value).is_some(), "a whole number from zero on"),
        Shape::Text => (value.is_string(), "a text"),
        Shape::Texts => (names(value), "a list of different texts"),
        Shape::TextsByName => {
            let map = value.as_object();
            (
                map.is_some_and(|map| map.values().all(names)),
                "an object with lists of different texts",
            )
        }
        Shape::List => (value.is_array(), "a list"),
        Shape::Flag => (value.is_boolean(), "true or false"),
    };
    if !fits {
        return Err(malformed(node, keyword, format!("is to be {expected}")));
    }
    match keyword {
        "$schema" if value.as_str().is_none_or(|it| it.trim_end_matches('#') != DIALECT) => {
            Err(malformed(node, keyword, format!("is to be {DIALECT}, or to be left out")))
        }
        "$id" if !node.home.is_empty() => {
            let why = "stands within a schema: only the whole may have one".to_owned();
            Err(malformed(node, keyword, why))
        }
        _ => Ok(()),
    }
}

fn texts_differ(list: &[Value]) -> bool {
    list.iter().filter_map(Value::as_str).collect::<BTreeSet<_>>().len() == list.len()
}

/// Follows what applies to the same value: it must not come back to where it was, for then nothing is said.
fn leads_on(
    node: &Node<'_>,
    path: &mut Vec<String>,
    done: &mut BTreeSet<String>,
) -> Result<(), Malformed> {
    if done.contains(&node.home) {
        return Ok(());
    }
    if path.contains(&node.home) {
        return Err(malformed(node, "$ref", "leads back to itself".to_owned()));
    }
    if path.len() == DEPTH_MAX {
        let why = format!("leads to more than {DEPTH_MAX} schemas, one by way of the other");
        return Err(malformed(node, "$ref", why));
    }
    path.push(node.home.clone());
    let lists = ["allOf", "anyOf", "oneOf"].into_iter().flat_map(|keyword| node.list(keyword));
    let single =
        ["not", "if", "then", "else"].into_iter().filter_map(|keyword| node.child(keyword));
    let dependent = node.entries("dependentSchemas").map(|(_, node)| node);
    for next in node.target().into_iter().chain(lists).chain(single).chain(dependent) {
        leads_on(&next, path, done)?;
    }
    path.pop();
    done.insert(node.home.clone());
    Ok(())
}

fn malformed(node: &Node<'_>, keyword: &str, why: String) -> Malformed {
    Malformed { at: format!("{}/{keyword}", node.home), why }
}
