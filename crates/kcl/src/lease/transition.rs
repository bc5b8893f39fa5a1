//! Every write that is ever made to a lease, each with the condition under which it may happen.
//!
//! The source of the rules is `DynamoDBLeaseRefresher` of the KCL. A [`Transition`] knows two things, both
//! without I/O: the conditional write, and the lease as it is once the write has happened. The second is how
//! a write whose reply was lost is recognised.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;

use crate::checkpoint::Checkpoint;
use crate::lease::{
    CHECKPOINT, CHECKPOINT_OWNER, CHILDREN, LEASE_COUNTER, LEASE_KEY, LEASE_OWNER, Lease,
    OWNER_SWITCHES, SUB_SEQUENCE, string_set,
};

/// A change to a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transition {
    /// Bring a lease into being, unless it exists.
    Create,
    /// Show that the owner is alive. Not while a hand-over has begun.
    Renew,
    /// Become the owner, of a free lease or of one whose owner is silent or overloaded.
    Take {
        /// The new owner.
        worker: String,
    },
    /// Save how far the shard has been processed; counts as a renewal.
    Checkpoint(Checkpoint),
    /// Note the shards that this one was split or merged into.
    Children(BTreeSet<String>),
    /// Give the lease up, so that another worker may take it at once.
    Evict,
}

/// A conditional write as DynamoDB takes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    /// Key of the row.
    pub key: String,
    /// `ConditionExpression`.
    pub condition: String,
    /// `UpdateExpression`.
    pub update: String,
    /// `ExpressionAttributeValues`.
    pub values: HashMap<String, AttributeValue>,
}

impl Transition {
    /// Name of the transition, for errors and logs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Renew => "renew",
            Self::Take { .. } => "take",
            Self::Checkpoint(_) => "checkpoint",
            Self::Children(_) => "children",
            Self::Evict => "evict",
        }
    }

    /// The lease after the transition, from the lease as it was last seen.
    #[must_use]
    pub fn apply(&self, seen: &Lease) -> Lease {
        let mut lease = seen.clone();
        match self {
            Self::Create => return lease,
            Self::Children(children) => {
                lease.children.clone_from(children);
                return lease;
            }
            Self::Renew => {}
            Self::Take { worker } => {
                if lease.owner.as_ref().is_some_and(|owner| owner != worker) {
                    lease.owner_switches += 1;
                }
                lease.owner = Some(worker.clone());
                lease.checkpoint_owner = None;
            }
            Self::Checkpoint(checkpoint) => {
                lease.checkpoint = *checkpoint;
                lease.owner_switches = 0;
            }
            Self::Evict => lease.owner = None,
        }
        lease.counter += 1;
        lease
    }

    /// The conditional write, from the lease as it was last seen.
    #[must_use]
    pub fn write(&self, seen: &Lease) -> Write {
        let after = self.apply(seen);
        let mut write = Statement::default();
        match self {
            Self::Create => return creation(seen),
            Self::Children(children) => {
                write.set(CHILDREN, string_set(children));
                return write.finish(&seen.key, format!("attribute_exists({LEASE_KEY})"));
            }
            Self::Renew => {}
            Self::Take { worker } => {
                write.set(LEASE_OWNER, AttributeValue::S(worker.clone()));
                write.set_number(OWNER_SWITCHES, after.owner_switches);
                write.remove(&[CHECKPOINT_OWNER]);
            }
            Self::Checkpoint(checkpoint) => {
                write.set(CHECKPOINT, AttributeValue::S(checkpoint.to_string()));
                write.set_number(SUB_SEQUENCE, checkpoint.sub_sequence());
                write.set_number(OWNER_SWITCHES, 0);
                write.remove(&PENDING);
            }
            Self::Evict => write.remove(&[LEASE_OWNER]),
        }
        write.set_number(LEASE_COUNTER, after.counter);
        write.values.insert(":seen".to_owned(), AttributeValue::N(seen.counter.to_string()));
        let mut condition = format!("{LEASE_COUNTER} = :seen");
        if matches!(self, Self::Renew) {
            condition += &format!(" AND attribute_not_exists({CHECKPOINT_OWNER})");
        }
        write.finish(&seen.key, condition)
    }

    /// Whether `current`, the row that refused the write, is what the write would have made: then an earlier
    /// attempt got through and only its reply was lost.
    #[must_use]
    pub fn has_happened(&self, seen: &Lease, current: &Lease) -> bool {
        let after = self.apply(seen);
        !matches!(self, Self::Create)
            && current.counter == after.counter
            && current.owner == after.owner
            && current.checkpoint == after.checkpoint
    }
}

/// What a normal checkpoint clears of a two-phase one.
const PENDING: [&str; 3] =
    ["pendingCheckpoint", "pendingCheckpointSubSequenceNumber", "pendingCheckpointState"];

fn creation(lease: &Lease) -> Write {
    let mut write = Statement::default();
    for (name, value) in lease.encode() {
        if name != LEASE_KEY {
            write.set(&name, value);
        }
    }
    write.finish(&lease.key, format!("attribute_not_exists({LEASE_KEY})"))
}

#[derive(Default)]
struct Statement {
    set: Vec<String>,
    remove: Vec<String>,
    values: HashMap<String, AttributeValue>,
}

impl Statement {
    fn set(&mut self, attribute: &str, value: AttributeValue) {
        self.set.push(format!("{attribute} = :{attribute}"));
        self.values.insert(format!(":{attribute}"), value);
    }

    fn set_number(&mut self, attribute: &str, value: u64) {
        self.set(attribute, AttributeValue::N(value.to_string()));
    }

    fn remove(&mut self, attributes: &[&str]) {
        self.remove.extend(attributes.iter().map(|&attribute| attribute.to_owned()));
    }

    fn finish(mut self, key: &str, condition: String) -> Write {
        self.set.sort();
        let clauses = [("SET", self.set), ("REMOVE", self.remove)];
        let update = clauses.iter().filter(|(_, parts)| !parts.is_empty());
        let update: Vec<_> =
            update.map(|(verb, parts)| format!("{verb} {}", parts.join(", "))).collect();
        Write { key: key.to_owned(), condition, update: update.join(" "), values: self.values }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease() -> Lease {
        Lease {
            owner: Some("a".into()),
            counter: 4,
            ..Lease::new("shardId-000000000000", Checkpoint::TrimHorizon)
        }
    }

    #[test]
    fn a_renewal_is_refused_once_the_counter_moved_or_a_hand_over_began() {
        let write = Transition::Renew.write(&lease());
        assert_eq!(
            write.condition,
            "leaseCounter = :seen AND attribute_not_exists(checkpointOwner)"
        );
        assert_eq!(write.update, "SET leaseCounter = :leaseCounter");
        assert_eq!(write.values[":seen"], AttributeValue::N("4".into()));
        assert_eq!(write.values[":leaseCounter"], AttributeValue::N("5".into()));
    }

    #[test]
    fn taking_counts_a_switch_only_when_another_owner_is_replaced() {
        let take = Transition::Take { worker: "b".into() };
        assert_eq!(take.apply(&lease()).owner_switches, 1);
        assert_eq!(take.apply(&Lease { owner: None, ..lease() }).owner_switches, 0);
        assert_eq!(take.apply(&Lease { owner: Some("b".into()), ..lease() }).owner_switches, 0);
    }

    #[test]
    fn a_checkpoint_clears_switches_and_pending_state() {
        let checkpoint = Checkpoint::parse("77", 0).unwrap();
        let write =
            Transition::Checkpoint(checkpoint).write(&Lease { owner_switches: 3, ..lease() });
        assert_eq!(
            write.update,
            "SET checkpoint = :checkpoint, checkpointSubSequenceNumber = :checkpointSubSequenceNumber, \
             leaseCounter = :leaseCounter, ownerSwitchesSinceCheckpoint = :ownerSwitchesSinceCheckpoint \
             REMOVE pendingCheckpoint, pendingCheckpointSubSequenceNumber, pendingCheckpointState"
        );
        assert_eq!(write.values[":ownerSwitchesSinceCheckpoint"], AttributeValue::N("0".into()));
    }

    #[test]
    fn giving_up_removes_the_owner_and_moves_the_counter() {
        let write = Transition::Evict.write(&lease());
        assert_eq!(write.update, "SET leaseCounter = :leaseCounter REMOVE leaseOwner");
        assert_eq!(Transition::Evict.apply(&lease()).owner, None);
    }

    #[test]
    fn only_our_own_write_is_taken_for_ours() {
        let seen = lease();
        for transition in [
            Transition::Renew,
            Transition::Take { worker: "b".into() },
            Transition::Checkpoint(Checkpoint::ShardEnd),
            Transition::Evict,
        ] {
            let after = transition.apply(&seen);
            assert!(transition.has_happened(&seen, &after), "{transition:?}");
            let other = Lease { owner: Some("c".into()), ..after.clone() };
            assert!(!transition.has_happened(&seen, &other), "{transition:?}");
            let later = Lease { counter: after.counter + 1, ..after };
            assert!(!transition.has_happened(&seen, &later), "{transition:?}");
        }
    }
}
