//! What of a declaration SNS can check: conditions on the attributes that the reader writes beside an event.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::place::unescaped;
use super::rule::{Check, Rule};

/// The attribute that is `true` on a synthetic event, and missing on every other.
pub const SYNTHETIC_ATTRIBUTE: &str = "synthetic";
/// The attribute with the experiments' arms that an event is in, each as `experiment:arm`.
pub const ARM_ATTRIBUTE: &str = "arm";

/// Conditions of an SNS filter policy, by attribute; of several conditions on an attribute one must hold.
///
/// It lets through all that the preconditions would, and perhaps more: SNS cannot join two conditions on one
/// attribute by "and", and what it has no attribute for it cannot check. So every service checks again. The domain has
/// no attribute: a type belongs to one domain as a rule, and a notification would look otherwise than the original's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct AttributeFilter(pub BTreeMap<&'static str, Vec<Value>>);

impl AttributeFilter {
    pub(super) fn of(rules: &[Rule]) -> Self {
        let mut filter = Self::default();
        for (attribute, conditions) in rules.iter().filter_map(conditions) {
            // The first rule of an attribute decides: a second one could only be joined by "or".
            filter.0.entry(attribute).or_insert(conditions);
        }
        filter
    }
}

/// The attribute that a precondition is about, and the condition on it; none if SNS cannot check it.
fn conditions(rule: &Rule) -> Option<(&'static str, Vec<Value>)> {
    match rule.at.as_str() {
        "/synthetic" => Some((SYNTHETIC_ATTRIBUTE, of_mark(&rule.check)?)),
        at => {
            let experiment = at.strip_prefix("/experiments/").filter(|name| !name.contains('/'))?;
            let prefix = arm(&unescaped(experiment), "");
            let arm = |value: &Value| value.as_str().map(|arm| format!("{prefix}{arm}").into());
            Some((ARM_ATTRIBUTE, of_arms(&rule.check, &prefix, arm)?))
        }
    }
}

/// How an arm of an experiment is written in the attribute.
#[must_use]
pub fn arm(experiment: &str, arm: &str) -> String {
    format!("{experiment}:{arm}")
}

/// Conditions on an attribute with a list of texts, those of one experiment beginning with `prefix`.
fn of_arms(
    check: &Check,
    prefix: &str,
    text: impl Fn(&Value) -> Option<Value>,
) -> Option<Vec<Value>> {
    match check {
        Check::DemandKey => Some(vec![json!({"prefix": prefix})]),
        Check::DemandValue { value } => Some(vec![text(value)?]),
        Check::DemandAny { values } => values.iter().map(text).collect(),
        Check::DemandPrefix { prefix: wanted } => {
            Some(vec![json!({"prefix": format!("{prefix}{wanted}")})])
        }
        // Of a list, another element would do: that lets more through, and no less.
        Check::RejectValue { value } => {
            Some(vec![json!({"anything-but": [text(value)?]}), json!({"exists": false})])
        }
        _ => None,
    }
}

/// Conditions on an attribute that says `true` or is not there.
fn of_mark(check: &Check) -> Option<Vec<Value>> {
    let wanted = match check {
        Check::DemandKey => true,
        Check::RejectKey => false,
        Check::DemandValue { value } => value.as_bool()?,
        Check::RejectValue { value } => !value.as_bool()?,
        _ => return None,
    };
    Some(vec![if wanted { json!("true") } else { json!({"exists": false}) }])
}
