//! What the payloads of a topic look like, as JSON Schema, and whether a change of that breaks those who read them.
//!
//! Consumers are written against a schema and outlive it: they go on reading while the emitter changes. So every event
//! that is valid under the new schema has to be valid under the old one. Confluent's Schema Registry calls this FORWARD
//! compatibility (<https://docs.confluent.io/platform/current/schema-registry/fundamentals/schema-evolution.html>), and it
//! is the one for events; BACKWARD, the default there, lets consumers go first, who would have to know of all changes to
//! come. Here it is meant to the letter: the new schema's instances are a subset of the old one's
//! ([`incompatibilities`]). A subset of a subset is one, so nobody who knows an even older schema is left behind (their
//! FORWARD_TRANSITIVE), unless a change was forced.
//!
//! What follows from that, in short:
//! - a field may be added, for who does not know it skips it; unless `additionalProperties` of the old schema forbids it;
//! - a field that was required stays so, one that was optional may become required;
//! - a type, an enumeration, a bound may become narrower and not wider: a consumer may switch on each value;
//! - a described field stays described, for what is not described may be anything; or it becomes `false`, never there.
//!
//! The dialect is 2020-12, where `$ref` may point to places of the schema itself: nobody fetches anything. What cannot be
//! compared, such as two different `pattern`s or a keyword that nobody here knows, counts as incompatible: the answer
//! errs on one side only.

mod forward;
mod instance;
mod keyword;
mod members;
mod node;
mod number;
mod shape;

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use node::Node;

/// A well-formed JSON Schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema(Value);

/// A JSON value that is no JSON Schema, or none that stands for itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{at:?} of the schema {why}")]
pub struct Malformed {
    /// JSON pointer to the keyword.
    pub at: String,
    /// What is wrong with it.
    pub why: String,
}

/// What of a value is not as its schema says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// JSON pointer to the part of the value.
    pub at: String,
    /// The keyword that it breaks, with what that says.
    pub expected: String,
}

/// How a value stands to a schema.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// All that is wrong.
    pub misfits: Vec<Misfit>,
    /// Keywords that were met and are not checked here, such as `pattern`.
    pub unchecked: BTreeSet<String>,
}

/// Why a change breaks consumers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Incompatibility {
    /// Where the schema says so, as JSON pointer by way of the `$ref`s (`keywordLocation` of JSON Schema): the old
    /// schema, or the new one where the old says nothing.
    pub at: String,
    /// The keyword.
    pub rule: String,
    /// What the old schema says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<Value>,
    /// What the new schema says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<Value>,
}

impl Schema {
    /// Checks that it is a JSON Schema of the dialect 2020-12 that refers to nothing but itself.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(schema: Value) -> Result<Self, Malformed> {
        shape::check(&schema)?;
        Ok(Self(schema))
    }

    /// The schema as JSON.
    #[must_use]
    pub fn as_json(&self) -> &Value {
        &self.0
    }

    /// Whether a value is as the schema says, as far as that is checked here: all but patterns, formats, contents and
    /// `unevaluated…`.
    #[must_use]
    pub fn judge(&self, value: &Value) -> Judgement {
        instance::judge(&Node::root(&self.0), value)
    }
}

/// All that keeps an event of the new schema from being read by who knows the old one; empty, if nothing does.
#[must_use]
pub fn incompatibilities(old: &Schema, new: &Schema) -> Vec<Incompatibility> {
    forward::incompatibilities(&old.0, &new.0)
}

impl Judgement {
    /// Whether the value is for certain not as the schema says.
    fn is_no(&self) -> bool {
        !self.misfits.is_empty() && self.unchecked.is_empty()
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {}", if self.at.is_empty() { "/" } else { &self.at }, self.expected)
    }
}

impl fmt::Display for Incompatibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, keyword::reason(&self.rule))?;
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => write!(f, " (was {}, is {})", brief(old), brief(new)),
            (Some(old), None) => write!(f, " (was {})", brief(old)),
            (None, Some(new)) => write!(f, " (is {})", brief(new)),
            (None, None) => Ok(()),
        }
    }
}

/// Characters of a value that a report shows.
const BRIEF_MAX: usize = 80;

fn brief(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(BRIEF_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests;
