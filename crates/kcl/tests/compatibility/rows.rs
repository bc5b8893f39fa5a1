//! Rows of the KCL, read and written back.

use aws_sdk_dynamodb::types::AttributeValue;
use kcl::{Checkpoint, Lease};

use crate::items::{BY_SOURCE, Item, RECORDED, rows};
use crate::rules::REQUIRED;

/// Attributes of a lease row that this crate leaves as they are: it updates rows, it never replaces one.
const LEFT_ALONE: [&str; 6] = [
    "entityType",
    "pendingCheckpoint",
    "pendingCheckpointSubSequenceNumber",
    "pendingCheckpointState",
    "streamName",
    "shardId",
];

fn all() -> Vec<(String, Item)> {
    rows(RECORDED).into_iter().chain(rows(BY_SOURCE)).collect()
}

fn is_lease(row: &Item) -> bool {
    let kind = row.get("entityType").map(|kind| kind.as_s().unwrap().as_str());
    row.contains_key("leaseKey") && kind.is_none_or(|kind| kind == "LEASE")
}

#[test]
fn every_lease_row_is_read_and_written_back_with_its_names_and_types() {
    let mut leases = 0;
    for (name, row) in all().into_iter().filter(|(_, row)| is_lease(row)) {
        let lease = Lease::decode(&row).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut encoded = lease.unwrap_or_else(|| panic!("{name}: taken for no lease")).encode();
        for (attribute, value) in &row {
            match encoded.remove(attribute) {
                Some(ours) => {
                    assert!(is_same(&ours, value), "{name}: {attribute} {ours:?} {value:?}")
                }
                None => {
                    assert!(LEFT_ALONE.contains(&attribute.as_str()), "{name}: {attribute} lost")
                }
            }
        }
        let zero = AttributeValue::N("0".to_owned());
        encoded.retain(|name, value| name != "checkpointSubSequenceNumber" || value != &zero);
        assert!(encoded.is_empty(), "{name}: made up {encoded:?}");
        leases += 1;
    }
    assert!(leases > 20, "the fixtures hold {leases} lease rows");
}

/// Sets have no order, and a number may be written in several ways.
fn is_same(ours: &AttributeValue, theirs: &AttributeValue) -> bool {
    match (ours, theirs) {
        (AttributeValue::Ss(ours), AttributeValue::Ss(theirs)) => {
            let (mut ours, mut theirs) = (ours.clone(), theirs.clone());
            ours.sort();
            theirs.sort();
            ours == theirs
        }
        (AttributeValue::N(ours), AttributeValue::N(theirs)) => {
            ours == theirs || ours.parse::<f64>().ok() == theirs.parse::<f64>().ok()
        }
        _ => ours == theirs,
    }
}

#[test]
fn rows_of_other_kinds_and_of_unknown_ones_are_skipped() {
    let others: Vec<_> = all().into_iter().filter(|(_, row)| !is_lease(row)).collect();
    let kinds = others.iter().filter_map(|(_, row)| row.get("entityType")?.as_s().ok());
    let kinds: std::collections::BTreeSet<_> = kinds.collect();
    assert!(kinds.len() >= 6, "one unknown among them: {kinds:?}");
    for (name, row) in others.iter().filter(|(_, row)| row.contains_key("entityType")) {
        assert_eq!(Lease::decode(row), Ok(None), "{name}");
    }
}

fn by_source(name: &str) -> Lease {
    let row = rows(BY_SOURCE).into_iter().find(|(of, _)| of == name);
    Lease::decode(&row.unwrap_or_else(|| panic!("no row {name}")).1).unwrap().unwrap()
}

#[test]
fn a_row_of_an_old_version_without_hash_range_is_a_lease() {
    let lease = by_source("1.x: without hash range, children and sub-sequence number");
    assert_eq!(lease.hash_range, None);
    assert!(lease.children.is_empty());
    assert_eq!(lease.owner.as_deref(), Some("worker-a"));
}

#[test]
fn a_pending_checkpoint_does_not_pass_for_one() {
    let lease = by_source("2.7: a prepared checkpoint with application state");
    assert_eq!(lease.checkpoint, Checkpoint::parse("4954", 0).unwrap());
    let recorded = rows(RECORDED);
    let pending = recorded.iter().filter(|(_, row)| row.contains_key("pendingCheckpoint"));
    let pending: Vec<_> = pending.map(|(_, row)| Lease::decode(row).unwrap().unwrap()).collect();
    assert!(!pending.is_empty());
    assert!(pending.iter().all(|lease| lease.checkpoint == Checkpoint::TrimHorizon), "{pending:?}");
}

#[test]
fn during_a_hand_over_the_holder_is_not_the_owner() {
    let recorded = rows(RECORDED);
    let asked = recorded.iter().filter(|(_, row)| row.contains_key("checkpointOwner"));
    let asked: Vec<_> = asked.map(|(_, row)| Lease::decode(row).unwrap().unwrap()).collect();
    assert!(!asked.is_empty());
    for lease in asked {
        assert_eq!(lease.owner.as_deref(), Some("worker-b"));
        assert_eq!(lease.holder(), Some("worker-a"));
    }
}

#[test]
fn what_every_recorded_lease_row_has_every_row_of_ours_has() {
    for (name, row) in rows(RECORDED).into_iter().filter(|(_, row)| is_lease(row)) {
        for required in REQUIRED {
            assert!(row.contains_key(required), "{name}: {required}");
        }
    }
    let ours = Lease::new("shardId-000000000000", Checkpoint::TrimHorizon).encode();
    for required in REQUIRED {
        assert!(ours.contains_key(required), "{required}");
    }
}
