use super::*;

async fn iterator(world: &World) -> String {
    let get = world.kinesis.get_shard_iterator().stream_name(STREAM).shard_id(SHARD);
    let get = get.shard_iterator_type(aws_sdk_kinesis::types::ShardIteratorType::TrimHorizon);
    get.send().await.unwrap().shard_iterator.unwrap()
}

#[tokio::test(start_paused = true)]
async fn reading_goes_on_with_or_after_a_record() {
    let world = World::new().await;
    world.put(0..10, 1).await;
    let mut source = world.poll(Start::TrimHorizon);
    let page = next(&mut source).await.unwrap();
    assert_eq!(numbers(&page), all(0..10));
    let fifth = page.records[4].sequence_number();
    assert_eq!(read(&mut world.poll(Start::At(fifth)), 6).await, all(4..10));
    assert_eq!(read(&mut world.poll(Start::After(fifth)), 5).await, all(5..10));
}

#[tokio::test(start_paused = true)]
async fn an_expired_iterator_is_replaced_after_the_last_record_and_nothing_comes_twice() {
    let settings =
        KinesisSettings { iterator_lifetime: Duration::from_secs(300), ..Default::default() };
    let world = World::with(settings, 64 << 20).await;
    world.put(0..5, 1).await;
    let mut source = world.poll(Start::TrimHorizon);
    assert_eq!(read(&mut source, 5).await, all(0..5));
    world.put(5..10, 1).await;
    sleep(Duration::from_secs(301)).await;
    let before = Instant::now();
    assert_eq!(numbers(&next(&mut source).await.unwrap()), all(5..10));
    assert!(before.elapsed() < Duration::from_secs(1), "at once");
    assert_eq!(world.calls("GetShardIterator"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_start_at_the_tip_survives_an_iterator_that_expires_before_the_first_record() {
    let world = World::new().await;
    world.put(0..5, 1).await;
    sleep(Duration::from_secs(60)).await;
    // Its clock is that of the machine, the service's runs ahead by the hour that the stream is old.
    world.aws.faults().add(Fault::on(Service::Kinesis, "GetRecords").error(
        400,
        "ExpiredIteratorException",
        "old",
    ));
    let mut source = world.poll(Start::Latest);
    let failed = next(&mut source).await;
    assert!(failed.is_err(), "an iterator that expires at once is no reason for a storm");
    world.put(5..8, 1).await;
    let came = read(&mut source, 3).await;
    assert!(came.ends_with(&[7]) || came.contains(&5), "{came:?}");
}

#[tokio::test(start_paused = true)]
async fn a_read_that_is_given_up_is_read_again_and_its_room_is_given_back() {
    let world = World::new().await;
    world.put(0..5, 1).await;
    let late = Fault::on(Service::Kinesis, "GetRecords").delay(Duration::from_secs(5));
    world.aws.faults().add(late);
    let mut source = world.poll(Start::TrimHorizon);
    assert!(timeout(Duration::from_secs(1), source.next()).await.is_err());
    assert_eq!(world.budget.in_flight(), 0);
    assert_eq!(read(&mut source, 5).await, all(0..5));
}

#[tokio::test(start_paused = true)]
async fn a_shard_full_of_megabytes_is_read_without_being_throttled_once() {
    let settings = KinesisSettings { throttling: true, ..Default::default() };
    let world = World::with(settings, 64 << 20).await;
    for number in 0..24 {
        world.put(number..number + 1, 1_000_000).await;
        sleep(Duration::from_secs(1)).await;
    }
    let began = Instant::now();
    let mut source = world.poll(Start::TrimHorizon);
    assert_eq!(read(&mut source, 24).await, all(0..24));
    assert_eq!(world.counts.throttled(), 0);
    // 24 MB at 2 MiB a second, but for the last answer, which is not waited for.
    let took = began.elapsed();
    assert!(took > Duration::from_secs(5) && took < Duration::from_secs(14), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn no_second_sees_more_than_five_reads_though_iterators_expire() {
    let settings = KinesisSettings {
        throttling: true,
        iterator_lifetime: Duration::from_millis(100),
        ..Default::default()
    };
    let mut world = World::with(settings, 64 << 20).await;
    world.settings = Arc::new(Settings {
        read_interval: Duration::from_millis(1),
        idle_interval: Duration::from_millis(1),
        ..(*world.settings).clone()
    });
    let mut source = world.poll(Start::TrimHorizon);
    let reading = async {
        loop {
            drop(source.next().await);
        }
    };
    assert!(timeout(Duration::from_secs(30), reading).await.is_err());
    for api in [Api::GetRecords, Api::GetShardIterator] {
        let calls = world.counts.calls(api);
        assert!(calls.len() > 20, "{api:?}: {}", calls.len());
        let crowded = calls.windows(6).find(|six| six[5] - six[0] < Duration::from_secs(1));
        assert_eq!(crowded, None, "{api:?}");
    }
    assert_eq!(world.counts.throttled(), 0);
}

#[tokio::test(start_paused = true)]
async fn throttling_is_counted_not_told_and_over_within_a_second_of_its_end() {
    let world = World::new().await;
    world.put(0..5, 1).await;
    world.aws.faults().add(Fault::on(Service::Kinesis, "GetRecords").always().throttle());
    let mut source = world.poll(Start::TrimHorizon);
    let throttled = Duration::from_secs(60);
    assert!(timeout(throttled, source.next()).await.is_err(), "neither page nor error");
    let calls = world.calls("GetRecords");
    assert!((60..300).contains(&calls), "{calls} calls in a minute");
    assert_eq!(world.counts.throttled() as u64, calls, "the SDK hides none");
    world.aws.faults().clear();
    let began = Instant::now();
    assert_eq!(read(&mut source, 5).await, all(0..5));
    assert!(began.elapsed() <= Duration::from_millis(1_250), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn empty_pages_behind_the_tip_are_followed_at_once_and_at_the_tip_later_and_later() {
    let world = World::new().await;
    let next_iterator = iterator(&world).await;
    let behind = format!(
        r#"{{"Records":[],"NextShardIterator":"{next_iterator}","MillisBehindLatest":5000}}"#
    );
    let bodies = (0..10).map(|_| instead(behind.clone())).collect();
    let kinesis = world.disturbed("GetRecords", bodies);
    let mut source = world.open(&kinesis, Start::TrimHorizon, None);
    for _ in 0..20 {
        let page = next(&mut source).await.unwrap();
        assert_eq!((page.records.len(), page.end), (0, None));
    }
    let calls = world.counts.calls(Api::GetRecords);
    let gaps: Vec<_> = calls.windows(2).map(|two| (two[1] - two[0]).as_millis()).collect();
    assert!(gaps[..9].iter().all(|gap| *gap <= 225), "{gaps:?}");
    assert!(gaps[13..].iter().all(|gap| *gap >= 495), "{gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn no_next_iterator_and_no_children_is_not_the_end() {
    let world = World::new().await;
    world.put(0..5, 1).await;
    let bodies = (0..3).map(|_| instead(r#"{"Records":[],"MillisBehindLatest":0}"#.to_owned()));
    let kinesis = world.disturbed("GetRecords", bodies.collect());
    let mut source = world.open(&kinesis, Start::TrimHorizon, None);
    for _ in 0..3 {
        assert!(next(&mut source).await.is_err());
    }
    let page = next(&mut source).await.unwrap();
    assert_eq!((numbers(&page), page.end), (all(0..5), None));
}

#[tokio::test(start_paused = true)]
async fn the_end_comes_with_the_children_without_a_list_and_comes_again_to_who_asks_again() {
    let world = World::new().await;
    world.put(0..5, 1).await;
    world.split().await;
    let mut source = world.poll(Start::TrimHorizon);
    let page = next(&mut source).await.unwrap();
    assert_eq!(numbers(&page), all(0..5));
    let children: Vec<_> = page.end.as_ref().unwrap().iter().map(|shard| &shard.id).collect();
    assert_eq!(children, ["shardId-000000000001", "shardId-000000000002"]);
    for source in [&mut source, &mut world.poll(Start::After(last(&page)))] {
        let again = next(source).await.unwrap();
        assert_eq!((again.records.len(), again.end), (0, page.end.clone()));
    }
    assert_eq!(world.calls("ListShards"), 0);
}

#[tokio::test(start_paused = true)]
async fn children_that_the_answer_does_not_name_are_listed() {
    let world = World::new().await;
    world.split().await;
    let body = r#"{"Records":[],"MillisBehindLatest":0}"#.to_owned();
    let kinesis = world.disturbed("GetRecords", vec![instead(body)]);
    let page = next(&mut world.open(&kinesis, Start::TrimHorizon, None)).await.unwrap();
    assert_eq!(page.end.map(|children| children.len()), Some(2));
    assert_eq!(world.calls("ListShards"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_record_larger_than_the_budget_is_read_alone() {
    let world = World::with(KinesisSettings::default(), 1_000).await;
    world.put(0..1, 100_000).await;
    let (mut one, mut other) = (world.poll(Start::TrimHorizon), world.poll(Start::TrimHorizon));
    let page = next(&mut one).await.unwrap();
    assert_eq!(numbers(&page), [0]);
    assert!(page.permit.bytes() >= 100_000 && world.budget.in_flight() >= 100_000);
    assert!(timeout(PATIENCE, other.next()).await.is_err(), "there is no room beside it");
    drop(page);
    assert_eq!(numbers(&next(&mut other).await.unwrap()), [0]);
    assert_eq!(world.budget.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_stream_is_an_error_each_time_and_never_an_end() {
    let world = World::new().await;
    world.put(0..5, 1).await;
    let mut source = world.poll(Start::TrimHorizon);
    assert_eq!(read(&mut source, 5).await, all(0..5));
    world.kinesis.delete_stream().stream_name(STREAM).send().await.unwrap();
    for _ in 0..5 {
        let error = next(&mut source).await.unwrap_err();
        assert!(matches!(error, Error::StreamNotFound { .. }), "{error}");
    }
    world.kinesis.create_stream().stream_name(STREAM).shard_count(1).send().await.unwrap();
    world.put(5..10, 1).await;
    assert_eq!(read(&mut source, 5).await, all(5..10), "the new stream from its oldest record");
}

#[tokio::test(start_paused = true)]
async fn a_missing_resource_of_a_stream_that_is_there_is_not_told_as_a_missing_stream() {
    let world = World::new().await;
    let fault = Fault::on(Service::Kinesis, "GetShardIterator");
    world.aws.faults().add(fault.error(400, "ResourceNotFoundException", "Shard not found"));
    let error = next(&mut world.poll(Start::TrimHorizon)).await.unwrap_err();
    assert!(matches!(error, Error::Kinesis { operation: "GetShardIterator", .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_cannot_be_decoded_is_asked_for_again_by_the_same_iterator() {
    let world = World::new().await;
    world.put(0..5, 1).await;
    let garbled = r#"{"Records":[{"SequenceNumber":"4x","Data":"","PartitionKey":"k"}],"NextShardIterator":"i","MillisBehindLatest":0}"#;
    let truncated = garbled[..40].to_owned();
    let bodies = vec![instead(truncated), instead(garbled.to_owned())];
    let kinesis = world.disturbed("GetRecords", bodies);
    let mut source = world.open(&kinesis, Start::TrimHorizon, None);
    assert!(next(&mut source).await.is_err());
    assert!(next(&mut source).await.is_err());
    assert_eq!(read(&mut source, 5).await, all(0..5));
    assert_eq!(world.calls("GetShardIterator"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_place_that_is_refused_leads_to_the_oldest_record() {
    let world = World::new().await;
    world.put(0..5, 1).await;
    let gone = SequenceNumber::parse("4").unwrap();
    assert_eq!(read(&mut world.poll(Start::At(gone)), 5).await, all(0..5));
    assert_eq!(read(&mut world.poll(Start::After(gone)), 5).await, all(0..5));
}

#[tokio::test(start_paused = true)]
async fn a_time_that_is_refused_does_not_lead_to_the_oldest_record() {
    let world = World::new().await;
    world.put(0..5, 1).await;
    let now = SystemTime::UNIX_EPOCH + Duration::from_millis(world.aws.clock().now_ms());
    let mut source = world.poll(Start::AtTimestamp(now + Duration::from_secs(10)));
    assert!(next(&mut source).await.is_err(), "it lies in the future");
    sleep(Duration::from_secs(11)).await;
    world.put(5..10, 1).await;
    assert_eq!(read(&mut source, 5).await, all(5..10));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_never_answered_is_given_up() {
    let world = World::new().await;
    world.put(0..5, 1).await;
    let lost = Fault::on(Service::Kinesis, "GetRecords").delay(Duration::from_secs(3_600));
    world.aws.faults().add(lost);
    let mut source = world.poll(Start::TrimHorizon);
    assert!(next(&mut source).await.is_err());
    assert_eq!(read(&mut source, 5).await, all(0..5));
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_read_before_the_sdk_and_what_cannot_be_is_left_to_it() {
    let world = World::new().await;
    world.put(0..10, 1).await;
    let mut at = iterator(&world).await;
    let answer = answer::Answer::new();
    let mut get = async || {
        let get = world.kinesis.get_records().shard_iterator(&at).customize();
        let reply = get.interceptor(answer.clone()).send().await.unwrap();
        at = reply.next_shard_iterator.clone().unwrap();
        assert!(reply.millis_behind_latest.is_some());
        (answer.take().map(|records| records.len()), reply.records.len())
    };
    assert_eq!(get().await, (Some(10), 0));
    assert_eq!(get().await, (Some(0), 0));
    let odd = world.kinesis.put_record().stream_name(STREAM).partition_key("a\"b");
    odd.data(Blob::new("odd")).send().await.unwrap();
    assert_eq!(get().await, (None, 1));
    let page = next(&mut world.poll(Start::TrimHorizon)).await.unwrap();
    assert_eq!(page.records.len(), 11);
    assert_eq!(page.records[10].partition_key.as_ref().unwrap().as_str(), "a\"b");
}
