use aws_sdk_dynamodb::config::retry::RetryConfig;
use local_aws::{Fault, LocalAws, Service};

use super::*;
use crate::checkpoint::Checkpoint;
use crate::metrics::NoMetrics;

const SHARD: &str = "shardId-000000000000";

async fn table(aws: &LocalAws) -> LeaseTable {
    let config = aws_sdk_dynamodb::config::Builder::from(&aws.sdk_config());
    let config = config.retry_config(RetryConfig::standard()).build();
    let table = LeaseTable::new(Client::from_conf(config), "leases", Arc::new(NoMetrics));
    table.ensure().await.unwrap();
    table
}

fn take(worker: &str) -> Transition {
    Transition::Take { worker: worker.into() }
}

/// Makes a transition that must not be refused.
async fn done(table: &LeaseTable, transition: &Transition, seen: &Lease) -> Lease {
    match table.apply(transition, seen).await.unwrap() {
        Outcome::Applied(lease) => lease,
        Outcome::Conflict(row) => panic!("{transition:?} refused by {row:?}"),
    }
}

async fn created(table: &LeaseTable) -> Lease {
    done(table, &Transition::Create, &Lease::new(SHARD, Checkpoint::TrimHorizon)).await
}

#[tokio::test(start_paused = true)]
async fn a_free_lease_that_is_taken_has_its_counter_moved_by_one_and_no_switch_counted() {
    let table = table(&LocalAws::new()).await;
    let free = created(&table).await;
    done(&table, &take("a"), &free).await;
    let row = table.get(SHARD).await.unwrap().unwrap();
    assert_eq!((row.owner.as_deref(), row.counter), (Some("a"), free.counter + 1));
    assert_eq!(row.owner_switches, 0);
}

#[tokio::test(start_paused = true)]
async fn of_two_workers_that_saw_the_same_counter_one_gets_the_lease() {
    let table = table(&LocalAws::new()).await;
    let seen = created(&table).await;
    let (b, c) = (take("b"), take("c"));
    let (b, c) = tokio::join!(table.apply(&b, &seen), table.apply(&c, &seen));
    let outcomes = [b.unwrap(), c.unwrap()];
    let row = table.get(SHARD).await.unwrap().unwrap();
    assert!(outcomes.contains(&Outcome::Applied(row.clone())), "{outcomes:?}");
    assert!(outcomes.contains(&Outcome::Conflict(Some(row))), "and the other one sees who");
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_was_renewed_since_the_look_is_not_taken() {
    let table = table(&LocalAws::new()).await;
    let looked_at = done(&table, &take("a"), &created(&table).await).await;
    let renewed = done(&table, &Transition::Renew { throughput: None }, &looked_at).await;
    let stolen = table.apply(&take("b"), &looked_at).await.unwrap();
    assert_eq!(stolen, Outcome::Conflict(Some(renewed)));
}

#[tokio::test(start_paused = true)]
async fn every_write_whose_reply_was_lost_is_known_for_ours_when_the_sdk_tries_again() {
    let aws = LocalAws::new();
    let table = table(&aws).await;
    let place = Checkpoint::parse("77", 3).unwrap();
    let ask = Transition::Ask { worker: "b".into() };
    let mut lease = created(&table).await;
    for transition in [
        take("a"),
        Transition::Renew { throughput: Some(1.5) },
        Transition::Checkpoint(place),
        ask,
        Transition::Renew { throughput: None },
        Transition::HandOver,
        take("b"),
        Transition::Evict,
    ] {
        let calls = aws.calls(Service::DynamoDb, "UpdateItem");
        aws.faults().add(Fault::on(Service::DynamoDb, "UpdateItem").lose_reply());
        let expected = transition.apply(&lease);
        lease = done(&table, &transition, &lease).await;
        assert_eq!(aws.calls(Service::DynamoDb, "UpdateItem"), calls + 2, "{transition:?}");
        assert_eq!(lease, expected, "{transition:?}");
        assert_eq!(table.get(SHARD).await.unwrap(), Some(expected), "once, and not twice");
    }
}
