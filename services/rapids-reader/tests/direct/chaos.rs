//! Two readers, routes that change, faults of every service, and nothing lost: what each river is owed is in its queue or
//! in the quarantine.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_sdk_sqs::types::Message;
use local_aws::{Fault, LocalAws, Service};
use tokio::time::sleep;

use crate::common::{STREAM, World, attribute, record};
use crate::rig::{Reader, config, nudge};

const SEEDS: u64 = 4;
const ROUNDS: u32 = 24;
const KEYS: u32 = 7;
const RIVERS: [&str; 3] = ["a", "b", "c"];

async fn reader(world: &World) -> Reader {
    // A start may meet a fault, as anything may: an orchestrator starts it again.
    loop {
        if let Ok(reader) = Reader::try_start(world, config()).await {
            return reader;
        }
    }
}

/// Whether single entries of a request fail. Then an event may pass one of its key before it, in the same request: neither
/// SNS nor a queue that is not FIFO promises more.
fn has_partial_failures(seed: u64) -> bool {
    seed % 2 == 1
}

fn some_fault(dice: &mut fastrand::Rng, seed: u64) -> Fault {
    let places = [
        (Service::Sns, "PublishBatch"),
        (Service::Sqs, "SendMessageBatch"),
        (Service::Sqs, "SendMessageBatch"),
        (Service::Sqs, "SendMessage"),
        (Service::DynamoDb, "GetItem"),
        (Service::DynamoDb, "Scan"),
        (Service::DynamoDb, "UpdateItem"),
        (Service::Kinesis, "GetRecords"),
    ];
    let (service, operation) = places[dice.usize(..places.len())];
    let fault = Fault::on(service, operation).after(dice.u64(..4)).times(dice.u64(1..9));
    let partial = operation.ends_with("Batch") && has_partial_failures(seed);
    match dice.u8(..4) {
        0 => fault.throttle(),
        1 => fault.lose_reply(),
        2 if partial => fault.fail_entries(&[0, dice.usize(..4)], "InternalError"),
        _ => fault.error(500, "InternalFailure", "scripted"),
    }
}

/// Everything in a queue.
async fn drained(world: &World, queue: &str) -> Vec<Message> {
    let mut all = Vec::new();
    loop {
        let some = world.receive(queue).await;
        if some.is_empty() {
            return all;
        }
        all.extend(some);
    }
}

fn number(message: &Message) -> Option<u32> {
    let json: serde_json::Value = serde_json::from_str(message.body()?).ok()?;
    // The nudges are carried too, as number 0 of a type that nobody counts.
    let is_counted = json["eventType"] != event::route::ROUTES_CHANGED;
    json["eventId"].as_str().filter(|_| is_counted)?.parse().ok()
}

fn event(round: u32, key: u32) -> (u32, Vec<u8>) {
    let number = round * KEYS + key;
    let json = format!(r#"{{"eventType":"T{}","eventId":"{number}"}}"#, key % 3);
    (number, json.into_bytes())
}

/// Changes what a river gets, as the control plane does: row, version, nudge.
async fn change(world: &World, river: usize, topics: &BTreeSet<u32>, queue: &str, version: u64) {
    let lines: Vec<_> = topics.iter().map(|topic| format!(r#"{{"topic":"T{topic}"}}"#)).collect();
    world.route(RIVERS[river], queue, &lines.join(",")).await;
    world.routes_version(version).await;
    let shards = world.kinesis.list_shards().stream_name(STREAM).send().await.unwrap();
    for shard in shards.shards() {
        let start = shard.hash_key_range.as_ref().unwrap().starting_hash_key();
        let put = world.kinesis.put_record().stream_name(STREAM).partition_key("nudge");
        let put = put.explicit_hash_key(start).data(nudge(version).into_bytes().into());
        put.send().await.unwrap();
    }
}

/// Gives what each river is owed for sure: what was put behind the nudge that said so.
async fn story(seed: u64, world: &World, queues: &[String]) -> [BTreeSet<u32>; RIVERS.len()] {
    let mut dice = fastrand::Rng::with_seed(seed);
    let mut wanted: [BTreeSet<u32>; RIVERS.len()] = Default::default();
    let mut owed: [BTreeSet<u32>; RIVERS.len()] = Default::default();
    let mut readers = vec![reader(world).await, reader(world).await];
    let mut version = 0;
    for round in 0..ROUNDS {
        for _ in 0..dice.u8(..3) {
            world.aws.faults().add(some_fault(&mut dice, seed));
        }
        if dice.u8(..6) == 0 {
            let moving = readers.swap_remove(dice.usize(..readers.len()));
            readers.push(reader(world).await);
            moving.stop().await;
        }
        if dice.u8(..3) == 0 {
            // The world's own calls are no subject of faults.
            world.aws.faults().clear();
            let (river, topic) = (dice.usize(..RIVERS.len()), dice.u32(..3));
            wanted[river].insert(topic);
            version += 1;
            change(world, river, &wanted[river], &queues[river], version).await;
        }
        let mut records = Vec::new();
        for key in 0..KEYS {
            let (number, json) = event(round, key);
            records.push(record(&format!("key-{key}"), json));
            for (wanted, owed) in wanted.iter().zip(&mut owed) {
                if wanted.contains(&(key % 3)) {
                    owed.insert(number);
                }
            }
        }
        let put = world.kinesis.put_records().stream_name(STREAM);
        put.set_records(Some(records)).send().await.unwrap();
        sleep(Duration::from_millis(dice.u64(..3_000))).await;
    }
    world.aws.faults().clear();
    sleep(Duration::from_secs(60)).await; // Longer than any pause between two attempts.
    for reader in readers {
        reader.stop().await;
    }
    owed
}

fn assert_order_of_keys(seed: u64, river: &str, numbers: &[u32]) {
    if has_partial_failures(seed) {
        return;
    }
    let mut seen = BTreeSet::new();
    let mut last = BTreeMap::new();
    for number in numbers.iter().filter(|number| seen.insert(**number)) {
        let before = last.insert(number % KEYS, *number);
        assert!(before.is_none_or(|it| it < *number), "seed {seed}, {river}: {numbers:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_fails_each_river_gets_all_that_lies_behind_its_nudge_in_the_order_of_its_keys() {
    for seed in 0..SEEDS {
        let world = World::new(LocalAws::new(), 2).await;
        world.table("Rivers-dev", "River").await;
        let mut queues = Vec::new();
        for river in RIVERS {
            queues.push(world.make_queue(&format!("{river}-dev")).await);
        }
        let owed = story(seed, &world, &queues).await;
        let quarantine = drained(&world, &world.queue("Rapids-dev-dlq").await).await;
        for ((river, queue), owed) in RIVERS.iter().zip(&queues).zip(&owed) {
            let got: Vec<_> = drained(&world, queue).await.iter().filter_map(number).collect();
            let of_river = quarantine.iter().filter(|it| attribute(it, "river") == *river);
            let kept: BTreeSet<_> =
                got.iter().copied().chain(of_river.filter_map(number)).collect();
            let missing: Vec<_> = owed.difference(&kept).collect();
            assert!(missing.is_empty(), "seed {seed}: {river} lacks {missing:?}");
            assert_order_of_keys(seed, river, &got);
        }
        let by_sns: Vec<_> =
            drained(&world, &world.river).await.iter().filter_map(number).collect();
        let distinct: BTreeSet<_> = by_sns.iter().copied().collect();
        assert_eq!(distinct, (0..ROUNDS * KEYS).collect(), "seed {seed}");
        assert_order_of_keys(seed, "all", &by_sns);
    }
}
