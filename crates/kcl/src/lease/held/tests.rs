use std::sync::Mutex;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::types::AttributeValue;
use local_aws::{Fault, LocalAws, Service};

use super::*;
use crate::lease::{Item, LEASE_KEY};

const SHARD: &str = "shardId-000000000000";
const FAILOVER: Duration = Duration::from_secs(10);

#[derive(Default)]
struct Losses(Mutex<Vec<Loss>>);

impl Metrics for Losses {
    fn lease_lost(&self, why: Loss) {
        self.0.lock().unwrap().push(why);
    }
}

struct World {
    aws: LocalAws,
    dynamodb: Client,
    table: LeaseTable,
    losses: Arc<Losses>,
}

impl World {
    /// A table with one lease, that nobody has.
    async fn new() -> Self {
        let aws = LocalAws::new();
        let config = aws_sdk_dynamodb::config::Builder::from(&aws.sdk_config());
        let dynamodb = Client::from_conf(config.retry_config(RetryConfig::disabled()).build());
        let losses = Arc::new(Losses::default());
        let table = LeaseTable::new(dynamodb.clone(), "leases", losses.clone());
        table.ensure().await.unwrap();
        let world = Self { aws, dynamodb, table, losses };
        world.write(&Transition::Create, &Lease::new(SHARD, Checkpoint::TrimHorizon)).await;
        world
    }

    /// As another process might.
    async fn write(&self, transition: &Transition, seen: &Lease) -> Lease {
        match self.table.apply(transition, seen).await.unwrap() {
            Outcome::Applied(lease) => lease,
            Outcome::Conflict(row) => panic!("{transition:?} refused by {row:?}"),
        }
    }

    async fn hold(&self, worker: &str) -> HeldLease {
        let taken_at = Instant::now();
        let take = Transition::Take { worker: worker.into() };
        let lease = self.write(&take, &self.row().await).await;
        let keeping = Keeping {
            table: self.table.clone(),
            worker: worker.into(),
            failover: FAILOVER,
            throughput: true,
            metrics: self.losses.clone(),
            runtime: Handle::current(),
        };
        HeldLease::keep(&keeping, lease, taken_at)
    }

    async fn row(&self) -> Lease {
        self.table.get(SHARD).await.unwrap().unwrap()
    }

    async fn item(&self) -> Item {
        let get = self.dynamodb.get_item().table_name("leases").consistent_read(true);
        let get = get.key(LEASE_KEY, AttributeValue::S(SHARD.into())).send().await;
        get.unwrap().item.unwrap()
    }

    fn writes(&self) -> u64 {
        self.aws.calls(Service::DynamoDb, "UpdateItem")
    }

    fn losses(&self) -> Vec<Loss> {
        self.losses.0.lock().unwrap().clone()
    }

    fn fail_once(&self) -> Fault {
        Fault::on(Service::DynamoDb, "UpdateItem")
    }
}

fn at(sequence: u64) -> Checkpoint {
    Checkpoint::parse(&sequence.to_string(), 0).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_renewal_moves_the_counter_by_one_tells_the_throughput_and_leaves_the_rest() {
    let world = World::new().await;
    let strange = world.dynamodb.update_item().table_name("leases");
    let strange = strange.key(LEASE_KEY, AttributeValue::S(SHARD.into()));
    let strange = strange.update_expression("SET strange = :strange");
    let value = AttributeValue::S("of a later version".into());
    strange.expression_attribute_values(":strange", value).send().await.unwrap();
    let held = world.hold("a").await;
    held.carried(1_000_000);
    let mut before = world.item().await;
    let counter = world.row().await.counter;
    sleep(FAILOVER / 2).await;
    let mut after = world.item().await;
    assert_eq!(world.row().await.counter, counter + 1);
    assert!(world.row().await.throughput.is_some_and(|throughput| throughput > 1.0));
    for changed in ["leaseCounter", "throughputKBps"] {
        before.remove(changed);
        assert!(after.remove(changed).is_some(), "{changed}");
    }
    assert_eq!(after, before);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_was_paused_for_a_failover_gives_up_without_a_write() {
    let world = World::new().await;
    let held = world.hold("a").await;
    sleep(FAILOVER / 2).await;
    let (row, writes) = (world.row().await, world.writes());
    // Nothing ran meanwhile, and nobody else has touched the table.
    tokio::time::advance(FAILOVER).await;
    assert_eq!(held.checkpoint(at(5)).await, Err(NotWritten::Lost));
    assert!(held.lost().is_cancelled());
    sleep(FAILOVER * 3).await;
    assert_eq!((world.row().await, world.writes()), (row, writes));
    assert_eq!(world.losses(), [Loss::Expired]);
}

#[tokio::test(start_paused = true)]
async fn a_lease_lost_and_got_again_by_the_same_worker_is_not_written_through_the_old_handle() {
    let world = World::new().await;
    let old = world.hold("a").await;
    world.write(&Transition::Take { worker: "b".into() }, &world.row().await).await;
    let new = world.hold("a").await;
    let row = world.row().await;
    assert_eq!(row.owner.as_deref(), Some("a"), "by its name it is the same owner");
    assert_eq!(old.checkpoint(at(5)).await, Err(NotWritten::Lost));
    assert!(old.lost().is_cancelled());
    assert_eq!(world.row().await, row);
    assert_eq!(new.checkpoint(at(7)).await, Ok(()));
    assert_eq!(world.row().await.checkpoint, at(7));
    assert_eq!(world.losses(), [Loss::Taken]);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_failed_leaves_what_is_known_as_it_was() {
    let world = World::new().await;
    let held = world.hold("a").await;
    let before = world.row().await;
    world.aws.faults().add(world.fail_once().throttle());
    assert_eq!(held.checkpoint(at(5)).await, Err(NotWritten::ForNow));
    assert_eq!(world.row().await, before);
    assert_eq!(held.checkpoint(at(6)).await, Ok(()));
    let after = world.row().await;
    assert_eq!((after.checkpoint, after.counter), (at(6), before.counter + 1));
    assert_eq!(world.losses(), []);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_happened_and_was_told_to_have_failed_loses_nothing() {
    let world = World::new().await;
    let held = world.hold("a").await;
    for round in 1..10 {
        world.aws.faults().add(world.fail_once().lose_reply());
        assert_eq!(held.checkpoint(at(round * 2)).await, Err(NotWritten::ForNow));
        assert_eq!(world.row().await.checkpoint, at(round * 2), "it did happen");
        assert_eq!(held.checkpoint(at(round * 2 + 1)).await, Ok(()));
        assert_eq!(world.row().await.checkpoint, at(round * 2 + 1));
    }
    assert_eq!(world.losses(), []);
    // The last word, too.
    world.aws.faults().add(world.fail_once().lose_reply());
    held.release().await;
    assert_eq!(world.row().await.owner, None);
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_is_throttled_is_tried_again_until_the_lease_may_be_taken() {
    let world = World::new().await;
    let held = world.hold("a").await;
    let counter = world.row().await.counter;
    world.aws.faults().add(world.fail_once().always().throttle());
    sleep(FAILOVER * 8 / 10).await;
    assert!(!held.lost().is_cancelled());
    world.aws.faults().clear();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(world.row().await.counter, counter + 1);
    assert!(!held.lost().is_cancelled());
    world.aws.faults().add(world.fail_once().always().throttle());
    let since = Instant::now();
    held.lost().cancelled().await;
    assert!(since.elapsed() < FAILOVER, "told in time: {:?}", since.elapsed());
    assert_eq!(world.losses(), [Loss::Expired]);
}

#[tokio::test(start_paused = true)]
async fn who_is_asked_goes_on_until_it_hands_over_and_writes_nothing_after() {
    let world = World::new().await;
    let held = world.hold("a").await;
    world.write(&Transition::Ask { worker: "b".into() }, &world.row().await).await;
    held.asked().cancelled().await;
    let counter = world.row().await.counter;
    sleep(FAILOVER * 2).await;
    assert!(world.row().await.counter >= counter + 5, "it is renewed meanwhile");
    assert_eq!(held.checkpoint(at(5)).await, Ok(()));
    assert!(!held.lost().is_cancelled());
    held.release().await;
    let (row, writes) = (world.row().await, world.writes());
    assert_eq!((row.holder(), row.checkpoint), (Some("b"), at(5)));
    sleep(FAILOVER * 3).await;
    assert_eq!((world.row().await, world.writes()), (row, writes));
    assert_eq!(world.losses(), []);
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_is_a_renewal_but_for_the_throughput_that_only_renewals_tell() {
    let world = World::new().await;
    let held = world.hold("a").await;
    let (counter, writes) = (world.row().await.counter, world.writes());
    for round in 1..=36 {
        sleep(FAILOVER / 4).await;
        assert_eq!(held.checkpoint(at(round)).await, Ok(()));
    }
    let renewals = world.writes() - writes - 36;
    assert!((1..=9).contains(&renewals), "{renewals} within nine failovers");
    assert_eq!(world.row().await.counter, counter + 36 + renewals);
    assert_eq!(world.losses(), []);
}
