//! Two reader processes share four shards; one is killed with SIGKILL in the middle of the stream.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use common::{PATIENCE, World, ids};
use local_aws::LocalAws;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

fn reader(endpoint: SocketAddr) -> Child {
    Command::new(env!("CARGO_BIN_EXE_rapids-reader"))
        .env("AWS_ENDPOINT_URL", format!("http://{endpoint}"))
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

/// Shards by owner.
async fn owners(world: &World) -> BTreeMap<String, usize> {
    let scan = world.dynamodb.scan().table_name("rapids-reader-dev").send().await;
    let mut owners = BTreeMap::new();
    for item in scan.ok().and_then(|scan| scan.items).unwrap_or_default() {
        if let Some(owner) = item.get("leaseOwner").and_then(|owner| owner.as_s().ok()) {
            *owners.entry(owner.clone()).or_default() += 1;
        }
    }
    owners
}

async fn until_owners(world: &World, what: &str, expected: &[usize]) {
    let arrives = async {
        loop {
            let mut counts: Vec<_> = owners(world).await.into_values().collect();
            counts.sort_unstable();
            if counts == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, arrives).await.is_ok(), "in vain: {what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_killed_in_the_middle_of_the_stream_loses_no_event() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = listener.local_addr().unwrap();
    let aws = LocalAws::builder().public_address(endpoint).build();
    let stop = CancellationToken::new();
    let serving = tokio::spawn({
        let (aws, stop) = (aws.clone(), stop.clone());
        async move { aws.serve(listener, stop).await }
    });
    let world = World::new(aws, 4).await;
    let (mut first, mut second) = (reader(endpoint), reader(endpoint));
    until_owners(&world, "two readers share four shards", &[2, 2]).await;

    let total = 4_000;
    let producing = async {
        for start in (0..total).step_by(200) {
            world.put(start..start + 200).await;
            tokio::task::yield_now().await;
        }
    };
    let consuming = async {
        // In the middle: some events have arrived, more are on their way.
        let mut taken = world.take(&world.river, |taken| taken.len() >= 500).await;
        first.kill().await.unwrap();
        let arrived = ids(&taken).len();
        assert!(arrived < total as usize, "killed too late: all {arrived} had arrived");
        let known = ids(&taken);
        taken.extend(
            world
                .take(&world.river, |more| known.union(&ids(more)).count() == total as usize)
                .await,
        );
        taken
    };
    let ((), taken) = tokio::join!(producing, consuming);

    assert_eq!(ids(&taken), (0..total).collect());
    until_owners(&world, "the survivor has all four shards", &[4]).await;
    second.kill().await.unwrap();
    stop.cancel();
    serving.await.unwrap().unwrap();
}
