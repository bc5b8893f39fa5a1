//! The lease table as the simulator sees it: each row before and after each write that was ever made to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_smithy_runtime_api::client::http::{HttpConnector as _, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use serde_json::{Value, json};

use crate::history::{Mark, Place, Row, What};
use crate::life::Life;

/// Name of the lease table.
pub(crate) const LEASES: &str = "leases";

/// The rows as they are now. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Table(Arc<Mutex<BTreeMap<String, Row>>>);

impl Table {
    /// Reads the row of `shard` after a write by `life`, and writes down the change.
    pub(crate) async fn look(
        &self,
        way: &SharedHttpConnector,
        life: &Life,
        shard: &str,
        sent_ms: u64,
    ) -> Result<(), ConnectorError> {
        let after = row(way, shard).await?;
        let before = {
            let mut rows = self.lock();
            match after.clone() {
                Some(row) => rows.insert(shard.to_owned(), row),
                None => rows.remove(shard),
            }
        };
        let (who, shard) = (life.who, shard.to_owned());
        life.record(What::Row { who, shard, before, after, sent_ms });
        Ok(())
    }

    pub(crate) fn rows(&self) -> BTreeMap<String, Row> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Row>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keys of the rows of the lease table that a request writes.
pub(crate) fn written(operation: &str, body: &[u8]) -> BTreeSet<String> {
    if !matches!(operation, "UpdateItem" | "PutItem" | "DeleteItem" | "TransactWriteItems") {
        return BTreeSet::new();
    }
    let Ok(request) = serde_json::from_slice::<Value>(body) else { return BTreeSet::new() };
    let key = |write: &Value| {
        let place = write.get("Key").or_else(|| write.get("Item"))?;
        let of_leases = write["TableName"] == LEASES;
        of_leases.then(|| place["leaseKey"]["S"].as_str().map(str::to_owned))?
    };
    let several = request["TransactItems"].as_array().into_iter().flatten();
    let several = several.filter_map(Value::as_object).flat_map(serde_json::Map::values);
    std::iter::once(&request).chain(several).filter_map(key).collect()
}

async fn row(way: &SharedHttpConnector, shard: &str) -> Result<Option<Row>, ConnectorError> {
    let user = |error: Box<dyn std::error::Error + Send + Sync>| ConnectorError::user(error);
    let body = json!({
        "TableName": LEASES, "Key": { "leaseKey": { "S": shard } }, "ConsistentRead": true,
    });
    let request = http::Request::post("http://services/")
        .header("x-amz-target", "DynamoDB_20120810.GetItem")
        .body(SdkBody::from(body.to_string()))
        .map_err(|error| user(error.into()))?;
    let request = HttpRequest::try_from(request).map_err(|error| user(error.into()))?;
    let reply = way.call(request).await?;
    let body = ByteStream::new(reply.into_body()).collect().await.map_err(|e| user(e.into()))?;
    let reply: Value =
        serde_json::from_slice(&body.into_bytes()).map_err(|error| user(error.into()))?;
    Ok(decode(&reply["Item"]))
}

/// Reads a row. `None` for one that is no lease, or not there.
fn decode(item: &Value) -> Option<Row> {
    let text = |name: &str| item[name]["S"].as_str().map(str::to_owned);
    let number = |name: &str| item[name]["N"].as_str().and_then(|n| n.parse::<u64>().ok());
    let set = |name: &str| -> BTreeSet<String> {
        let members = item[name]["SS"].as_array().into_iter().flatten();
        members.filter_map(|member| member.as_str().map(str::to_owned)).collect()
    };
    let checkpoint = text("checkpoint")?;
    let mark = match checkpoint.as_str() {
        "TRIM_HORIZON" | "LATEST" | "AT_TIMESTAMP" => Mark::Start,
        "SHARD_END" => Mark::End,
        at => Mark::At(Place::new(at, number("checkpointSubSequenceNumber").unwrap_or_default())),
    };
    Some(Row {
        owner: text("leaseOwner"),
        checkpoint_owner: text("checkpointOwner"),
        counter: number("leaseCounter")?,
        mark,
        parents: set("parentShardId"),
        children: set("childShardIds"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_seen_alone_and_within_a_transaction() {
        let update = br#"{"TableName":"leases","Key":{"leaseKey":{"S":"a"}}}"#;
        assert_eq!(written("UpdateItem", update), ["a".to_owned()].into());
        assert!(written("GetItem", update).is_empty());
        let several = br#"{"TransactItems":[
            {"Put":{"TableName":"leases","Item":{"leaseKey":{"S":"a"}}}},
            {"Update":{"TableName":"other","Key":{"leaseKey":{"S":"b"}}}},
            {"Delete":{"TableName":"leases","Key":{"leaseKey":{"S":"c"}}}}]}"#;
        assert_eq!(written("TransactWriteItems", several), ["a".to_owned(), "c".to_owned()].into());
    }

    #[test]
    fn a_row_is_read_and_other_entities_are_not() {
        let item = json!({
            "leaseKey": { "S": "shardId-0" }, "leaseOwner": { "S": "a" },
            "leaseCounter": { "N": "7" }, "checkpoint": { "S": "42" },
            "checkpointSubSequenceNumber": { "N": "3" }, "parentShardId": { "SS": ["p"] },
        });
        let row = decode(&item).unwrap();
        assert_eq!((row.holder(), row.counter), (Some("a"), 7));
        assert_eq!(row.mark, Mark::At(Place::new("42", 3)));
        assert_eq!(row.parents, ["p".to_owned()].into());
        assert_eq!(decode(&json!({ "leaseKey": { "S": "leader" } })), None);
        assert_eq!(decode(&Value::Null), None);
    }
}
