//! SNS filter policies: read, checked against AWS's limits, and matched.
//!
//! The source of the rules is <https://docs.aws.amazon.com/sns/latest/dg/sns-subscription-filter-policies.html>
//! and the pages below it. Keys of a policy are joined by "and", values of a key by "or".

mod condition;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::EVENT_TYPE_ATTRIBUTE;
use condition::Condition;

/// Most combinations of values in a policy: the product of the lengths of its lists.
pub const COMBINATIONS_MAX: usize = 150;
/// Most keys of a policy.
pub const KEYS_MAX: usize = 5;
/// Most bytes of a policy's text.
pub const BYTES_MAX: usize = 256 << 10;

/// What a policy looks at: `FilterPolicyScope` of a subscription.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// The message attributes.
    #[default]
    Attributes,
    /// The message itself, as JSON.
    Body,
}

/// A filter policy.
#[derive(Clone, Debug, PartialEq)]
pub struct FilterPolicy {
    root: Node,
}

/// Message attributes by name, each with the values that a policy may match: one for `String` and `Number`, the
/// elements for `String.Array`, none for `Binary`.
pub type Attributes = BTreeMap<String, Vec<Value>>;

/// Why a text is no filter policy that SNS would take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPolicy {
    /// Not a JSON object.
    #[error("the policy is not a JSON object: {0}")]
    NotAnObject(String),
    /// A key has something other than a list of conditions, or a condition is unknown.
    #[error("key {key:?}: {problem}")]
    Key {
        /// The key.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
    /// More than AWS takes.
    #[error("{what} is {count}, at most {max} are allowed")]
    TooMuch {
        /// What is counted.
        what: &'static str,
        /// How much there is.
        count: usize,
        /// How much may be.
        max: usize,
    },
}

#[derive(Clone, Debug, PartialEq)]
struct Node {
    /// All of these.
    keys: Vec<(String, Rule)>,
    /// And one of each of these.
    either: Vec<Vec<Node>>,
}

#[derive(Clone, Debug, PartialEq)]
enum Rule {
    OneOf(Vec<Condition>),
    Within(Node),
}

impl FilterPolicy {
    /// Reads a policy and checks it against the limits.
    ///
    /// # Errors
    /// [`InvalidPolicy`], with the key and the problem.
    pub fn parse(json: &str, scope: Scope) -> Result<Self, InvalidPolicy> {
        within("the size of the policy in bytes", json.len(), BYTES_MAX)?;
        let policy: Map<String, Value> =
            serde_json::from_str(json).map_err(|e| InvalidPolicy::NotAnObject(e.to_string()))?;
        let root = Node::parse(&policy, scope)?;
        let mut keys = BTreeSet::new();
        root.names("", &mut keys);
        within("the number of keys", keys.len(), KEYS_MAX)?;
        within("the number of value combinations", root.combinations(1), COMBINATIONS_MAX)?;
        Ok(Self { root })
    }

    /// Whether a message with these attributes passes.
    #[must_use]
    pub fn matches_attributes(&self, attributes: &Attributes) -> bool {
        self.root.matches(&|name| attributes.get(name).map(|values| values.iter().collect()))
    }

    /// Whether a message with this body passes. What is not a JSON object does not.
    #[must_use]
    pub fn matches_body(&self, body: &Value) -> bool {
        body.is_object() && self.root.matches_value(body)
    }
}

/// The policy of a river that takes these event types, as canonical text: sorted, each once.
#[must_use]
pub fn river_policy<'a>(event_types: impl IntoIterator<Item = &'a str>) -> String {
    let event_types: BTreeSet<_> = event_types.into_iter().collect();
    json!({ EVENT_TYPE_ATTRIBUTE: event_types }).to_string()
}

fn within(what: &'static str, count: usize, max: usize) -> Result<(), InvalidPolicy> {
    if count > max { Err(InvalidPolicy::TooMuch { what, count, max }) } else { Ok(()) }
}

impl Node {
    fn parse(policy: &Map<String, Value>, scope: Scope) -> Result<Self, InvalidPolicy> {
        let mut node = Self { keys: Vec::new(), either: Vec::new() };
        for (key, value) in policy {
            let invalid = |problem: String| InvalidPolicy::Key { key: key.clone(), problem };
            match value {
                Value::Array(branches) if is_or(key, branches) => {
                    let branches = branches.iter().filter_map(Value::as_object);
                    let branches = branches.map(|branch| Self::parse(branch, scope));
                    node.either.push(branches.collect::<Result<_, _>>()?);
                }
                Value::Array(conditions) if !conditions.is_empty() => {
                    let conditions = conditions.iter().map(Condition::parse);
                    let conditions = conditions.collect::<Result<_, _>>().map_err(invalid)?;
                    node.keys.push((key.clone(), Rule::OneOf(conditions)));
                }
                Value::Object(nested) if scope == Scope::Body => {
                    node.keys.push((key.clone(), Rule::Within(Self::parse(nested, scope)?)));
                }
                _ => return Err(invalid("expected a list of conditions that is not empty".into())),
            }
        }
        Ok(node)
    }

    fn names(&self, path: &str, names: &mut BTreeSet<String>) {
        for (key, rule) in &self.keys {
            let path = format!("{path}/{key}");
            match rule {
                Rule::OneOf(_) => drop(names.insert(path)),
                Rule::Within(node) => node.names(&path, names),
            }
        }
        self.either.iter().flatten().for_each(|node| node.names(path, names));
    }

    /// A list counts its length times its depth
    /// (<https://docs.aws.amazon.com/sns/latest/dg/subscription-filter-policy-constraints.html>).
    fn combinations(&self, depth: usize) -> usize {
        let keys = self.keys.iter().map(|(_, rule)| match rule {
            Rule::OneOf(conditions) => conditions.len() * depth,
            Rule::Within(node) => node.combinations(depth + 1),
        });
        let either = self.either.iter().map(|branches| {
            branches.iter().map(|node| node.combinations(depth)).fold(0, usize::saturating_add)
        });
        keys.chain(either).fold(1, usize::saturating_mul)
    }

    fn matches<'v>(&self, look_up: &dyn Fn(&str) -> Option<Vec<&'v Value>>) -> bool {
        let rule_holds = |(key, rule): &(String, Rule)| match rule {
            Rule::OneOf(conditions) => {
                let values = look_up(key);
                conditions.iter().any(|condition| condition.holds(values.as_deref()))
            }
            Rule::Within(node) => look_up(key)
                .is_some_and(|values| values.iter().any(|value| node.matches_value(value))),
        };
        self.keys.iter().all(rule_holds)
            && self.either.iter().all(|branches| branches.iter().any(|node| node.matches(look_up)))
    }

    fn matches_value(&self, value: &Value) -> bool {
        self.matches(&|name| {
            value.get(name).map(|found| match found {
                Value::Array(elements) => elements.iter().collect(),
                single => vec![single],
            })
        })
    }
}

/// `$or` is an operator when it lists two objects or more with keys of their own; else it is a key of that name.
fn is_or(key: &str, branches: &[Value]) -> bool {
    let branch = |value: &Value| value.as_object().is_some_and(|object| !object.is_empty());
    key == "$or" && branches.len() >= 2 && branches.iter().all(branch)
}

#[cfg(test)]
mod tests;
