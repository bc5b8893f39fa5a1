//! Consumers of enhanced fan-out.

use serde::Deserialize;
use serde_json::{Value, json};

use super::stream::{Consumer, Stream, millis};
use super::{Kinesis, Reply, StreamRef, invalid_argument, parse, resource_in_use, seconds};
use crate::wire::AwsError;

/// Consumers of a stream
/// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_RegisterStreamConsumer.html>).
const CONSUMERS_MAX: usize = 20;

#[derive(Deserialize)]
struct ConsumerRef {
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    #[serde(rename = "ConsumerName")]
    name: Option<String>,
    #[serde(rename = "ConsumerARN")]
    arn: Option<String>,
}

impl Kinesis {
    pub(super) fn register_consumer(&self, body: &[u8]) -> Reply {
        let request: ConsumerRef = parse(body)?;
        let name = request.name.clone();
        let name = name.ok_or_else(|| invalid_argument("ConsumerName is missing."))?;
        self.with_stream(&request.stream(), |stream, now_ms| {
            if stream.consumers.contains_key(&name) {
                let message = format!("Consumer {name} of stream {} already exists.", stream.name);
                return Err(resource_in_use(message));
            }
            if stream.consumers.len() == CONSUMERS_MAX {
                let message = format!("Stream {} has {CONSUMERS_MAX} consumers.", stream.name);
                return Err(AwsError::bad_request("LimitExceededException", message));
            }
            let consumer = Consumer {
                arn: format!("{}/consumer/{name}:{}", stream.arn, now_ms / 1_000),
                name: name.clone(),
                created_ms: now_ms,
                active_from_ms: now_ms + millis(self.0.settings.updating),
                subscriptions: std::collections::BTreeMap::new(),
            };
            // The answer to a registration always says CREATING.
            let mut answer = describe(&consumer, now_ms);
            answer["ConsumerStatus"] = json!("CREATING");
            stream.consumers.insert(name, consumer);
            Ok(json!({ "Consumer": answer }).to_string())
        })
    }

    pub(super) fn deregister_consumer(&self, body: &[u8]) -> Reply {
        let request: ConsumerRef = parse(body)?;
        self.with_stream(&request.stream(), |stream, _| {
            let name = request.find(stream)?.name.clone();
            stream.consumers.remove(&name);
            stream.changed.send_replace(());
            Ok("{}".to_owned())
        })
    }

    pub(super) fn describe_consumer(&self, body: &[u8]) -> Reply {
        let request: ConsumerRef = parse(body)?;
        self.with_stream(&request.stream(), |stream, now_ms| {
            let mut description = describe(request.find(stream)?, now_ms);
            description["StreamARN"] = json!(stream.arn);
            Ok(json!({ "ConsumerDescription": description }).to_string())
        })
    }

    pub(super) fn list_consumers(&self, body: &[u8]) -> Reply {
        let request: ConsumerRef = parse(body)?;
        self.with_stream(&request.stream(), |stream, now_ms| {
            let consumers = stream.consumers.values().map(|consumer| describe(consumer, now_ms));
            Ok(json!({ "Consumers": consumers.collect::<Vec<_>>() }).to_string())
        })
    }
}

impl ConsumerRef {
    fn stream(&self) -> StreamRef {
        stream_of(self.stream_arn.as_deref().or(self.arn.as_deref()).unwrap_or_default())
    }

    fn find<'s>(&self, stream: &'s Stream) -> Result<&'s Consumer, AwsError> {
        let is_meant = |known: &&Consumer| {
            self.arn
                .as_ref()
                .map_or(self.name.as_ref() == Some(&known.name), |arn| *arn == known.arn)
        };
        stream.consumers.values().find(is_meant).ok_or_else(|| {
            let name = self.name.as_ref().or(self.arn.as_ref());
            let message = format!("Consumer {} not found.", name.map_or("", String::as_str));
            AwsError::bad_request("ResourceNotFoundException", message)
        })
    }
}

/// The stream of a stream's or a consumer's ARN: `…:stream/NAME` or `…:stream/NAME/consumer/…`.
pub(super) fn stream_of(arn: &str) -> StreamRef {
    let name = arn.split_once(":stream/").map_or("", |(_, rest)| rest);
    let name = name.split('/').next().unwrap_or_default();
    StreamRef { stream_name: Some(name.to_owned()), stream_arn: None }
}

fn describe(consumer: &Consumer, now_ms: u64) -> Value {
    let status = if now_ms < consumer.active_from_ms { "CREATING" } else { "ACTIVE" };
    json!({
        "ConsumerName": consumer.name,
        "ConsumerARN": consumer.arn,
        "ConsumerStatus": status,
        "ConsumerCreationTimestamp": seconds(consumer.created_ms),
    })
}
