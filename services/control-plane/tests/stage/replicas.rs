//! Several replicas, of which one acts.

use std::time::Duration;

use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_sqs::types::QueueAttributeName;
use control_plane::{Config, ControlPlane};
use event::control::Command;
use river_test::{Process, World};

/// Whether it is the one that acts.
fn leads(replica: &Process) -> bool {
    replica.gauge("rapids_control_leads") == Some(1.0)
}

async fn replica(world: &World) -> Process {
    let config = Config {
        renewal_thread: false,
        reconcile_every: Duration::from_secs(10),
        bridge: Duration::ZERO,
        ..Config::default()
    };
    world.run::<ControlPlane>("control-plane", config).await
}

async fn give(world: &World, command: &Command) {
    let kinesis = aws_sdk_kinesis::Client::new(&world.aws().sdk_config());
    let put = kinesis.put_record().stream_name("Control-dev");
    let put = put.partition_key(command.partition_key()).data(Blob::new(command.to_json()));
    put.send().await.unwrap();
}

/// How long received messages are hidden, as SQS has it.
async fn visibility(world: &World, queue: &str) -> Option<String> {
    let sqs = aws_sdk_sqs::Client::new(&world.aws().sdk_config());
    let url = sqs.get_queue_url().queue_name(queue).send().await.ok()?.queue_url?;
    let name = QueueAttributeName::VisibilityTimeout;
    let get = sqs.get_queue_attributes().queue_url(url).attribute_names(name.clone());
    get.send().await.ok()?.attributes?.remove(&name)
}

async fn change_by_hand(world: &World, queue: &str) {
    let sqs = aws_sdk_sqs::Client::new(&world.aws().sdk_config());
    let url = sqs.get_queue_url().queue_name(queue).send().await.unwrap().queue_url.unwrap();
    let set = sqs.set_queue_attributes().queue_url(url);
    set.attributes(QueueAttributeName::VisibilityTimeout, "7").send().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_command_given_before_any_control_plane_ran_is_carried_out() {
    let world = World::new().await;
    let kinesis = aws_sdk_kinesis::Client::new(&world.aws().sdk_config());
    kinesis.create_stream().stream_name("Control-dev").shard_count(1).send().await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    give(&world, &Command::subscribe("r1", "A")).await;
    let _replica = replica(&world).await;
    let stands = async || visibility(&world, "r1-dev").await.is_some();
    world.until("the river stands", stands).await;
}

#[tokio::test(start_paused = true)]
async fn when_the_replica_that_acts_dies_the_other_does_what_it_did() {
    let world = World::new().await;
    let kinesis = aws_sdk_kinesis::Client::new(&world.aws().sdk_config());
    kinesis.create_stream().stream_name("Control-dev").shard_count(2).send().await.unwrap();
    let mut replicas = vec![replica(&world).await, replica(&world).await];
    give(&world, &Command::subscribe("r1", "A")).await;
    let is_put_back = async || visibility(&world, "r1-dev").await.as_deref() == Some("30");
    world.until("the river stands", is_put_back).await;
    let leaders = async || replicas.iter().filter(|it| leads(it)).count() == 1;
    world.until("one of the two acts", leaders).await;

    change_by_hand(&world, "r1-dev").await;
    world.until("what was changed is put back by the one that acts", is_put_back).await;
    let first = replicas.iter().position(leads).unwrap();
    replicas.swap_remove(first).kill();

    change_by_hand(&world, "r1-dev").await;
    give(&world, &Command::subscribe("r2", "B")).await;
    world.until("what was changed is put back by the other", is_put_back).await;
    assert!(leads(&replicas[0]));
    let stands = async || visibility(&world, "r2-dev").await.is_some();
    world.until("a command that came meanwhile is carried out", stands).await;
}
