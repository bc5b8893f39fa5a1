use super::*;

const SHARDS: usize = 2_500;

async fn stream_of_many() -> (LocalAws, Client) {
    let aws = LocalAws::new();
    let kinesis = Client::new(&aws.sdk_config());
    let create = kinesis.create_stream().stream_name(STREAM).shard_count(2_500);
    create.send().await.unwrap();
    (aws, kinesis)
}

async fn listed(kinesis: &Client) -> usize {
    let shards = list(kinesis, STREAM, &Counts::default()).await.unwrap();
    let ids: std::collections::BTreeSet<_> = shards.iter().map(|shard| &shard.id).collect();
    assert_eq!(ids.len(), shards.len(), "none twice");
    shards.len()
}

#[tokio::test(start_paused = true)]
async fn more_shards_than_a_page_holds_are_listed_by_the_token_alone() {
    let (aws, kinesis) = stream_of_many().await;
    assert_eq!(listed(&kinesis).await, SHARDS);
    assert_eq!(aws.calls(Service::Kinesis, "ListShards"), 3);
}

#[tokio::test(start_paused = true)]
async fn a_throttled_page_is_asked_for_again_and_no_other() {
    let (aws, kinesis) = stream_of_many().await;
    aws.faults().add(Fault::on(Service::Kinesis, "ListShards").after(1).times(3).throttle());
    assert_eq!(listed(&kinesis).await, SHARDS);
    assert_eq!(aws.calls(Service::Kinesis, "ListShards"), 6);
}

#[tokio::test(start_paused = true)]
async fn an_expired_page_token_begins_the_list_anew() {
    let (aws, kinesis) = stream_of_many().await;
    let expired = Fault::on(Service::Kinesis, "ListShards").after(2);
    aws.faults().add(expired.error(400, "ExpiredNextTokenException", "too old"));
    assert_eq!(listed(&kinesis).await, SHARDS);
    assert_eq!(aws.calls(Service::Kinesis, "ListShards"), 6);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_always_refused_fails_in_the_end() {
    let (aws, kinesis) = stream_of_many().await;
    aws.faults().add(Fault::on(Service::Kinesis, "ListShards").always().throttle());
    let listed = list(&kinesis, STREAM, &Counts::default()).await;
    assert!(matches!(listed, Err(Error::Kinesis { operation: "ListShards", .. })));
    assert_eq!(
        aws.calls(Service::Kinesis, "ListShards"),
        5,
        "the SDK's retries do not multiply ours"
    );
}
