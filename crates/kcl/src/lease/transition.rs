//! Every write that is ever made to a lease, each with the condition under which it may happen.
//!
//! The source of the rules is `DynamoDBLeaseRefresher` of the KCL. A [`Transition`] knows two things, both
//! without I/O: the conditional write, and the lease as it is once the write has happened. The second is how
//! a write whose reply was lost is recognised.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;

use crate::checkpoint::Checkpoint;
use crate::lease::{
    CHECKPOINT, CHECKPOINT_OWNER, CHILDREN, ENDING_HASH_KEY, HashRange, INITIAL_AT, LEASE_COUNTER,
    LEASE_KEY, LEASE_OWNER, Lease, OWNER_SWITCHES, STARTING_HASH_KEY, SUB_SEQUENCE, THROUGHPUT,
    string_set,
};

/// A change to a lease.
#[derive(Clone, Debug, PartialEq)]
pub enum Transition {
    /// Bring a lease into being, unless it exists.
    Create,
    /// Show that the holder is alive. Refused once a hand-over has begun, unless the holder knows of it: the
    /// lease as seen then names it as the checkpoint owner.
    Renew {
        /// What the shard carries, in KB a second, where workers are balanced by that.
        throughput: Option<f64>,
    },
    /// Become the owner, of a free lease or of one whose owner is silent or overloaded.
    Take {
        /// The new owner.
        worker: String,
    },
    /// Ask the owner to hand the lease over: it goes on as the checkpoint owner until it is done.
    Ask {
        /// The next owner.
        worker: String,
    },
    /// Take such a wish back: the one who processes is the owner again.
    Withdraw,
    /// Hand the lease over to the one who asked for it.
    HandOver,
    /// Save how far the shard has been processed; counts as a renewal.
    Checkpoint(Checkpoint),
    /// Note the shards that this one was split or merged into.
    Children(BTreeSet<String>),
    /// Note the part of the key space, where a row lacks it.
    HashRange(HashRange),
    /// Note when a lease without checkpoint begins, in milliseconds since the Unix epoch, unless that is noted.
    Pin(u64),
    /// Give the lease up, so that another worker may take it at once.
    Evict,
    /// Remove the lease of a shard that is gone, or processed with all that follows on it.
    Delete,
}

/// A conditional write as DynamoDB takes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    /// Key of the row.
    pub key: String,
    /// `ConditionExpression`.
    pub condition: String,
    /// `UpdateExpression`; empty for a deletion.
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
            Self::Renew { .. } => "renew",
            Self::Take { .. } => "take",
            Self::Ask { .. } => "ask",
            Self::Withdraw => "withdraw",
            Self::HandOver => "hand over",
            Self::Checkpoint(_) => "checkpoint",
            Self::Children(_) => "children",
            Self::HashRange(_) => "hash range",
            Self::Pin(_) => "pin",
            Self::Evict => "evict",
            Self::Delete => "delete",
        }
    }

    /// The lease after the transition, from the lease as it was last seen.
    #[must_use]
    pub fn apply(&self, seen: &Lease) -> Lease {
        let mut lease = seen.clone();
        match self {
            Self::Create | Self::Delete => return lease,
            Self::Children(children) => lease.children.clone_from(children),
            Self::HashRange(range) => lease.hash_range = Some(*range),
            Self::Pin(at) => lease.initial_at = Some(*at),
            Self::Renew { throughput } => lease.throughput = throughput.or(lease.throughput),
            Self::Take { worker } => {
                if lease.owner.as_ref().is_some_and(|owner| owner != worker) {
                    lease.owner_switches += 1;
                }
                lease.owner = Some(worker.clone());
                lease.checkpoint_owner = None;
            }
            Self::Ask { worker } => {
                lease.checkpoint_owner = lease.owner.replace(worker.clone());
            }
            Self::Withdraw => lease.owner = lease.checkpoint_owner.take(),
            Self::HandOver => {
                lease.checkpoint_owner = None;
                lease.owner_switches += 1;
            }
            Self::Checkpoint(checkpoint) => {
                lease.checkpoint = *checkpoint;
                lease.owner_switches = 0;
            }
            Self::Evict => lease.owner = None,
        }
        lease.counter += u64::from(self.moves_counter());
        lease
    }

    /// Whether it shows life: what only adds knowledge, or asks, does not.
    fn moves_counter(&self) -> bool {
        match self {
            Self::Renew { .. }
            | Self::Take { .. }
            | Self::HandOver
            | Self::Checkpoint(_)
            | Self::Evict => true,
            Self::Create
            | Self::Ask { .. }
            | Self::Withdraw
            | Self::Children(_)
            | Self::HashRange(_)
            | Self::Pin(_)
            | Self::Delete => false,
        }
    }

    /// The conditional write, from the lease as it was last seen.
    #[must_use]
    pub fn write(&self, seen: &Lease) -> Write {
        let after = self.apply(seen);
        let mut write = Statement::default();
        self.effects(seen, &after, &mut write);
        if self.moves_counter() {
            write.set_number(LEASE_COUNTER, after.counter);
        }
        match self {
            Self::Create => write.require(format!("attribute_not_exists({LEASE_KEY})")),
            Self::Children(_) | Self::HashRange(_) => {
                write.require(format!("attribute_exists({LEASE_KEY})"));
            }
            Self::Pin(_) => {
                write.require(format!("attribute_exists({LEASE_KEY})"));
                write.require(format!("attribute_not_exists({INITIAL_AT})"));
            }
            Self::Renew { .. } if seen.checkpoint_owner.is_none() => {
                write.require_counter(seen);
                write.require_checkpoint_owner(seen);
            }
            Self::Renew { .. } | Self::Take { .. } | Self::Checkpoint(_) | Self::Delete => {
                write.require_counter(seen);
            }
            Self::Ask { .. } | Self::Withdraw => {
                write.require_owner(seen);
                write.require_checkpoint_owner(seen);
            }
            Self::HandOver | Self::Evict => {
                write.require_counter(seen);
                write.require_owner(seen);
                write.require_checkpoint_owner(seen);
            }
        }
        write.finish(&seen.key)
    }

    fn effects(&self, seen: &Lease, after: &Lease, write: &mut Statement) {
        match self {
            Self::Create => {
                for (name, value) in seen.encode().into_iter().filter(|(name, _)| name != LEASE_KEY)
                {
                    write.set(&name, value);
                }
            }
            Self::Children(children) => write.set(CHILDREN, string_set(children)),
            Self::HashRange(range) => {
                write.set(STARTING_HASH_KEY, AttributeValue::S(range.start.to_string()));
                write.set(ENDING_HASH_KEY, AttributeValue::S(range.end.to_string()));
            }
            Self::Pin(at) => write.set_number(INITIAL_AT, *at),
            Self::Renew { throughput } => {
                if let Some(throughput) = throughput {
                    write.set(THROUGHPUT, AttributeValue::N(format!("{throughput:.6}")));
                }
            }
            Self::Take { worker } => {
                write.set(LEASE_OWNER, AttributeValue::S(worker.clone()));
                write.set_number(OWNER_SWITCHES, after.owner_switches);
                write.remove(&[CHECKPOINT_OWNER]);
            }
            Self::Ask { worker } => {
                write.set(LEASE_OWNER, AttributeValue::S(worker.clone()));
                let holder = after.checkpoint_owner.clone().unwrap_or_default();
                write.set(CHECKPOINT_OWNER, AttributeValue::S(holder));
            }
            Self::Withdraw => {
                let holder = after.owner.clone().unwrap_or_default();
                write.set(LEASE_OWNER, AttributeValue::S(holder));
                write.remove(&[CHECKPOINT_OWNER]);
            }
            Self::HandOver => {
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
            Self::Delete => {}
        }
    }

    /// Whether `current`, the row that refused the write, is what the write would have made: then an earlier
    /// attempt got through and only its reply was lost. A hand-over that was asked for since does not hide it:
    /// it changes who is next, not who holds the lease.
    #[must_use]
    pub fn has_happened(&self, seen: &Lease, current: &Lease) -> bool {
        let after = self.apply(seen);
        match self {
            Self::Create | Self::Delete => false,
            Self::Ask { .. } | Self::Withdraw => {
                current.owner == after.owner && current.checkpoint_owner == after.checkpoint_owner
            }
            Self::Pin(_) => current.initial_at.is_some(),
            _ => {
                // The hand-over of a lease that was asked for leaves all but this as our own taking of it would.
                let taken = matches!(self, Self::Take { .. });
                (!taken || current.owner_switches == after.owner_switches)
                    && current.counter == after.counter
                    && current.holder() == after.holder()
                    && current.checkpoint == after.checkpoint
            }
        }
    }
}

/// What a normal checkpoint clears of a two-phase one.
const PENDING: [&str; 3] =
    ["pendingCheckpoint", "pendingCheckpointSubSequenceNumber", "pendingCheckpointState"];

#[derive(Default)]
struct Statement {
    conditions: Vec<String>,
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

    fn require(&mut self, condition: String) {
        self.conditions.push(condition);
    }

    fn require_counter(&mut self, seen: &Lease) {
        self.require(format!("{LEASE_COUNTER} = :seenCounter"));
        let counter = AttributeValue::N(seen.counter.to_string());
        self.values.insert(":seenCounter".to_owned(), counter);
    }

    fn require_owner(&mut self, seen: &Lease) {
        self.require_text(LEASE_OWNER, ":seenOwner", seen.owner.as_ref());
    }

    fn require_checkpoint_owner(&mut self, seen: &Lease) {
        self.require_text(CHECKPOINT_OWNER, ":seenCheckpointOwner", seen.checkpoint_owner.as_ref());
    }

    fn require_text(&mut self, attribute: &str, value: &str, seen: Option<&String>) {
        match seen {
            Some(text) => {
                self.require(format!("{attribute} = {value}"));
                self.values.insert(value.to_owned(), AttributeValue::S(text.clone()));
            }
            None => self.require(format!("attribute_not_exists({attribute})")),
        }
    }

    fn finish(mut self, key: &str) -> Write {
        self.set.sort();
        let clauses = [("SET", self.set), ("REMOVE", self.remove)];
        let update = clauses.iter().filter(|(_, parts)| !parts.is_empty());
        let update: Vec<_> =
            update.map(|(verb, parts)| format!("{verb} {}", parts.join(", "))).collect();
        Write {
            key: key.to_owned(),
            condition: self.conditions.join(" AND "),
            update: update.join(" "),
            values: self.values,
        }
    }
}

#[cfg(test)]
mod tests;
