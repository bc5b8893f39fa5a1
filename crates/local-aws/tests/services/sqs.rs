//! SQS: <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/Welcome.html>.

use std::time::Duration;

use aws_sdk_sqs::error::ProvideErrorMetadata as _;
use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::{
    DeleteMessageBatchRequestEntry, MessageAttributeValue, MessageSystemAttributeName,
    QueueAttributeName, SendMessageBatchRequestEntry,
};

use crate::world::{World, name};

const MIB: usize = 1024 * 1024;

fn text(value: &str) -> MessageAttributeValue {
    MessageAttributeValue::builder().data_type("String").string_value(value).build().unwrap()
}

#[tokio::test]
async fn a_message_is_received_as_it_was_sent_and_is_gone_when_deleted() {
    let world = World::new();
    let (url, _) = world.queue(&[]).await;
    let bytes =
        MessageAttributeValue::builder().data_type("Binary").binary_value(Blob::new([0, 255]));
    let send = world.sqs().send_message().queue_url(&url).message_body("{\"a\":\"<&>\"}");
    let send = send.message_attributes("reason", text("poison"));
    let sent = send.message_attributes("bytes", bytes.build().unwrap()).send().await.unwrap();

    let received = world.receive(&url).await.remove(0);
    assert_eq!(received.message_id, sent.message_id);
    assert_eq!(received.body.as_deref(), Some("{\"a\":\"<&>\"}"));
    assert_eq!(received.md5_of_body, sent.md5_of_message_body);
    assert_eq!(received.md5_of_message_attributes, sent.md5_of_message_attributes);
    let attributes = received.message_attributes.unwrap();
    assert_eq!(attributes["reason"].string_value.as_deref(), Some("poison"));
    assert_eq!(attributes["bytes"].binary_value.as_ref().unwrap().as_ref(), [0, 255]);
    let system = received.attributes.unwrap();
    assert_eq!(system[&MessageSystemAttributeName::ApproximateReceiveCount], "1");
    assert!(system.contains_key(&MessageSystemAttributeName::SentTimestamp));

    let handle = received.receipt_handle.unwrap();
    world.sqs().delete_message().queue_url(&url).receipt_handle(handle).send().await.unwrap();
    world.pass(Duration::from_secs(31)).await;
    assert!(world.receive(&url).await.is_empty());
}

#[tokio::test]
async fn a_message_in_flight_is_hidden_and_comes_back_counted() {
    let world = World::new();
    let (url, _) = world.queue(&[(QueueAttributeName::VisibilityTimeout, "2")]).await;
    world.send(&url, "m").await;
    assert_eq!(world.receive(&url).await.len(), 1);
    assert!(world.receive(&url).await.is_empty());
    let count = world.attribute(&url, QueueAttributeName::ApproximateNumberOfMessagesNotVisible);
    assert_eq!(count.await, "1");
    world.pass(Duration::from_secs(2)).await;
    let again = world.receive(&url).await.remove(0);
    let counted = &again.attributes.unwrap()[&MessageSystemAttributeName::ApproximateReceiveCount];
    assert_eq!(counted, "2");
}

#[tokio::test]
async fn a_visibility_of_zero_gives_the_message_back_at_once() {
    let world = World::new();
    let (url, _) = world.queue(&[]).await;
    world.send(&url, "m").await;
    let handle = world.receive(&url).await.remove(0).receipt_handle.unwrap();
    let change = world.sqs().change_message_visibility().queue_url(&url).receipt_handle(&handle);
    change.visibility_timeout(0).send().await.unwrap();
    assert_eq!(world.bodies(&url).await, ["m"]);
}

#[tokio::test]
async fn a_receive_that_waits_is_answered_by_the_message_that_comes() {
    let world = World::new();
    let (url, _) = world.queue(&[]).await;
    let wait = world.sqs().receive_message().queue_url(&url).wait_time_seconds(20).send();
    let (received, ()) = tokio::join!(wait, world.send(&url, "m"));
    assert_eq!(received.unwrap().messages.unwrap()[0].body.as_deref(), Some("m"));
}

#[tokio::test(start_paused = true)]
async fn a_receive_that_waits_in_vain_ends_in_virtual_time() {
    let aws = local_aws::LocalAws::new();
    let sqs = aws_sdk_sqs::Client::new(&aws.sdk_config());
    let url = sqs.create_queue().queue_name("q").send().await.unwrap().queue_url.unwrap();
    let began = tokio::time::Instant::now();
    let answer = sqs.receive_message().queue_url(url).wait_time_seconds(20).send().await.unwrap();
    assert!(answer.messages.unwrap_or_default().is_empty());
    assert_eq!(began.elapsed().as_secs(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_receive_that_waits_sees_a_message_whose_timeout_ends() {
    let aws = local_aws::LocalAws::new();
    let sqs = aws_sdk_sqs::Client::new(&aws.sdk_config());
    let url = sqs.create_queue().queue_name("q").send().await.unwrap().queue_url.unwrap();
    sqs.send_message().queue_url(&url).message_body("m").send().await.unwrap();
    sqs.receive_message().queue_url(&url).visibility_timeout(7).send().await.unwrap();
    let began = tokio::time::Instant::now();
    let answer = sqs.receive_message().queue_url(url).wait_time_seconds(20).send().await.unwrap();
    assert_eq!(answer.messages.unwrap().len(), 1);
    assert_eq!(began.elapsed().as_secs(), 7);
}

#[tokio::test]
async fn a_delayed_message_appears_when_its_delay_is_over() {
    let world = World::new();
    let (url, _) = world.queue(&[]).await;
    let send = world.sqs().send_message().queue_url(&url).message_body("later").delay_seconds(2);
    send.send().await.unwrap();
    assert!(world.receive(&url).await.is_empty());
    let delayed = world.attribute(&url, QueueAttributeName::ApproximateNumberOfMessagesDelayed);
    assert_eq!(delayed.await, "1");
    world.pass(Duration::from_secs(2)).await;
    assert_eq!(world.bodies(&url).await, ["later"]);
}

#[tokio::test]
async fn a_message_received_too_often_goes_to_the_dead_letters_and_a_redrive_brings_it_back() {
    let world = World::new();
    let (dead_url, dead_arn) = world.queue(&[]).await;
    // CloudFormation writes the count as a string.
    let policy = format!(r#"{{"deadLetterTargetArn":"{dead_arn}","maxReceiveCount":"1"}}"#);
    let attributes = [
        (QueueAttributeName::RedrivePolicy, policy.as_str()),
        (QueueAttributeName::VisibilityTimeout, "0"),
    ];
    let (url, arn) = world.queue(&attributes).await;
    world.send(&url, "poison").await;
    assert_eq!(world.receive(&url).await.len(), 1);
    assert!(world.receive(&url).await.is_empty());

    let dead = world.receive(&dead_url).await.remove(0);
    assert_eq!(dead.body.as_deref(), Some("poison"));
    let source = &dead.attributes.unwrap()[&MessageSystemAttributeName::DeadLetterQueueSourceArn];
    assert_eq!(source, &arn);
    let sources = world.sqs().list_dead_letter_source_queues().queue_url(&dead_url).send().await;
    assert_eq!(sources.unwrap().queue_urls, std::slice::from_ref(&url));

    let handle = dead.receipt_handle.unwrap();
    let change = world.sqs().change_message_visibility().queue_url(&dead_url);
    change.receipt_handle(handle).visibility_timeout(0).send().await.unwrap();
    world.sqs().start_message_move_task().source_arn(&dead_arn).send().await.unwrap();
    assert_eq!(world.bodies(&url).await, ["poison"]);
    let tasks = world.sqs().list_message_move_tasks().source_arn(dead_arn).send().await.unwrap();
    assert_eq!(tasks.results.unwrap()[0].approximate_number_of_messages_moved, 1);
}

#[tokio::test]
async fn a_dead_letter_queue_must_be_there_when_it_is_named() {
    let world = World::new();
    let (_, arn) = world.queue(&[]).await;
    let policy = format!(r#"{{"deadLetterTargetArn":"{arn}-not","maxReceiveCount":3}}"#);
    let create = world.sqs().create_queue().queue_name(name("q", false));
    let create = create.attributes(QueueAttributeName::RedrivePolicy, policy);
    let error = create.send().await.unwrap_err();
    assert_eq!(error.code(), Some("InvalidParameterValue"));
}

#[tokio::test]
async fn each_entry_of_a_batch_has_its_own_fate() {
    let world = World::new();
    let (url, _) = world.queue(&[]).await;
    let entry = |id: &str, delay| {
        let entry = SendMessageBatchRequestEntry::builder().id(id).message_body(id);
        entry.delay_seconds(delay).build().unwrap()
    };
    let batch = world.sqs().send_message_batch().queue_url(&url);
    let sent = batch.entries(entry("good", 0)).entries(entry("bad", 901)).send().await.unwrap();
    assert_eq!(sent.successful[0].id, "good");
    assert_eq!((sent.failed[0].id.as_str(), sent.failed[0].sender_fault), ("bad", true));

    let handle = world.receive(&url).await.remove(0).receipt_handle.unwrap();
    let entry = |id: &str, handle: &str| {
        let entry = DeleteMessageBatchRequestEntry::builder().id(id).receipt_handle(handle);
        entry.build().unwrap()
    };
    let batch = world.sqs().delete_message_batch().queue_url(&url);
    let batch = batch.entries(entry("known", &handle)).entries(entry("garbage", "garbage"));
    let deleted = batch.send().await.unwrap();
    assert_eq!(deleted.successful[0].id, "known");
    assert_eq!(deleted.failed[0].code, "ReceiptHandleIsInvalid");
}

#[tokio::test]
async fn a_batch_that_is_malformed_is_refused_as_a_whole() {
    let world = World::new();
    let (url, _) = world.queue(&[]).await;
    let batch = async |ids: &[&str], body: &str| {
        let mut batch = world.sqs().send_message_batch().queue_url(&url);
        for id in ids {
            let entry = SendMessageBatchRequestEntry::builder().id(*id).message_body(body);
            batch = batch.entries(entry.build().unwrap());
        }
        batch.send().await.unwrap_err().into_service_error()
    };
    assert!(batch(&["a", "a"], "m").await.is_batch_entry_ids_not_distinct());
    assert!(batch(&["a b"], "m").await.is_invalid_batch_entry_id());
    assert!(batch(&[], "m").await.is_empty_batch_request());
    let eleven: Vec<String> = (0..11).map(|n| n.to_string()).collect();
    let eleven: Vec<&str> = eleven.iter().map(String::as_str).collect();
    assert!(batch(&eleven, "m").await.is_too_many_entries_in_batch_request());
    assert!(batch(&["a", "b"], &"x".repeat(MIB / 2 + 1)).await.is_batch_request_too_long());
}

#[tokio::test]
async fn a_message_of_one_mebibyte_is_taken_and_a_larger_one_is_not() {
    let world = World::new();
    let (url, _) = world.queue(&[]).await;
    world.send(&url, &"x".repeat(MIB)).await;
    assert_eq!(world.bodies(&url).await[0].len(), MIB);
    let larger = world.sqs().send_message().queue_url(&url).message_body("x".repeat(MIB + 1));
    assert_eq!(larger.send().await.unwrap_err().code(), Some("InvalidParameterValue"));
}

#[tokio::test]
async fn a_queue_that_is_not_there_is_told_by_its_error() {
    let world = World::new();
    let missing = world.sqs().get_queue_url().queue_name(name("q", false)).send().await;
    let error = missing.unwrap_err();
    assert_eq!(error.code(), Some("AWS.SimpleQueueService.NonExistentQueue"));
    assert!(error.into_service_error().is_queue_does_not_exist());
}

#[tokio::test]
async fn creating_a_queue_again_is_fine_unless_its_attributes_differ() {
    let world = World::new();
    let name = name("q", false);
    let create = async |timeout: &str| {
        let create = world.sqs().create_queue().queue_name(&name);
        create.attributes(QueueAttributeName::VisibilityTimeout, timeout).send().await
    };
    let url = create("5").await.unwrap().queue_url.unwrap();
    assert_eq!(create("5").await.unwrap().queue_url.as_deref(), Some(url.as_str()));
    assert!(create("6").await.unwrap_err().into_service_error().is_queue_name_exists());
    assert!(url.ends_with(&name));
}

#[tokio::test]
async fn the_name_of_a_deleted_queue_rests_for_a_minute() {
    let world = World::new();
    let name = name("q", false);
    let create = async || world.sqs().create_queue().queue_name(&name).send().await;
    let url = create().await.unwrap().queue_url.unwrap();
    world.sqs().delete_queue().queue_url(&url).send().await.unwrap();
    assert!(create().await.unwrap_err().into_service_error().is_queue_deleted_recently());
    world.pass(Duration::from_secs(61)).await;
    create().await.unwrap();
}

#[tokio::test]
async fn attributes_can_be_set_and_read_and_nonsense_is_refused() {
    let world = World::new();
    let (url, _) = world.queue(&[]).await;
    let set = async |name: &str, value: &str| {
        let set = world.sqs().set_queue_attributes().queue_url(&url);
        set.attributes(QueueAttributeName::from(name), value).send().await
    };
    set("MaximumMessageSize", "1048576").await.unwrap();
    set("Policy", "{}").await.unwrap();
    assert_eq!(world.attribute(&url, QueueAttributeName::Policy).await, "{}");
    let error = set("VisibilityTimeout", "43201").await.unwrap_err();
    assert!(error.into_service_error().is_invalid_attribute_value());
    let error = set("Colour", "blue").await.unwrap_err();
    assert!(error.into_service_error().is_invalid_attribute_name());
}

#[tokio::test]
async fn a_standard_queue_takes_a_group_for_fairness_and_tells_it() {
    let world = World::new();
    let (url, _) = world.queue(&[]).await;
    let send = world.sqs().send_message().queue_url(&url).message_body("m");
    send.message_group_id("tenant").send().await.unwrap();
    let received = world.receive(&url).await.remove(0);
    let group = &received.attributes.unwrap()[&MessageSystemAttributeName::MessageGroupId];
    assert_eq!(group, "tenant");
}

/// AWS decides over time: pointed at it, this may need more messages than these.
#[tokio::test]
async fn messages_of_a_quiet_group_come_before_those_of_a_noisy_one() {
    let world = World::new();
    let (url, _) = world.queue(&[]).await;
    let send = async |body: &str, group: &str| {
        let send = world.sqs().send_message().queue_url(&url).message_body(body);
        send.message_group_id(group).send().await.unwrap();
    };
    for _ in 0..45 {
        send("more", "noisy").await;
    }
    send("one", "quiet").await;
    for _ in 0..3 {
        assert_eq!(world.bodies(&url).await, ["more"; 10]);
    }
    assert_eq!(world.bodies(&url).await[..2], ["one", "more"]);
}

#[tokio::test]
async fn a_group_has_128_characters_at_the_most() {
    let world = World::new();
    let (url, _) = world.queue(&[]).await;
    for (length, taken) in [(128, true), (129, false)] {
        let send = world.sqs().send_message().queue_url(&url).message_body("m");
        let sent = send.message_group_id("x".repeat(length)).send().await;
        assert_eq!(sent.is_ok(), taken, "{length}");
    }
}

#[tokio::test]
async fn a_fifo_queue_keeps_the_order_of_a_group_and_takes_a_copy_once() {
    let world = World::new();
    let (url, _) = world.queue(&[(QueueAttributeName::FifoQueue, "true")]).await;
    for (body, group) in [("a1", "a"), ("a2", "a"), ("a2", "a"), ("b1", "b")] {
        let send = world.sqs().send_message().queue_url(&url).message_body(body);
        send.message_group_id(group).message_deduplication_id(body).send().await.unwrap();
    }
    let receive = world.sqs().receive_message().queue_url(&url).send().await.unwrap();
    assert_eq!(receive.messages.unwrap()[0].body.as_deref(), Some("a1"));
    // The group of a1 waits for it; the other does not.
    assert_eq!(world.bodies(&url).await, ["b1"]);
    world.pass(Duration::from_secs(31)).await;
    assert_eq!(world.bodies(&url).await, ["a1", "a2", "b1"]);
}

#[tokio::test]
async fn queues_are_listed_by_prefix_in_pages() {
    let world = World::new();
    let prefix = name("page", false);
    for number in 0..3 {
        let create = world.sqs().create_queue().queue_name(format!("{prefix}-{number}"));
        create.send().await.unwrap();
    }
    let list = || world.sqs().list_queues().queue_name_prefix(&prefix).max_results(2);
    let first = list().send().await.unwrap();
    assert_eq!(first.queue_urls.unwrap().len(), 2);
    let second = list().set_next_token(first.next_token).send().await.unwrap();
    assert_eq!((second.queue_urls.unwrap().len(), second.next_token), (1, None));
}

#[tokio::test]
async fn a_purged_queue_is_empty_and_is_not_purged_twice_a_minute() {
    let world = World::new();
    let (url, _) = world.queue(&[]).await;
    world.send(&url, "m").await;
    let purge = async || world.sqs().purge_queue().queue_url(&url).send().await;
    purge().await.unwrap();
    assert!(world.receive(&url).await.is_empty());
    assert!(purge().await.unwrap_err().into_service_error().is_purge_queue_in_progress());
}
