//! A quarantine as somebody finds it who looks into the queue.

use local_aws::{Fault, LocalAws, Service};
use quarantine::{Quarantine, Reason};

const QUEUE: &str = "Rapids-dev-dlq";

fn reason() -> Reason {
    Reason { kind: "not_json", text: "not JSON: expected value".into() }
}

#[tokio::test]
async fn what_is_put_there_can_be_read_with_reason_and_origin() {
    let sqs = aws_sdk_sqs::Client::new(&LocalAws::new().sdk_config());
    let quarantine = Quarantine::open(sqs.clone(), QUEUE, None).await.unwrap();
    let origin = [("shard", "shardId-000000000000"), ("partition_key", "")];
    quarantine.put(b"{oops", &reason(), &origin).await.unwrap();
    let url = sqs.get_queue_url().queue_name(QUEUE).send().await.unwrap().queue_url.unwrap();
    let found = sqs.receive_message().queue_url(url).message_attribute_names("All").send().await;
    let message = found.unwrap().messages.unwrap().remove(0);
    assert_eq!(message.body(), Some("{oops"));
    let attributes = message.message_attributes().unwrap();
    let attribute = |name: &str| attributes.get(name).and_then(|value| value.string_value());
    assert_eq!(attribute("kind"), Some("not_json"));
    assert_eq!(attribute("reason"), Some("not JSON: expected value"));
    assert_eq!(attribute("encoding"), Some("text"));
    assert_eq!((attribute("part"), attribute("parts")), (Some("1"), Some("1")));
    assert_eq!(attribute("shard"), Some("shardId-000000000000"));
    assert_eq!(attribute("partition_key"), None, "SQS takes no empty attribute");
}

#[tokio::test]
async fn a_queue_that_is_there_is_used_as_it_is() {
    let sqs = aws_sdk_sqs::Client::new(&LocalAws::new().sdk_config());
    sqs.create_queue().queue_name(QUEUE).send().await.unwrap();
    Quarantine::open(sqs, QUEUE, Some("alias/key")).await.unwrap();
}

#[tokio::test]
async fn nothing_is_taken_for_quarantined_that_sqs_refused() {
    let aws = LocalAws::new();
    let sqs = aws_sdk_sqs::Client::new(&aws.sdk_config());
    let quarantine = Quarantine::open(sqs, QUEUE, None).await.unwrap();
    let refusal = Fault::on(Service::Sqs, "SendMessage").always();
    aws.faults().add(refusal.error(403, "AccessDenied", "scripted"));
    let error = quarantine.put(b"x", &reason(), &[]).await.unwrap_err().to_string();
    assert_eq!(error, "quarantine Rapids-dev-dlq: SQS SendMessage failed");
}
