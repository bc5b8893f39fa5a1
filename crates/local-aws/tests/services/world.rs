//! The AWS that a test talks to.

use std::time::Duration;

use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, QueueAttributeName};
use aws_smithy_http_client::Builder as HttpClient;
use aws_types::SdkConfig;
use local_aws::LocalAws;

/// Long enough for a message that was delivered before the call, wherever the queue is.
const WAIT_SECONDS: i32 = 1;

/// One test's AWS: embedded, but for the services that the environment points elsewhere.
pub(crate) struct World {
    pub(crate) aws: LocalAws,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { aws: LocalAws::new() }
    }

    pub(crate) fn sqs(&self) -> aws_sdk_sqs::Client {
        aws_sdk_sqs::Client::new(&self.config("AWS_ENDPOINT_URL_SQS"))
    }

    pub(crate) fn sns(&self) -> aws_sdk_sns::Client {
        aws_sdk_sns::Client::new(&self.config("AWS_ENDPOINT_URL_SNS"))
    }

    pub(crate) fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        aws_sdk_dynamodb::Client::new(&self.config("AWS_ENDPOINT_URL_DYNAMODB"))
    }

    /// Lets `time` pass for the queues: at once if they are embedded.
    pub(crate) async fn pass(&self, time: Duration) {
        match endpoint("AWS_ENDPOINT_URL_SQS") {
            Some(_) => tokio::time::sleep(time).await,
            None => self.aws.clock().advance(time),
        }
    }

    /// Whether SNS has dropped this many deliveries, as far as it can be asked.
    pub(crate) fn dropped(&self, count: u64) -> bool {
        endpoint("AWS_ENDPOINT_URL_SNS").is_some() || self.aws.sns_undeliverable() == count
    }

    fn config(&self, variable: &str) -> SdkConfig {
        let config = self.aws.sdk_config();
        match endpoint(variable) {
            Some(url) => over_socket(&config, &url),
            None => config,
        }
    }

    /// A queue with a name of its own and these attributes; its URL and its ARN.
    pub(crate) async fn queue(
        &self,
        attributes: &[(QueueAttributeName, &str)],
    ) -> (String, String) {
        let fifo = attributes.iter().any(|(name, _)| *name == QueueAttributeName::FifoQueue);
        let mut create = self.sqs().create_queue().queue_name(name("q", fifo));
        for (name, value) in attributes {
            create = create.attributes(name.clone(), *value);
        }
        let url = create.send().await.unwrap().queue_url.unwrap();
        let arn = self.attribute(&url, QueueAttributeName::QueueArn).await;
        (url, arn)
    }

    pub(crate) async fn attribute(&self, url: &str, name: QueueAttributeName) -> String {
        let asked = self.sqs().get_queue_attributes().queue_url(url).attribute_names(name.clone());
        asked.send().await.unwrap().attributes.unwrap().remove(&name).unwrap()
    }

    pub(crate) async fn send(&self, url: &str, body: &str) {
        self.sqs().send_message().queue_url(url).message_body(body).send().await.unwrap();
    }

    /// Up to ten messages, with all attributes.
    pub(crate) async fn receive(&self, url: &str) -> Vec<Message> {
        let receive = self.sqs().receive_message().queue_url(url).max_number_of_messages(10);
        let receive = receive
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::All);
        receive.send().await.unwrap().messages.unwrap_or_default()
    }

    /// The bodies of up to ten messages that are there or on their way.
    pub(crate) async fn bodies(&self, url: &str) -> Vec<String> {
        let receive = self.sqs().receive_message().queue_url(url).max_number_of_messages(10);
        let answer = receive.wait_time_seconds(WAIT_SECONDS).send().await.unwrap();
        answer.messages.unwrap_or_default().into_iter().map(|m| m.body.unwrap()).collect()
    }
}

/// A name that no other test uses.
pub(crate) fn name(base: &str, fifo: bool) -> String {
    let suffix = if fifo { ".fifo" } else { "" };
    format!("{base}-{:016x}{suffix}", fastrand::u64(..))
}

/// The same configuration with a real HTTP client.
pub(crate) fn over_socket(config: &SdkConfig, url: &str) -> SdkConfig {
    config.to_builder().http_client(HttpClient::new().build_http()).endpoint_url(url).build()
}

#[expect(clippy::disallowed_methods, reason = "tests have no configuration but this")]
fn endpoint(variable: &str) -> Option<String> {
    std::env::var(variable).ok()
}
