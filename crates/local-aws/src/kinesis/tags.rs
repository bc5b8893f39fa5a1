//! Tags of a stream, by the older operations on streams and the newer ones on resources.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use super::error::{invalid_argument, not_served, parse, reply, within};
use super::stream::Stream;
use super::{Kinesis, Reply, StreamRef};
use crate::wire::AwsError;

/// Tags of a stream, which is also a page of them
/// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_ListTagsForStream.html>).
const TAGS_MAX: usize = 50;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tagging {
    #[serde(flatten)]
    stream: StreamRef,
    #[serde(rename = "ResourceARN")]
    resource_arn: Option<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    tag_keys: Vec<String>,
    exclusive_start_tag_key: Option<String>,
    limit: Option<i64>,
}

impl Tagging {
    /// What a request on a resource tags: a stream.
    fn of_resource(body: &[u8]) -> Result<Self, AwsError> {
        let mut tagging: Self = parse(body)?;
        let arn = tagging.resource_arn.take().unwrap_or_default();
        if arn.contains("/consumer/") {
            return Err(not_served("tags of consumers"));
        }
        tagging.stream = StreamRef::of_arn(&arn);
        Ok(tagging)
    }
}

impl Kinesis {
    pub(super) fn add_tags(&self, body: &[u8]) -> Reply {
        self.tag(parse(body)?)
    }

    pub(super) fn remove_tags(&self, body: &[u8]) -> Reply {
        self.untag(&parse(body)?)
    }

    pub(super) fn list_tags(&self, body: &[u8]) -> Reply {
        let request: Tagging = parse(body)?;
        let limit = request.limit;
        let limit = limit.map_or(Ok(TAGS_MAX), |limit| within("limit", limit, 1, TAGS_MAX))?;
        let after = request.exclusive_start_tag_key;
        self.with_stream(&request.stream, |stream, _| {
            let mut tags = tags(stream);
            tags.retain(|(key, _)| after.as_ref().is_none_or(|after| *key > after));
            let more = tags.len() > limit;
            reply(&json!({ "Tags": listed(&tags[..tags.len().min(limit)]), "HasMoreTags": more }))
        })
    }

    pub(super) fn tag_resource(&self, body: &[u8]) -> Reply {
        self.tag(Tagging::of_resource(body)?)
    }

    pub(super) fn untag_resource(&self, body: &[u8]) -> Reply {
        self.untag(&Tagging::of_resource(body)?)
    }

    pub(super) fn list_tags_for_resource(&self, body: &[u8]) -> Reply {
        let request = Tagging::of_resource(body)?;
        self.with_stream(&request.stream, |stream, _| {
            reply(&json!({ "Tags": listed(&tags(stream)) }))
        })
    }

    fn tag(&self, request: Tagging) -> Reply {
        self.with_stream(&request.stream, |stream, _| {
            let new = request.tags.keys().filter(|key| !stream.tags.contains_key(*key)).count();
            if stream.tags.len() + new > TAGS_MAX {
                let title = stream.title();
                let message = format!("Stream {title} would have more than {TAGS_MAX} tags.");
                return Err(invalid_argument(message));
            }
            stream.tags.extend(request.tags);
            Ok("{}".to_owned())
        })
    }

    fn untag(&self, request: &Tagging) -> Reply {
        self.with_stream(&request.stream, |stream, _| {
            stream.tags.retain(|key, _| !request.tag_keys.contains(key));
            Ok("{}".to_owned())
        })
    }
}

fn tags(stream: &Stream) -> Vec<(&String, &String)> {
    stream.tags.iter().collect()
}

fn listed(tags: &[(&String, &String)]) -> Vec<serde_json::Value> {
    tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect()
}
