//! A fleet of reader processes that grows and shrinks while its stream is split and merged under load.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use common::{PATIENCE, STREAM, World, record};
use local_aws::LocalAws;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const KEYS: u32 = 40;
/// Between two rounds of one event for each key.
const PACE: Duration = Duration::from_millis(15);

/// An embedded AWS on a port, with a stream under load.
struct Rig {
    world: World,
    endpoint: SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Rig {
    async fn new(shards: i32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = listener.local_addr().unwrap();
        let aws = LocalAws::builder().public_address(endpoint).build();
        let stop = CancellationToken::new();
        let serving = tokio::spawn({
            let (aws, stop) = (aws.clone(), stop.clone());
            async move { aws.serve(listener, stop).await }
        });
        Self { world: World::new(aws, shards).await, endpoint, stop, serving }
    }

    fn reader(&self) -> Child {
        Command::new(env!("CARGO_BIN_EXE_rapids-reader"))
            .env("AWS_ENDPOINT_URL", format!("http://{}", self.endpoint))
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "local")
            .env("AWS_SECRET_ACCESS_KEY", "local")
            .env("RAPIDS_FAILOVER", "2s")
            .env("RAPIDS_ADMIN__ADDRESS", "127.0.0.1:0")
            .env("RAPIDS_LOG__FILTER", "warn")
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    async fn end(self) {
        self.stop.cancel();
        self.serving.await.unwrap().unwrap();
    }
}

/// Puts one event for each key, round after round, until cancelled. Gives the number of rounds.
async fn produce(kinesis: aws_sdk_kinesis::Client, enough: CancellationToken) -> u32 {
    let mut round = 0;
    while !enough.is_cancelled() {
        let mut left: Vec<_> = (0..KEYS)
            .map(|key| {
                let id = round * KEYS + key;
                let json = format!(r#"{{"eventType":"Tick","eventId":"{id}"}}"#);
                record(&format!("key-{key}"), json.into_bytes())
            })
            .collect();
        // The next event of a key is put only when the last one is there: order begins here.
        while !left.is_empty() {
            let put = kinesis.put_records().stream_name(STREAM).set_records(Some(left.clone()));
            let put = put.send().await.unwrap();
            let mut results = put.records().iter();
            left.retain(|_| results.next().is_some_and(|it| it.error_code.is_some()));
        }
        round += 1;
        tokio::time::sleep(PACE).await;
    }
    round
}

/// Takes event ids out of the river in the order in which they came, until each of the first `total` is there.
async fn drain(world: &World, total: u32) -> Vec<u32> {
    let id = |message: &aws_sdk_sqs::types::Message| -> u32 {
        let event: serde_json::Value = serde_json::from_str(message.body().unwrap()).unwrap();
        event["eventId"].as_str().unwrap().parse().unwrap()
    };
    let wanted = usize::try_from(total).unwrap();
    let messages = world
        .take(&world.river, |taken| {
            taken.len() >= wanted && taken.iter().map(id).collect::<BTreeSet<_>>().len() == wanted
        })
        .await;
    messages.iter().map(id).collect()
}

fn assert_each_is_there_in_the_order_of_its_key(ids: &[u32], total: u32) {
    let mut seen = BTreeSet::new();
    let firsts: Vec<_> = ids.iter().copied().filter(|id| seen.insert(*id)).collect();
    assert_eq!(seen, (0..total).collect());
    let mut last = BTreeMap::new();
    for id in firsts {
        let before = last.insert(id % KEYS, id);
        assert!(before.is_none_or(|before| before < id), "{before:?} came before {id}");
    }
}

/// How many unfinished shards each reader has, fewest first; and how many nobody has.
async fn shares(world: &World) -> (Vec<usize>, usize) {
    let scan = world.dynamodb.scan().table_name("rapids-reader-dev").consistent_read(true);
    let items = scan.send().await.ok().and_then(|scan| scan.items).unwrap_or_default();
    let (mut owners, mut free) = (BTreeMap::<_, usize>::new(), 0);
    for item in &items {
        let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok());
        match (text("leaseOwner"), text("checkpoint").map(String::as_str)) {
            (_, Some("SHARD_END")) => {}
            (Some(owner), _) => *owners.entry(owner.clone()).or_default() += 1,
            (None, _) => free += 1,
        }
    }
    let mut shares: Vec<_> = owners.into_values().collect();
    shares.sort_unstable();
    (shares, free)
}

async fn until_shared(world: &World, what: &str, expected: &[usize]) {
    let arrives = async {
        while shares(world).await != (expected.to_vec(), 0) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, arrives).await.is_ok();
    assert!(in_time, "in vain: {what}; now {:?}", shares(world).await);
}

/// Open shards with their first hash keys, in the order of these.
async fn open_shards(world: &World) -> Vec<(u128, u128, String)> {
    let shards = world.kinesis.list_shards().stream_name(STREAM).send().await.unwrap();
    let is_open = |shard: &&aws_sdk_kinesis::types::Shard| {
        shard.sequence_number_range.as_ref().unwrap().ending_sequence_number.is_none()
    };
    let mut open: Vec<_> = shards
        .shards()
        .iter()
        .filter(is_open)
        .map(|shard| {
            let range = shard.hash_key_range.as_ref().unwrap();
            let key = |text: &str| text.parse().unwrap();
            (key(&range.starting_hash_key), key(&range.ending_hash_key), shard.shard_id.clone())
        })
        .collect();
    open.sort_unstable();
    open
}

async fn split_first(world: &World) {
    let (start, end, shard) = open_shards(world).await.remove(0);
    let split = world.kinesis.split_shard().stream_name(STREAM).shard_to_split(shard);
    let middle = start + (end - start) / 2;
    split.new_starting_hash_key(middle.to_string()).send().await.unwrap();
}

async fn merge_last_two(world: &World) {
    let mut open = open_shards(world).await;
    let ((.., second), (.., first)) = (open.pop().unwrap(), open.pop().unwrap());
    let merge = world.kinesis.merge_shards().stream_name(STREAM);
    merge.shard_to_merge(first).adjacent_shard_to_merge(second).send().await.unwrap();
}

/// As an orchestrator stops a container.
async fn terminate(mut reader: Child) {
    let pid = reader.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
    let ended = tokio::time::timeout(PATIENCE, reader.wait()).await.expect("it ends").unwrap();
    assert!(ended.success(), "{ended}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scaled_from_one_to_three_to_two_while_split_and_merged_each_event_comes_once_in_order() {
    let rig = Rig::new(2).await;
    let world = &rig.world;
    let first = rig.reader();
    until_shared(world, "the first reader has both shards", &[2]).await;
    let enough = CancellationToken::new();
    let load = tokio::spawn(produce(world.kinesis.clone(), enough.clone()));

    let (second, third) = (rig.reader(), rig.reader());
    split_first(world).await;
    until_shared(world, "three readers have a shard each", &[1, 1, 1]).await;
    split_first(world).await;
    until_shared(world, "three readers share four shards", &[1, 1, 2]).await;
    terminate(first).await;
    until_shared(world, "two readers share four shards", &[2, 2]).await;
    merge_last_two(world).await;
    until_shared(world, "two readers share three shards", &[1, 2]).await;
    merge_last_two(world).await;
    until_shared(world, "two readers have a shard each", &[1, 1]).await;

    enough.cancel();
    let total = load.await.unwrap() * KEYS;
    let ids = drain(world, total).await;
    assert_each_is_there_in_the_order_of_its_key(&ids, total);
    assert_eq!(ids.len(), usize::try_from(total).unwrap(), "nothing crashed, nothing comes twice");
    terminate(second).await;
    terminate(third).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_killed_while_the_stream_is_split_costs_no_event_and_no_order() {
    let rig = Rig::new(2).await;
    let world = &rig.world;
    let (mut first, second, third) = (rig.reader(), rig.reader(), rig.reader());
    until_shared(world, "two of three readers have a shard", &[1, 1]).await;
    let enough = CancellationToken::new();
    let load = tokio::spawn(produce(world.kinesis.clone(), enough.clone()));
    split_first(world).await;
    split_first(world).await;
    first.kill().await.unwrap();
    until_shared(world, "the survivors share four shards", &[2, 2]).await;
    enough.cancel();
    let total = load.await.unwrap() * KEYS;
    let ids = drain(world, total).await;
    assert_each_is_there_in_the_order_of_its_key(&ids, total);
    terminate(second).await;
    terminate(third).await;
    rig.end().await;
}
