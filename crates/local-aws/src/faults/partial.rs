//! Batches of which some entries fail: taken out before the service sees them, reported as it reports them.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::Service;
use crate::service::form;

const MESSAGE: &str = "scripted fault";

/// A batch without the entries that fail.
pub(crate) struct Cut {
    /// What the service is asked, `None` when no entry is left.
    pub(crate) body: Option<Bytes>,
    kind: Kind,
    code: String,
}

enum Kind {
    /// Kinesis answers by place: the indexes that failed.
    Places(Vec<usize>),
    /// SQS answers by id.
    Ids(Vec<Value>),
    /// SNS answers by id, in XML.
    XmlIds(Vec<String>),
    /// DynamoDB gives back what it did not write, by table.
    Unwritten(Map<String, Value>),
}

/// Takes the entries at `indexes` out of a batch. `None` when the request is no batch.
pub(crate) fn cut(service: Service, body: &Bytes, indexes: &[usize], code: &str) -> Option<Cut> {
    let code = code.to_owned();
    if service == Service::Sns {
        let (body, ids) = cut_form(body, indexes);
        return Some(Cut { body, kind: Kind::XmlIds(ids), code });
    }
    let mut request: Value = serde_json::from_slice(body).ok()?;
    if service == Service::DynamoDb {
        let (left, unwritten) =
            cut_writes(request.get_mut("RequestItems")?.as_object_mut()?, indexes);
        let body = left.then(|| Bytes::from(request.to_string()));
        return Some(Cut { body, kind: Kind::Unwritten(unwritten), code });
    }
    let list = if service == Service::Kinesis { "Records" } else { "Entries" };
    let entries = request.get_mut(list)?.as_array_mut()?;
    let mut index = 0;
    let (mut places, mut ids) = (Vec::new(), Vec::new());
    entries.retain(|entry| {
        let fails = indexes.contains(&index);
        if fails {
            places.push(index);
            ids.push(entry["Id"].clone());
        }
        index += 1;
        !fails
    });
    let body = (!entries.is_empty()).then(|| Bytes::from(request.to_string()));
    let kind = if service == Service::Kinesis { Kind::Places(places) } else { Kind::Ids(ids) };
    Some(Cut { body, kind, code })
}

/// Takes writes out, counted over all tables in their order. Whether any are left, and those that were taken.
fn cut_writes(tables: &mut Map<String, Value>, indexes: &[usize]) -> (bool, Map<String, Value>) {
    let (mut index, mut unwritten) = (0, Map::new());
    for (table, writes) in tables.iter_mut() {
        let Some(writes) = writes.as_array_mut() else { continue };
        let (cut, kept): (Vec<_>, Vec<_>) = std::mem::take(writes).into_iter().partition(|_| {
            index += 1;
            indexes.contains(&(index - 1))
        });
        *writes = kept;
        if !cut.is_empty() {
            unwritten.insert(table.clone(), Value::Array(cut));
        }
    }
    tables.retain(|_, writes| writes.as_array().is_none_or(|writes| !writes.is_empty()));
    (!tables.is_empty(), unwritten)
}

fn cut_form(body: &[u8], indexes: &[usize]) -> (Option<Bytes>, Vec<String>) {
    const MEMBER: &str = "PublishBatchRequestEntries.member.";
    let (mut ids, mut left) = (Vec::new(), false);
    let mut kept = form_urlencoded::Serializer::new(String::new());
    for (name, value) in form(body) {
        let member = name.strip_prefix(MEMBER).and_then(|rest| rest.split_once('.'));
        let index = member.and_then(|(number, _)| number.parse::<usize>().ok());
        let fails = index.is_some_and(|number| indexes.contains(&(number - 1)));
        if fails && member.is_some_and(|(_, field)| field == "Id") {
            ids.push(value.clone());
        }
        if !fails {
            left |= index.is_some();
            kept.append_pair(&name, &value);
        }
    }
    (left.then(|| Bytes::from(kept.finish())), ids)
}

impl Cut {
    /// The service's answer with the failed entries in it. `None` stands for the answer to an empty batch.
    pub(crate) fn rejoin(self, answer: Option<&[u8]>) -> Bytes {
        match &self.kind {
            Kind::Places(places) => self.rejoin_records(places, answer),
            Kind::Ids(ids) => self.rejoin_entries(ids, answer),
            Kind::XmlIds(ids) => self.rejoin_xml(ids, answer),
            Kind::Unwritten(tables) => rejoin_writes(tables, answer),
        }
    }

    fn rejoin_records(&self, places: &[usize], answer: Option<&[u8]>) -> Bytes {
        let mut answer = parse(answer, || json!({ "FailedRecordCount": 0, "Records": [] }));
        if let Some(records) = answer["Records"].as_array_mut() {
            for &place in places {
                let failed = json!({ "ErrorCode": self.code, "ErrorMessage": MESSAGE });
                records.insert(place.min(records.len()), failed);
            }
        }
        let failed = answer["FailedRecordCount"].as_u64().unwrap_or_default();
        answer["FailedRecordCount"] = json!(failed + places.len() as u64);
        Bytes::from(answer.to_string())
    }

    fn rejoin_entries(&self, ids: &[Value], answer: Option<&[u8]>) -> Bytes {
        let mut answer = parse(answer, || json!({ "Successful": [] }));
        let mut failed = answer["Failed"].as_array().cloned().unwrap_or_default();
        failed.extend(ids.iter().map(
            |id| json!({ "Id": id, "Code": self.code, "Message": MESSAGE, "SenderFault": false }),
        ));
        answer["Failed"] = Value::Array(failed);
        Bytes::from(answer.to_string())
    }

    fn rejoin_xml(&self, ids: &[String], answer: Option<&[u8]>) -> Bytes {
        const EMPTY: &str = "<PublishBatchResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><PublishBatchResult><Successful/><Failed></Failed></PublishBatchResult></PublishBatchResponse>";
        let answer = answer.map_or(EMPTY.into(), String::from_utf8_lossy);
        let failed = ids.iter().map(|id| {
            let (id, code) = (crate::wire::escape(id), crate::wire::escape(&self.code));
            format!("<member><Id>{id}</Id><Code>{code}</Code><Message>{MESSAGE}</Message><SenderFault>false</SenderFault></member>")
        });
        let failed: String = failed.collect();
        Bytes::from(answer.replacen("</Failed>", &format!("{failed}</Failed>"), 1))
    }
}

fn rejoin_writes(unwritten: &Map<String, Value>, answer: Option<&[u8]>) -> Bytes {
    let mut answer = parse(answer, || json!({}));
    let mut tables = answer["UnprocessedItems"].as_object().cloned().unwrap_or_default();
    for (table, writes) in unwritten {
        let all = tables.entry(table.clone()).or_insert_with(|| json!([]));
        if let (Some(all), Some(writes)) = (all.as_array_mut(), writes.as_array()) {
            all.extend_from_slice(writes);
        }
    }
    answer["UnprocessedItems"] = Value::Object(tables);
    Bytes::from(answer.to_string())
}

fn parse(answer: Option<&[u8]>, empty: impl Fn() -> Value) -> Value {
    answer.and_then(|answer| serde_json::from_slice(answer).ok()).unwrap_or_else(empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_that_are_not_done_come_back_by_table() {
        let body = Bytes::from(r#"{"RequestItems":{"a":[1,2],"b":[3,4]}}"#);
        let cut = cut(Service::DynamoDb, &body, &[1, 2, 3], "").unwrap();
        let asked: Value = serde_json::from_slice(cut.body.as_ref().unwrap()).unwrap();
        assert_eq!(asked["RequestItems"], json!({"a": [1]}));
        let answer = cut.rejoin(Some(br#"{"UnprocessedItems":{"a":[1]}}"#));
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!(answer["UnprocessedItems"], json!({"a": [1, 2], "b": [3, 4]}));
    }

    #[test]
    fn failed_records_come_back_at_their_places() {
        let body =
            Bytes::from(r#"{"StreamName":"s","Records":[{"Data":"a"},{"Data":"b"},{"Data":"c"}]}"#);
        let cut = cut(Service::Kinesis, &body, &[0, 2], "InternalFailure").unwrap();
        let asked: Value = serde_json::from_slice(cut.body.as_ref().unwrap()).unwrap();
        assert_eq!(asked["Records"], json!([{ "Data": "b" }]));
        let answer = cut.rejoin(Some(br#"{"FailedRecordCount":0,"Records":[{"ShardId":"x"}]}"#));
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!(answer["FailedRecordCount"], 2);
        assert_eq!(answer["Records"][0]["ErrorCode"], "InternalFailure");
        assert_eq!(answer["Records"][1]["ShardId"], "x");
        assert_eq!(answer["Records"][2]["ErrorCode"], "InternalFailure");
    }

    #[test]
    fn a_batch_that_fails_whole_is_not_asked_at_all() {
        let body = Bytes::from(r#"{"Entries":[{"Id":"a"}]}"#);
        let cut = cut(Service::Sqs, &body, &[0], "InternalError").unwrap();
        assert_eq!(cut.body, None);
        let answer: Value = serde_json::from_slice(&cut.rejoin(None)).unwrap();
        assert_eq!(answer["Failed"][0]["Id"], "a");
        assert_eq!(answer["Failed"][0]["SenderFault"], false);
    }
}
