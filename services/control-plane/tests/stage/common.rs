//! A control plane on an AWS of its own.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_sqs::types::{Message, QueueAttributeName};
use chassis::{Embedded, Kit, embed};
use control_plane::{Config, ControlPlane};
use local_aws::LocalAws;
use tokio_util::sync::CancellationToken;

/// Far longer, in virtual time, than anything here should take.
const PATIENCE: Duration = Duration::from_secs(300);

pub(crate) struct World {
    pub(crate) aws: LocalAws,
    pub(crate) kinesis: aws_sdk_kinesis::Client,
    pub(crate) sns: aws_sdk_sns::Client,
    pub(crate) sqs: aws_sdk_sqs::Client,
    pub(crate) dynamodb: aws_sdk_dynamodb::Client,
    pub(crate) kit: Kit,
    stop: CancellationToken,
    embedded: Option<Embedded>,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(Config::default()).await
    }

    pub(crate) async fn with(config: Config) -> Self {
        let aws = LocalAws::new();
        let sdk = aws.sdk_config();
        let kinesis = aws_sdk_kinesis::Client::new(&sdk);
        for stream in ["Control-dev", "Rapids-dev"] {
            kinesis.create_stream().stream_name(stream).shard_count(1).send().await.unwrap();
        }
        let kit = Kit::new("control-plane", sdk.clone());
        let config = Config { renewal_thread: false, ..config };
        let stop = CancellationToken::new();
        let embedded = embed::<ControlPlane>(kit.clone(), config, None, stop.clone()).await;
        let embedded = embedded.unwrap();
        assert!(embedded.readiness().ready().await);
        Self {
            aws,
            kinesis,
            sns: aws_sdk_sns::Client::new(&sdk),
            sqs: aws_sdk_sqs::Client::new(&sdk),
            dynamodb: aws_sdk_dynamodb::Client::new(&sdk),
            kit,
            stop,
            embedded: Some(embedded),
        }
    }

    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        self.embedded.take().unwrap().join().await.unwrap();
    }

    pub(crate) async fn put(&self, data: impl Into<Vec<u8>>) {
        let put = self.kinesis.put_record().stream_name("Control-dev").partition_key("r1");
        put.data(Blob::new(data)).send().await.unwrap();
    }

    pub(crate) async fn command(&self, command: &str, river: &str, topic: &str) {
        let arguments = format!(r#"{{"river":"{river}","topic":"{topic}"}}"#);
        self.put(format!(r#"{{"command":"{command}","commandArgs":{arguments}}}"#)).await;
    }

    pub(crate) async fn route(&self, river: &str, routing: &str) {
        let arguments = format!(r#"{{"river":"{river}","routing":"{routing}"}}"#);
        self.put(format!(r#"{{"command":"route","commandArgs":{arguments}}}"#)).await;
    }

    pub(crate) async fn until_active(&self, river: &str, topic: &str) {
        let what = format!("{topic} is active in {river}");
        let active = async || self.status(river, topic).await.as_deref() == Some("active");
        until(&what, active).await;
    }

    /// What the table says of a river.
    pub(crate) async fn river(&self, river: &str) -> HashMap<String, String> {
        let row = self.dynamodb.get_item().table_name("Rivers-dev").consistent_read(true);
        let row = row.key("River", AttributeValue::S(river.to_owned())).send().await.unwrap();
        let text =
            |(name, value): (String, AttributeValue)| Some((name, value.as_s().ok()?.clone()));
        row.item.unwrap_or_default().into_iter().filter_map(text).collect()
    }

    /// Waits until everything put so far is settled: a topic advertised last is listed.
    pub(crate) async fn settled(&self) {
        let marker = format!("marker-{}", self.kinesis_calls());
        self.put(format!(r#"{{"command":"advertise","commandArgs":{{"topic":"{marker}"}}}}"#))
            .await;
        let listed = async || {
            let row = self.dynamodb.get_item().table_name("Topics-dev");
            let row = row.key("Topic", AttributeValue::S(marker.clone())).consistent_read(true);
            row.send().await.unwrap().item.is_some()
        };
        until("the commands are settled", listed).await;
    }

    fn kinesis_calls(&self) -> u64 {
        self.aws.calls(local_aws::Service::Kinesis, "PutRecord")
    }

    pub(crate) async fn row(&self, river: &str, topic: &str) -> Option<HashMap<String, String>> {
        let row = self.dynamodb.get_item().table_name("Subscriptions-dev").consistent_read(true);
        let row = row.key("Subscriber", AttributeValue::S(river.to_owned()));
        let row = row.key("Topic", AttributeValue::S(topic.to_owned())).send().await.unwrap();
        let text = |(name, value): (String, AttributeValue)| (name, value.as_s().unwrap().clone());
        row.item.map(|row| row.into_iter().map(text).collect())
    }

    pub(crate) async fn status(&self, river: &str, topic: &str) -> Option<String> {
        self.row(river, topic).await.map(|row| row["Status"].clone())
    }

    pub(crate) async fn queue(&self, name: &str) -> Option<HashMap<QueueAttributeName, String>> {
        let url = self.sqs.get_queue_url().queue_name(name).send().await.ok()?.queue_url.unwrap();
        let attributes = self.sqs.get_queue_attributes().queue_url(url);
        let attributes = attributes.attribute_names(QueueAttributeName::All).send().await.unwrap();
        attributes.attributes
    }

    pub(crate) async fn subscriptions(&self) -> Vec<HashMap<String, String>> {
        let topic = self.sns.create_topic().name("Rapids-dev").send().await.unwrap();
        let listed = self.sns.list_subscriptions_by_topic().topic_arn(topic.topic_arn.unwrap());
        let mut subscriptions = Vec::new();
        for subscription in listed.send().await.unwrap().subscriptions.unwrap_or_default() {
            let arn = subscription.subscription_arn.unwrap();
            let found = self.sns.get_subscription_attributes().subscription_arn(arn).send().await;
            subscriptions.push(found.unwrap().attributes.unwrap());
        }
        subscriptions
    }

    pub(crate) async fn receive(&self, queue: &str) -> Vec<Message> {
        let url = self.sqs.get_queue_url().queue_name(queue).send().await.unwrap().queue_url;
        let receive = self.sqs.receive_message().queue_url(url.unwrap());
        let receive = receive.max_number_of_messages(10).message_attribute_names("All");
        receive.send().await.unwrap().messages.unwrap_or_default()
    }

    pub(crate) fn metrics(&self) -> String {
        prometheus::TextEncoder::new().encode_to_string(&self.kit.registry().gather()).unwrap()
    }
}

pub(crate) fn attribute<'a>(message: &'a Message, name: &str) -> &'a str {
    message.message_attributes.as_ref().unwrap()[name].string_value.as_deref().unwrap()
}

/// What does not come soon is looked for less often: looking is what a test spends its time with.
const LOOK_LEAST: Duration = Duration::from_millis(20);
const LOOK_MOST: Duration = Duration::from_millis(1_280);

pub(crate) async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let arrives = async {
        let mut pause = LOOK_LEAST;
        while !condition().await {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LOOK_MOST);
        }
    };
    assert!(tokio::time::timeout(PATIENCE, arrives).await.is_ok(), "in vain: {what}");
}
