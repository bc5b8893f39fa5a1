//! Which writes to a lease are legal: the conditional writes of `DynamoDBLeaseRefresher`, as a checker that
//! knows nothing of how this crate makes them.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::AttributeValue;
use kcl::lease::transition::Write;
use serde_json::Value;

use crate::items::{Item, attribute, item, n, number};

/// What every lease row has: without one of them a worker of KCL 2.x cannot read the table.
pub(crate) const REQUIRED: [&str; 4] =
    ["leaseKey", "leaseCounter", "ownerSwitchesSinceCheckpoint", "checkpoint"];
const PENDING: [&str; 3] =
    ["pendingCheckpoint", "pendingCheckpointSubSequenceNumber", "pendingCheckpointState"];
/// What adds knowledge to a lease and moves nothing.
const KNOWLEDGE: [&str; 4] =
    ["childShardIds", "startingHashKey", "endingHashKey", "initialTimestampMillis"];

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Requirement {
    Equals(AttributeValue),
    Absent,
    Present,
}

/// A conditional write, in whichever of DynamoDB's two languages it came.
#[derive(Debug, Default)]
pub(crate) struct Statement {
    pub(crate) requires: BTreeMap<String, Requirement>,
    pub(crate) sets: BTreeMap<String, AttributeValue>,
    pub(crate) adds: BTreeMap<String, u64>,
    pub(crate) removes: BTreeSet<String>,
}

impl Statement {
    /// From the legacy parameters, as the KCL sends them.
    pub(crate) fn of_kcl(request: &Value) -> Self {
        let mut statement = Self::default();
        for (name, expected) in request["Expected"].as_object().into_iter().flatten() {
            let requirement = match (expected.get("Value"), expected["Exists"].as_bool()) {
                (Some(_), _) if name == "leaseKey" => Requirement::Present,
                (Some(value), _) => Requirement::Equals(attribute(value)),
                (None, Some(false)) => Requirement::Absent,
                _ => panic!("an expectation {expected}"),
            };
            statement.requires.insert(name.clone(), requirement);
        }
        if request["Item"].is_object() {
            statement.sets.extend(item(&request["Item"]));
        }
        for (name, update) in request["AttributeUpdates"].as_object().into_iter().flatten() {
            let value = || attribute(&update["Value"]);
            match update["Action"].as_str().unwrap() {
                "PUT" => {
                    statement.sets.insert(name.clone(), value());
                }
                "ADD" => {
                    let by = value().as_n().unwrap().parse().unwrap();
                    statement.adds.insert(name.clone(), by);
                }
                "DELETE" => {
                    statement.removes.insert(name.clone());
                }
                other => panic!("an action {other}"),
            }
        }
        statement
    }

    /// From the expressions that this crate sends.
    pub(crate) fn of_ours(write: &Write) -> Self {
        let mut statement = Self::default();
        for condition in write.condition.split(" AND ") {
            let inside = |function: &str| {
                condition.strip_prefix(function)?.strip_suffix(')').map(str::to_owned)
            };
            let (name, requirement) = if let Some(name) = inside("attribute_not_exists(") {
                (name, Requirement::Absent)
            } else if let Some(name) = inside("attribute_exists(") {
                (name, Requirement::Present)
            } else {
                let (name, value) = condition.split_once(" = ").unwrap();
                (name.to_owned(), Requirement::Equals(write.values[value].clone()))
            };
            statement.requires.insert(name, requirement);
        }
        let (sets, removes) = write.update.split_once("REMOVE ").unwrap_or((&write.update, ""));
        let sets = sets.trim().trim_start_matches("SET ");
        for set in sets.split(", ").filter(|set| !set.is_empty()) {
            let (name, value) = set.split_once(" = ").unwrap();
            statement.sets.insert(name.to_owned(), write.values[value].clone());
        }
        let removes = removes.split(", ").filter(|name| !name.is_empty());
        statement.removes.extend(removes.map(str::to_owned));
        statement
    }

    /// Whether DynamoDB makes the write.
    pub(crate) fn applies_to(&self, before: &Item) -> bool {
        self.requires.iter().all(|(name, requirement)| match requirement {
            Requirement::Equals(value) => before.get(name) == Some(value),
            Requirement::Absent => !before.contains_key(name),
            Requirement::Present => before.contains_key(name),
        })
    }

    /// The row once the write was made.
    pub(crate) fn apply(&self, before: &Item) -> Item {
        let mut after = before.clone();
        after.retain(|name, _| !self.removes.contains(name));
        after.extend(self.sets.clone());
        for (name, by) in &self.adds {
            after.insert(name.clone(), n(number(&after, name) + by));
        }
        after
    }

    fn touches(&self, name: &str) -> bool {
        self.sets.contains_key(name) || self.adds.contains_key(name) || self.removes.contains(name)
    }

    fn requires_observed(&self, before: &Item, name: &str) -> bool {
        match (self.requires.get(name), before.get(name)) {
            (Some(Requirement::Equals(required)), Some(observed)) => required == observed,
            (Some(Requirement::Absent), None) => true,
            _ => false,
        }
    }
}

/// The name of the transition that a write makes, or why it is none. `before` is the row as it was when the
/// write was made, empty if there was none.
pub(crate) fn judge(statement: &Statement, before: &Item) -> Result<&'static str, String> {
    let after = statement.apply(before);
    let check = |holds: bool, what: &str| if holds { Ok(()) } else { Err(what.to_owned()) };
    for name in REQUIRED {
        check(after.contains_key(name), &format!("leaves a row without {name}"))?;
    }
    if before.is_empty() {
        let absent = statement.requires.get("leaseKey") == Some(&Requirement::Absent);
        check(absent, "creates what may exist")?;
        return Ok("create");
    }
    let counted = statement.requires_observed(before, "leaseCounter");
    let owners = statement.requires_observed(before, "leaseOwner")
        && statement.requires_observed(before, "checkpointOwner");
    let owner = |row: &Item, name: &str| row.get(name).cloned();
    let moved = number(&after, "leaseCounter") == number(before, "leaseCounter") + 1;
    let still = number(&after, "leaseCounter") == number(before, "leaseCounter");
    let switched = number(&after, "ownerSwitchesSinceCheckpoint")
        == number(before, "ownerSwitchesSinceCheckpoint") + 1;
    if statement.touches("checkpoint") {
        check(counted && moved, "a checkpoint must move the counter that it saw")?;
        check(number(&after, "ownerSwitchesSinceCheckpoint") == 0, "switches are not reset")?;
        check(statement.touches("checkpointSubSequenceNumber"), "half a checkpoint")?;
        let touched = statement.touches("leaseOwner") || statement.touches("checkpointOwner");
        check(!touched, "a checkpoint changes the owner")?;
        if statement.sets.contains_key("pendingCheckpoint") {
            let kept = owner(&after, "checkpoint") == owner(before, "checkpoint");
            check(kept, "a pending checkpoint moves the other")?;
            return Ok("prepare");
        }
        let cleared = PENDING.iter().all(|name| statement.removes.contains(*name));
        check(cleared, "a pending checkpoint is left behind")?;
        return Ok("checkpoint");
    }
    if statement.sets.contains_key("checkpointOwner") {
        check(owners && still, "a hand-over begins without seeing the owner, or shows life")?;
        let names = owner(&after, "checkpointOwner") == owner(before, "leaseOwner");
        check(names && !before.contains_key("checkpointOwner"), "the holder is not named")?;
        return Ok("begin hand-over");
    }
    if statement.touches("leaseOwner") || statement.removes.contains("checkpointOwner") {
        check(moved && (counted || owners), "an owner changes without a look at the lease")?;
        if !after.contains_key("leaseOwner") {
            return Ok("evict");
        }
        let handed = before.contains_key("checkpointOwner");
        let changed = owner(before, "leaseOwner").is_some_and(|old| after["leaseOwner"] != old);
        check(!after.contains_key("checkpointOwner"), "a hand-over is left open")?;
        check(switched == (changed || (handed && owners)), "switches are counted wrongly")?;
        return Ok(if owners { "assign" } else { "take" });
    }
    if statement.touches("leaseCounter") {
        check(counted && moved, "a renewal must move the counter that it saw")?;
        let known = before.contains_key("checkpointOwner");
        let refused = statement.requires_observed(before, "checkpointOwner");
        check(known || refused, "a renewal overlooks a hand-over")?;
        return Ok("renew");
    }
    let names = statement.sets.keys().chain(&statement.removes);
    check(names.clone().all(|name| KNOWLEDGE.contains(&name.as_str())), "not a known write")?;
    let exists = statement.requires.get("leaseKey") == Some(&Requirement::Present);
    check(exists && still, "knowledge is added to what may not exist")?;
    Ok("add knowledge")
}
