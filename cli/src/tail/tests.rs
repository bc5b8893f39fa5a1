use aws_sdk_kinesis::primitives::Blob;
use jiff::Timestamp;
use local_aws::LocalAws;
use serde_json::json;

use super::*;

const STREAM: &str = "Rapids-dev";

async fn stream() -> (LocalAws, Client) {
    let aws = LocalAws::new();
    let kinesis = Client::new(&aws.sdk_config());
    kinesis.create_stream().stream_name(STREAM).shard_count(1).send().await.unwrap();
    (aws, kinesis)
}

async fn put(kinesis: &Client, data: &str) {
    let put = kinesis.put_record().stream_name(STREAM).partition_key("k");
    put.data(Blob::new(data)).send().await.unwrap();
}

fn event(event_type: &str) -> Event {
    Event::root(event_type, "test", json!({}), Timestamp::from_second(1).unwrap())
}

#[tokio::test]
async fn every_event_is_seen_once_whatever_else_lies_there() {
    let (_aws, kinesis) = stream().await;
    let (first, second) = (event("First"), event("Second"));
    for data in [&first.to_json(), &first.to_json(), "no event", &second.to_json()] {
        put(&kinesis, data).await;
    }
    let mut tail = Tail::open(kinesis.clone(), STREAM).await.unwrap();
    assert_eq!(tail.read().await.unwrap(), [first.clone(), second]);
    put(&kinesis, &first.to_json()).await;
    assert_eq!(tail.read().await.unwrap(), []);
}

#[tokio::test]
async fn the_children_of_a_shard_are_followed() {
    let (_aws, kinesis) = stream().await;
    let mut tail = Tail::open(kinesis.clone(), STREAM).await.unwrap();
    let split = kinesis.split_shard().stream_name(STREAM);
    let split = split.shard_to_split("shardId-000000000000");
    split.new_starting_hash_key((1_u128 << 127).to_string()).send().await.unwrap();
    let late = event("Late");
    put(&kinesis, &late.to_json()).await;
    // The first read ends the parent, the second reads the children.
    let mut seen = tail.read().await.unwrap();
    seen.extend(tail.read().await.unwrap());
    assert_eq!(seen, [late]);
}
