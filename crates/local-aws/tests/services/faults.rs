//! Faults, as the SDK's clients meet them.

use std::time::Duration;

use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use aws_sdk_sns::types::PublishBatchRequestEntry;
use aws_sdk_sqs::error::ProvideErrorMetadata as _;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use aws_smithy_types::retry::RetryConfig;
use aws_types::SdkConfig;
use local_aws::{Fault, LocalAws, Service};

fn without_retries(aws: &LocalAws) -> SdkConfig {
    aws.sdk_config().to_builder().retry_config(RetryConfig::disabled()).build()
}

async fn queue(sqs: &aws_sdk_sqs::Client) -> String {
    sqs.create_queue().queue_name("q").send().await.unwrap().queue_url.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_throttled_call_is_repeated_by_the_sdk() {
    let aws = LocalAws::new();
    let sqs = aws_sdk_sqs::Client::new(&aws.sdk_config());
    let url = queue(&sqs).await;
    aws.faults().add(Fault::on(Service::Sqs, "SendMessage").times(2).throttle());
    sqs.send_message().queue_url(&url).message_body("m").send().await.unwrap();
    assert_eq!(aws.calls(Service::Sqs, "SendMessage"), 3);
}

#[tokio::test]
async fn each_service_throttles_in_its_own_words() {
    let aws = LocalAws::new();
    let config = without_retries(&aws);
    for (service, operation) in [
        (Service::Kinesis, "ListStreams"),
        (Service::Sns, "ListTopics"),
        (Service::Sqs, "ListQueues"),
        (Service::DynamoDb, "ListTables"),
        (Service::Sts, "GetCallerIdentity"),
    ] {
        aws.faults().add(Fault::on(service, operation).throttle());
    }
    let kinesis = aws_sdk_kinesis::Client::new(&config).list_streams().send().await;
    assert_eq!(kinesis.unwrap_err().code(), Some("ProvisionedThroughputExceededException"));
    let sns = aws_sdk_sns::Client::new(&config).list_topics().send().await;
    assert_eq!(sns.unwrap_err().code(), Some("Throttling"));
    let sqs = aws_sdk_sqs::Client::new(&config).list_queues().send().await;
    assert_eq!(sqs.unwrap_err().code(), Some("RequestThrottled"));
    let dynamodb = aws_sdk_dynamodb::Client::new(&config).list_tables().send().await;
    assert_eq!(dynamodb.unwrap_err().code(), Some("ProvisionedThroughputExceededException"));
    let sts = aws_sdk_sts::Client::new(&config).get_caller_identity().send().await;
    assert_eq!(sts.unwrap_err().code(), Some("Throttling"));
}

#[tokio::test]
async fn a_call_whose_reply_is_lost_has_had_its_effect() {
    let aws = LocalAws::new();
    let sqs = aws_sdk_sqs::Client::new(&without_retries(&aws));
    let url = queue(&sqs).await;
    aws.faults().add(Fault::on(Service::Sqs, "SendMessage").lose_reply());
    let send = || sqs.send_message().queue_url(&url).message_body("m").send();
    let error = send().await.unwrap_err();
    assert!(error.as_service_error().is_none(), "{error:?}");
    let received = sqs.receive_message().queue_url(&url).send().await.unwrap();
    assert_eq!(received.messages().len(), 1);
    send().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_delay_is_longer_than_the_patience_of_a_client() {
    let aws = LocalAws::new();
    let patience = aws_smithy_types::timeout::TimeoutConfig::builder();
    let patience = patience.read_timeout(Duration::from_secs(3)).build();
    let config = without_retries(&aws).to_builder().timeout_config(patience).build();
    let sqs = aws_sdk_sqs::Client::new(&config);
    let slow = Fault::on(Service::Sqs, "ListQueues").delay(Duration::from_secs(10));
    aws.faults().add(slow.times(1));
    let began = tokio::time::Instant::now();
    let error = sqs.list_queues().send().await.unwrap_err();
    assert!(error.as_service_error().is_none(), "{error:?}");
    assert_eq!(began.elapsed().as_secs(), 3);
    sqs.list_queues().send().await.unwrap();
}

#[tokio::test]
async fn an_error_is_answered_and_nothing_is_done() {
    let aws = LocalAws::new();
    let sqs = aws_sdk_sqs::Client::new(&without_retries(&aws));
    aws.faults().add(Fault::on(Service::Sqs, "CreateQueue").error(403, "AccessDenied", "no"));
    let create = sqs.create_queue().queue_name("q").send().await.unwrap_err();
    assert_eq!((create.code(), create.message()), (Some("AccessDenied"), Some("no")));
    assert!(sqs.list_queues().send().await.unwrap().queue_urls().is_empty());
}

#[tokio::test]
async fn a_fault_can_be_meant_for_some_requests_until_it_is_cleared() {
    let aws = LocalAws::new();
    let sqs = aws_sdk_sqs::Client::new(&without_retries(&aws));
    let refuse = Fault::on(Service::Sqs, "CreateQueue").error(500, "InternalError", "scripted");
    aws.faults().add(refuse.matching("river-r1").always());
    let create = async |name: &str| sqs.create_queue().queue_name(name).send().await;
    create("river-r2").await.unwrap();
    create("river-r1").await.unwrap_err();
    create("river-r1").await.unwrap_err();
    aws.faults().clear();
    create("river-r1").await.unwrap();
}

#[tokio::test]
async fn entries_of_a_batch_to_sqs_can_fail() {
    let aws = LocalAws::new();
    let sqs = aws_sdk_sqs::Client::new(&aws.sdk_config());
    let url = queue(&sqs).await;
    aws.faults().add(Fault::on(Service::Sqs, "SendMessageBatch").fail_entries(&[1], "Busy"));
    let entry =
        |id| SendMessageBatchRequestEntry::builder().id(id).message_body(id).build().unwrap();
    let batch = sqs.send_message_batch().queue_url(&url);
    let answer = batch.entries(entry("a")).entries(entry("b")).entries(entry("c")).send().await;
    let answer = answer.unwrap();
    let successful: Vec<_> = answer.successful().iter().map(|entry| entry.id.as_str()).collect();
    assert_eq!(successful, ["a", "c"]);
    assert_eq!((answer.failed[0].id.as_str(), answer.failed[0].code.as_str()), ("b", "Busy"));
    let received = sqs.receive_message().queue_url(url).max_number_of_messages(10).send().await;
    assert_eq!(received.unwrap().messages().len(), 2);
}

#[tokio::test]
async fn entries_of_a_batch_to_sns_can_fail_even_all() {
    let aws = LocalAws::new();
    let sns = aws_sdk_sns::Client::new(&aws.sdk_config());
    let topic = sns.create_topic().name("t").send().await.unwrap().topic_arn.unwrap();
    let entry = |id| PublishBatchRequestEntry::builder().id(id).message(id).build().unwrap();
    let publish = async || {
        let batch = sns.publish_batch().topic_arn(&topic);
        let batch = batch.publish_batch_request_entries(entry("a"));
        batch.publish_batch_request_entries(entry("b")).send().await.unwrap()
    };
    let fault = Fault::on(Service::Sns, "PublishBatch");
    aws.faults().add(fault.clone().fail_entries(&[0], "InternalError"));
    aws.faults().add(fault.fail_entries(&[0, 1], "InternalError"));
    let some = publish().await;
    assert_eq!((some.successful().len(), some.failed().len()), (1, 1));
    assert_eq!(some.failed()[0].id, "a");
    assert!(!some.failed()[0].sender_fault);
    let all = publish().await;
    assert_eq!((all.successful().len(), all.failed().len()), (0, 2));
    let none = publish().await;
    assert_eq!((none.successful().len(), none.failed().len()), (2, 0));
}

#[tokio::test]
async fn records_of_a_batch_to_kinesis_can_fail_in_their_places() {
    let aws = LocalAws::new();
    let kinesis = aws_sdk_kinesis::Client::new(&aws.sdk_config());
    kinesis.create_stream().stream_name("s").shard_count(1).send().await.unwrap();
    aws.faults()
        .add(Fault::on(Service::Kinesis, "PutRecords").fail_entries(&[0], "InternalFailure"));
    let entry = |data: &str| {
        let entry = PutRecordsRequestEntry::builder().partition_key("k");
        entry.data(Blob::new(data)).build().unwrap()
    };
    let put = kinesis.put_records().stream_name("s").records(entry("a")).records(entry("b"));
    let answer = put.send().await.unwrap();
    assert_eq!(answer.failed_record_count, Some(1));
    assert_eq!(answer.records[0].error_code.as_deref(), Some("InternalFailure"));
    assert!(answer.records[1].sequence_number.is_some());
}
