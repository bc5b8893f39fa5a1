//! The keywords of JSON Schema 2020-12, by what comparing two schemas has to know of them
//! (<https://json-schema.org/draft/2020-12/json-schema-validation>).

use serde_json::Value;

use super::members::Types;

/// How a keyword is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Says nothing about what is valid.
    Annotation,
    /// Compared by a rule of its own.
    Ruled,
    /// Holds on its own: the new schema has to say the same, whatever it says besides.
    Alone,
    /// Means something by what stands beside it or around it: only the same whole will do.
    Entangled,
    /// Nobody here knows.
    Unknown,
}

const ANNOTATIONS: [&str; 13] = [
    "$schema",
    "$id",
    "$anchor",
    "$comment",
    "$defs",
    "definitions",
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
];

const RULED: [&str; 25] = [
    "$ref",
    "allOf",
    "anyOf",
    "oneOf",
    "type",
    "enum",
    "const",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "properties",
    "required",
    "additionalProperties",
    "patternProperties",
    "minProperties",
    "maxProperties",
    "prefixItems",
    "items",
    "minItems",
    "maxItems",
    "uniqueItems",
];

/// `format` and `content…` are annotations by default, but who reads them relies on them.
const ALONE: [&str; 15] = [
    "pattern",
    "format",
    "contentEncoding",
    "contentMediaType",
    "contentSchema",
    "not",
    "propertyNames",
    "dependentRequired",
    "dependentSchemas",
    "if",
    "then",
    "else",
    "contains",
    "minContains",
    "maxContains",
];

const ENTANGLED: [&str; 5] =
    ["unevaluatedProperties", "unevaluatedItems", "$dynamicRef", "$dynamicAnchor", "$vocabulary"];

/// Keywords that say something together only.
const TOGETHER: [&[&str]; 2] =
    [&["if", "then", "else"], &["contains", "minContains", "maxContains"]];

impl Class {
    pub(super) fn of(keyword: &str) -> Self {
        if ANNOTATIONS.contains(&keyword) || keyword.starts_with("x-") {
            Self::Annotation
        } else if RULED.contains(&keyword) {
            Self::Ruled
        } else if ALONE.contains(&keyword) {
            Self::Alone
        } else if ENTANGLED.contains(&keyword) {
            Self::Entangled
        } else {
            Self::Unknown
        }
    }
}

/// The keywords that have to be the same together with this one; it is among them.
pub(super) fn together(keyword: &str) -> Vec<&str> {
    let group = TOGETHER.iter().find(|group| group.contains(&keyword));
    group.map_or_else(|| vec![keyword], |group| group.to_vec())
}

/// The types that a keyword says something about; it lets pass all others.
pub(super) fn types(keyword: &str) -> Types {
    match keyword {
        "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf" => {
            Types::NUMBER
        }
        "minLength" | "maxLength" | "pattern" | "format" | "contentEncoding"
        | "contentMediaType" | "contentSchema" => Types::STRING,
        "properties"
        | "required"
        | "additionalProperties"
        | "patternProperties"
        | "minProperties"
        | "maxProperties"
        | "propertyNames"
        | "dependentRequired"
        | "dependentSchemas"
        | "unevaluatedProperties" => Types::OBJECT,
        "prefixItems" | "items" | "minItems" | "maxItems" | "uniqueItems" | "contains"
        | "minContains" | "maxContains" | "unevaluatedItems" => Types::ARRAY,
        _ => Types::ALL,
    }
}

/// Why a broken rule breaks consumers.
pub(super) fn reason(rule: &str) -> &'static str {
    match rule {
        "type" => "consumers may meet a type that they do not know",
        "enum" | "const" => "consumers may meet a value that they do not know",
        "required" => "consumers rely on it, and it may be missing",
        "properties" => {
            "it is not described any more and may be anything: describe it as before, or as `false` if it never comes"
        }
        "additionalProperties" => "consumers do not expect more than was described",
        "patternProperties" | "prefixItems" | "items" => {
            "consumers may meet what was not there before"
        }
        "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf"
        | "minLength" | "maxLength" | "minItems" | "maxItems" | "uniqueItems" | "minProperties"
        | "maxProperties" => "consumers may meet what was out of bounds",
        "anyOf" | "oneOf" => "consumers may meet what is none of the alternatives that they know",
        "false" => "consumers were told that it never comes",
        SIZE => "the schemas are too intricate to be compared",
        rule => match Class::of(rule) {
            Class::Unknown => "nobody knows what this keyword means to consumers",
            _ => "it cannot be told whether this lets through what it did not before",
        },
    }
}

/// The rule that a comparison breaks that was given up.
pub(super) const SIZE: &str = "size";

/// Whether a schema says anything.
pub(super) fn is_anything(schema: &Value) -> bool {
    match schema {
        Value::Bool(anything) => *anything,
        Value::Object(keywords) => {
            keywords.keys().all(|keyword| Class::of(keyword) == Class::Annotation)
        }
        _ => false,
    }
}
