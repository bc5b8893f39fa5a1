//! An embedded AWS with a stream, the SNS topic and one river that gets everything raw.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType,
    ScalarAttributeType,
};
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use aws_sdk_sqs::types::{
    DeleteMessageBatchRequestEntry, Message, MessageSystemAttributeName, QueueAttributeName,
};
use local_aws::LocalAws;

pub(crate) const STREAM: &str = "Rapids-dev";
/// Far longer than anything here should take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct World {
    pub(crate) aws: LocalAws,
    pub(crate) kinesis: aws_sdk_kinesis::Client,
    pub(crate) sns: aws_sdk_sns::Client,
    pub(crate) sqs: aws_sdk_sqs::Client,
    pub(crate) dynamodb: aws_sdk_dynamodb::Client,
    /// URL of the river's queue.
    pub(crate) river: String,
}

impl World {
    pub(crate) async fn new(aws: LocalAws, shards: i32) -> Self {
        let config = aws.sdk_config();
        let kinesis = aws_sdk_kinesis::Client::new(&config);
        let sns = aws_sdk_sns::Client::new(&config);
        let sqs = aws_sdk_sqs::Client::new(&config);
        kinesis.create_stream().stream_name(STREAM).shard_count(shards).send().await.unwrap();
        let topic = sns.create_topic().name(STREAM).send().await.unwrap().topic_arn.unwrap();
        let river = sqs.create_queue().queue_name("all-dev").send().await.unwrap();
        let river = river.queue_url.unwrap();
        let arn = sqs.get_queue_attributes().queue_url(&river);
        let arn = arn.attribute_names(QueueAttributeName::QueueArn).send().await.unwrap();
        let arn = arn.attributes.unwrap().remove(&QueueAttributeName::QueueArn).unwrap();
        let subscribe = sns.subscribe().topic_arn(topic).protocol("sqs").endpoint(arn);
        subscribe.attributes("RawMessageDelivery", "true").send().await.unwrap();
        let dynamodb = aws_sdk_dynamodb::Client::new(&config);
        Self { aws, kinesis, sns, sqs, dynamodb, river }
    }

    /// Puts the events with these numbers as ids, in requests of a hundred.
    pub(crate) async fn put(&self, numbers: std::ops::Range<u32>) {
        let numbers: Vec<_> = numbers.collect();
        for chunk in numbers.chunks(100) {
            let records = chunk.iter().map(|number| {
                let json = format!(r#"{{"eventType":"Tick","eventId":"{number}"}}"#);
                record(&format!("key-{number}"), json.into_bytes())
            });
            let put = self.kinesis.put_records().stream_name(STREAM);
            let put = put.set_records(Some(records.collect())).send().await.unwrap();
            assert_eq!(put.failed_record_count, Some(0));
        }
    }

    /// Has an experiment run, as the control plane would.
    pub(crate) async fn experiment(&self, name: &str, definition: &str) {
        self.table("Experiments-dev", "Experiment").await;
        let put = self.dynamodb.put_item().table_name("Experiments-dev");
        let put = put.item("Experiment", text(name)).item("Definition", text(definition));
        put.item("Status", text("running")).send().await.unwrap();
    }

    pub(crate) async fn table(&self, name: &str, key: &str) {
        let attribute = AttributeDefinition::builder().attribute_name(key);
        let attribute = attribute.attribute_type(ScalarAttributeType::S).build().unwrap();
        let element = KeySchemaElement::builder().attribute_name(key).key_type(KeyType::Hash);
        let create = self.dynamodb.create_table().table_name(name);
        let create = create.attribute_definitions(attribute).key_schema(element.build().unwrap());
        create.billing_mode(BillingMode::PayPerRequest).send().await.unwrap();
    }

    /// Has a river fed directly, as the control plane would; it counts once there is a new version.
    pub(crate) async fn route(&self, river: &str, queue_url: &str, packets: &str) {
        let direct = format!(r#"{{"queueUrl":"{queue_url}","packets":[{packets}]}}"#);
        let put = self.dynamodb.put_item().table_name("Rivers-dev").item("River", text(river));
        put.item("Direct", text(&direct)).send().await.unwrap();
    }

    pub(crate) async fn routes_version(&self, version: u64) {
        let put = self.dynamodb.put_item().table_name("Rivers-dev").item("River", text("#direct"));
        put.item("Version", AttributeValue::N(version.to_string())).send().await.unwrap();
    }

    /// Makes a queue and gives its URL.
    pub(crate) async fn make_queue(&self, name: &str) -> String {
        let made = self.sqs.create_queue().queue_name(name).send().await.unwrap();
        made.queue_url.unwrap()
    }

    /// Puts events in one request, all of one key, and so in order.
    pub(crate) async fn put_texts(&self, texts: &[&str]) {
        let records = texts.iter().map(|text| record("key", text.as_bytes().to_vec())).collect();
        let put = self.kinesis.put_records().stream_name(STREAM).set_records(Some(records));
        assert_eq!(put.send().await.unwrap().failed_record_count, Some(0));
    }

    pub(crate) async fn put_bytes(&self, bytes: &[u8]) {
        let put = self.kinesis.put_record().stream_name(STREAM).partition_key("key");
        put.data(Blob::new(bytes)).send().await.unwrap();
    }

    /// Takes messages from the queue until `done` says that these are enough.
    pub(crate) async fn take(
        &self,
        queue: &str,
        done: impl Fn(&[Message]) -> bool,
    ) -> Vec<Message> {
        let mut taken = Vec::new();
        let all = async {
            while !done(&taken) {
                taken.extend(self.receive(queue).await);
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, all).await.is_ok();
        assert!(in_time, "after {} messages still not done", taken.len());
        taken
    }

    pub(crate) async fn receive(&self, queue: &str) -> Vec<Message> {
        let receive = self.sqs.receive_message().queue_url(queue).max_number_of_messages(10);
        let receive = receive.wait_time_seconds(1).message_attribute_names("All");
        let receive = receive.message_system_attribute_names(MessageSystemAttributeName::All);
        let messages = receive.send().await.unwrap().messages.unwrap_or_default();
        let entries = messages.iter().enumerate().map(|(index, message)| {
            DeleteMessageBatchRequestEntry::builder()
                .id(index.to_string())
                .receipt_handle(message.receipt_handle().unwrap())
                .build()
                .unwrap()
        });
        let entries: Vec<_> = entries.collect();
        if !entries.is_empty() {
            let delete = self.sqs.delete_message_batch().queue_url(queue);
            delete.set_entries(Some(entries)).send().await.unwrap();
        }
        messages
    }

    pub(crate) async fn queue(&self, name: &str) -> String {
        let url = self.sqs.get_queue_url().queue_name(name).send().await.unwrap();
        url.queue_url.unwrap()
    }
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

pub(crate) fn attribute(message: &Message, name: &str) -> String {
    let attribute = message.message_attributes().and_then(|all| all.get(name));
    attribute.and_then(|value| value.string_value()).unwrap_or_default().to_owned()
}

pub(crate) fn record(key: &str, data: Vec<u8>) -> PutRecordsRequestEntry {
    PutRecordsRequestEntry::builder().partition_key(key).data(Blob::new(data)).build().unwrap()
}

/// The event ids in raw messages, each once.
pub(crate) fn ids(messages: &[Message]) -> BTreeSet<u32> {
    messages.iter().map(|message| id(message.body().unwrap())).collect()
}

fn id(json: &str) -> u32 {
    let event: serde_json::Value = serde_json::from_str(json).unwrap();
    event["eventId"].as_str().unwrap().parse().unwrap()
}
