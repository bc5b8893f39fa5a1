//! The writes of the KCL and ours, held against the same rules.

use std::collections::{BTreeMap, BTreeSet};

use kcl::lease::transition::Transition;
use kcl::{Checkpoint, HashRange, Lease};
use serde_json::Value;

use crate::items::{Item, RECORDED_WRITES};
use crate::rules::{Statement, judge};

struct Recorded {
    worker: String,
    key: String,
    statement: Statement,
    made: bool,
}

fn recorded() -> Vec<Recorded> {
    let file: Value = serde_json::from_str(RECORDED_WRITES).unwrap();
    let write = |write: &Value| {
        let request = &write["request"];
        let key =
            request["Key"]["leaseKey"].as_object().or(request["Item"]["leaseKey"].as_object());
        Recorded {
            worker: write["worker"].as_str().unwrap().to_owned(),
            key: key.unwrap()["S"].as_str().unwrap().to_owned(),
            statement: Statement::of_kcl(request),
            made: write["status"] == 200,
        }
    };
    file["writes"].as_array().unwrap().iter().map(write).collect()
}

#[test]
fn every_recorded_write_of_the_kcl_is_a_transition_that_the_rules_know() {
    let mut table: BTreeMap<String, Item> = BTreeMap::new();
    let mut made: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, write) in recorded().iter().enumerate() {
        let of = format!("write {index} of {} to {}", write.worker, write.key);
        let row = table.entry(write.key.clone()).or_default();
        assert_eq!(write.statement.applies_to(row), write.made, "{of}: {:?}", write.statement);
        if write.made {
            let name = judge(&write.statement, row).unwrap_or_else(|why| panic!("{of}: {why}"));
            *row = write.statement.apply(row);
            Lease::decode(row).unwrap().unwrap();
            *made.entry(name).or_default() += 1;
        }
    }
    let seen: BTreeSet<_> = made.into_keys().collect();
    let expected =
        ["add knowledge", "assign", "begin hand-over", "checkpoint", "create", "prepare"];
    assert!(expected.iter().all(|name| seen.contains(name)), "{seen:?}");
    assert!(seen.contains("renew") && seen.contains("take"), "{seen:?}");
}

#[test]
fn the_rules_refuse_what_the_kcl_would_never_write() {
    let lease = held();
    let row = lease.encode();
    let refused = |change: fn(&mut Statement)| {
        let mut statement = Statement::of_ours(&renewal().write(&lease));
        change(&mut statement);
        judge(&statement, &row).unwrap_err()
    };
    assert!(judge(&Statement::of_ours(&renewal().write(&lease)), &row).is_ok());
    let blind = refused(|write| {
        write.requires.remove("checkpointOwner");
    });
    assert_eq!(blind, "a renewal overlooks a hand-over");
    let late = refused(|write| {
        write.requires.remove("leaseCounter");
    });
    assert_eq!(late, "a renewal must move the counter that it saw");
    let torn = refused(|write| {
        write.removes.insert("checkpoint".into());
    });
    assert_eq!(torn, "leaves a row without checkpoint");
}

fn renewal() -> Transition {
    Transition::Renew { throughput: Some(1.5) }
}

fn held() -> Lease {
    Lease {
        owner: Some("me".into()),
        counter: 4,
        hash_range: Some(HashRange { start: 0, end: u128::MAX }),
        ..Lease::new("shardId-000000000000", Checkpoint::TrimHorizon)
    }
}

/// Leases as a worker may see them.
fn leases() -> Vec<Lease> {
    let free = Lease { owner: None, owner_switches: 1, ..held() };
    let asked = Lease {
        owner: Some("other".into()),
        checkpoint_owner: Some("me".into()),
        throughput: Some(3.0),
        ..held()
    };
    let wanted =
        Lease { owner: Some("me".into()), checkpoint_owner: Some("other".into()), ..held() };
    let others = Lease { owner: Some("other".into()), ..held() };
    vec![held(), free, asked, wanted, others]
}

/// Our writes to a lease that exists, where they make sense.
fn ours(lease: &Lease) -> Vec<(Transition, &'static str)> {
    let worker = || "me".to_owned();
    let at = Checkpoint::parse("4954", 1).unwrap();
    let mut ours = vec![
        (Transition::Take { worker: worker() }, "take"),
        (Transition::Children(["shardId-000000000001".to_owned()].into()), "add knowledge"),
        (Transition::HashRange(HashRange { start: 0, end: 9 }), "add knowledge"),
        (Transition::Pin(1), "add knowledge"),
    ];
    if lease.holder() == Some("me") {
        ours.push((renewal(), "renew"));
        ours.push((Transition::Checkpoint(at), "checkpoint"));
        ours.push((Transition::Checkpoint(Checkpoint::ShardEnd), "checkpoint"));
        match lease.checkpoint_owner {
            Some(_) => ours.push((Transition::HandOver, "assign")),
            None => ours.push((Transition::Evict, "evict")),
        }
    }
    if lease.owner.as_deref() == Some("other") && lease.checkpoint_owner.is_none() {
        ours.push((Transition::Ask { worker: worker() }, "begin hand-over"));
    }
    ours
}

#[test]
fn our_writes_are_those_of_the_kcl() {
    for lease in leases() {
        let created = Statement::of_ours(&Transition::Create.write(&lease));
        let key = Item::from([("leaseKey".to_owned(), lease.encode()["leaseKey"].clone())]);
        let mut row = created.apply(&Item::default());
        row.extend(key);
        assert_eq!(row, lease.encode());
        for (transition, expected) in ours(&lease) {
            let statement = Statement::of_ours(&transition.write(&lease));
            assert!(statement.applies_to(&row), "{transition:?} to {lease:?}");
            assert_eq!(
                judge(&statement, &row).as_deref(),
                Ok(expected),
                "{transition:?}: {lease:?}"
            );
            let after = Lease::decode(&statement.apply(&row)).unwrap().unwrap();
            assert_eq!(after, transition.apply(&lease), "{transition:?}");
        }
    }
}

#[test]
fn no_write_of_ours_but_a_creation_can_bring_a_row_into_being() {
    for lease in leases() {
        for (transition, _) in ours(&lease) {
            let statement = Statement::of_ours(&transition.write(&lease));
            let nothing = Item::default();
            assert!(!statement.applies_to(&nothing), "{transition:?} makes a part of a row");
        }
        let created = Statement::of_ours(&Transition::Create.write(&lease));
        assert!(created.applies_to(&Item::default()) && !created.applies_to(&lease.encode()));
    }
}
