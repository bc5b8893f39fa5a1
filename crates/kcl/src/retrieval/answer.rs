//! The records of an answer to `GetRecords`, read without the SDK.
//!
//! The SDK reads JSON byte by byte and gives each record three allocations: of the CPU time of a consumer that is three
//! quarters at 300 bytes a record, and nine tenths at 25 KB (BENCHMARKS.md). Here ends of strings are looked for many bytes at a
//! time, base64 is decoded where it is to stay, and small records share room. Everything else of the answer is left to the SDK,
//! and the records, too, whenever they are not written as Kinesis writes them.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_sdk_kinesis::config::interceptors::BeforeDeserializationInterceptorContextMut;
use aws_sdk_kinesis::config::{ConfigBag, FrozenLayer, Intercept, RuntimeComponents};
use aws_sdk_kinesis::error::BoxError;
use aws_sdk_kinesis::operation::get_records::GetRecords;
use aws_smithy_runtime_api::client::interceptors::context::{Error, Output};
use aws_smithy_runtime_api::client::orchestrator::{HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::runtime_plugin::RuntimePlugin as _;
use aws_smithy_runtime_api::client::ser_de::{DeserializeResponse, SharedResponseDeserializer};
use base64_simd::{AsOut as _, STANDARD};
use bytes::BytesMut;
use memchr::{memchr, memchr2, memmem};

use crate::checkpoint::{Position, SequenceNumber};
use crate::record::{PartitionKey, Record};

/// How the list of records begins. Within a string, the quotes would be escaped.
const RECORDS: &[u8] = b"\"Records\":[";
/// Room that small records share. They live about as long as each other: the delivery gives room back in parts of this
/// size.
const SHARED_BYTES: usize = 64 << 10;
/// A larger record has room of its own: else a quarter of the shared one might stay empty.
const SHARING_BYTES_MAX: usize = SHARED_BYTES / 4;

/// Takes the records out of an answer before the SDK reads it. For one call at a time.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    records: Arc<Mutex<Option<Vec<Record>>>>,
    /// What the SDK has for the operation, its own reader among it.
    sdk: Option<FrozenLayer>,
}

impl Answer {
    pub(super) fn new() -> Self {
        Self { records: Arc::default(), sdk: GetRecords::new().config() }
    }

    /// The records of the last answer; `None` when the SDK has them.
    pub(super) fn take(&self) -> Option<Vec<Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, records: Option<Vec<Record>>) {
        *self.records.lock().unwrap_or_else(PoisonError::into_inner) = records;
    }
}

impl Intercept for Answer {
    fn name(&self) -> &'static str {
        "Answer"
    }

    fn modify_before_deserialization(
        &self,
        _context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.put(None);
        let has_reader =
            |layer: &&FrozenLayer| layer.load::<SharedResponseDeserializer>().is_some();
        if self.sdk.as_ref().is_some_and(|layer| has_reader(&layer)) {
            config.interceptor_state().store_put(SharedResponseDeserializer::new(self.clone()));
        }
        Ok(())
    }
}

/// Stands before the SDK's own reader.
impl DeserializeResponse for Answer {
    fn deserialize_nonstreaming_with_config(
        &self,
        response: &HttpResponse,
        config: &ConfigBag,
    ) -> Result<Output, OrchestratorError<Error>> {
        let sdk = self.sdk.as_ref().and_then(|layer| layer.load::<SharedResponseDeserializer>());
        let sdk = sdk.ok_or_else(|| OrchestratorError::other("the SDK has no reader"))?;
        let body = response.body().bytes().filter(|_| response.status().is_success());
        let Some((body, (records, span))) = body.and_then(|body| Some((body, records(body)?)))
        else {
            return sdk.deserialize_nonstreaming_with_config(response, config);
        };
        self.put(Some(records));
        let rest = [&body[..span.start], &body[span.end..]].concat();
        let mut without = HttpResponse::new(response.status(), rest.into());
        *without.headers_mut() = response.headers().clone();
        sdk.deserialize_nonstreaming_with_config(&without, config)
    }
}

/// The records of an answer, and where they stand in it. `None` for whatever is not written as Kinesis writes it.
fn records(body: &[u8]) -> Option<(Vec<Record>, Range<usize>)> {
    let start = memmem::find(body, RECORDS)? + RECORDS.len();
    let (mut at, mut records, mut room) = (start, Vec::new(), BytesMut::new());
    while body.get(at)? == &b'{' {
        let (record, end) = record(body, at + 1, &mut room)?;
        records.push(record);
        at = match (body.get(end)?, body.get(end + 1)?) {
            (b',', b'{') => end + 1,
            (b']', _) => end,
            _ => return None,
        };
    }
    (body.get(at)? == &b']').then_some((records, start..at))
}

/// The record whose first member begins at `at`, and where what follows on it begins.
fn record(body: &[u8], mut at: usize, room: &mut BytesMut) -> Option<(Record, usize)> {
    let (mut sequence, mut partition_key, mut data, mut arrived_at) = (None, None, None, None);
    loop {
        let name = string(body, at)?;
        let value = name.end + 2;
        if body.get(value - 1)? != &b':' {
            return None;
        }
        let is_string = body.get(value)? == &b'"';
        let span = if is_string { string(body, value)? } else { literal(body, value)? };
        let text = &body[span.clone()];
        match (&body[name], is_string) {
            (b"SequenceNumber", true) => {
                sequence = Some(SequenceNumber::parse(std::str::from_utf8(text).ok()?).ok()?);
            }
            (b"PartitionKey", true) => partition_key = Some(text),
            (b"Data", true) => data = Some(text),
            (b"ApproximateArrivalTimestamp", false) => arrived_at = Some(time(text)?),
            // What is of another type than it should be, `null`, or no scalar is the SDK's.
            (b"ApproximateArrivalTimestamp", true) | (_, false) => return None,
            (_, true) => {}
        }
        at = span.end + usize::from(is_string);
        match body.get(at)? {
            b',' => at += 1,
            b'}' => break,
            _ => return None,
        }
    }
    let (key, data) = (partition_key.unwrap_or_default(), data?);
    let length = STANDARD.decoded_length(data).ok()?;
    let bytes = key.len() + length;
    let mut own = BytesMut::new();
    let room = if bytes > SHARING_BYTES_MAX {
        own.reserve(bytes);
        &mut own
    } else {
        if room.capacity() < bytes {
            *room = BytesMut::with_capacity(SHARED_BYTES);
        }
        room
    };
    room.extend_from_slice(key);
    let key = room.split().freeze();
    room.resize(length, 0);
    let decoded = STANDARD.decode(data, room.as_out()).ok()?.len();
    room.truncate(decoded);
    let record = Record {
        position: Position { sequence: sequence?, sub_sequence: 0 },
        partition_key: match partition_key {
            Some(_) => Some(PartitionKey::from_utf8(key)?),
            None => None,
        },
        explicit_hash_key: None,
        data: room.split().freeze(),
        arrived_at,
    };
    Some((record, at + 1))
}

/// Where the string lies that begins here, without its quotes. `None` when it holds an escape.
fn string(body: &[u8], at: usize) -> Option<Range<usize>> {
    let start = at + 1;
    let text = body.get(start..).filter(|_| body[at] == b'"')?;
    let end = start + memchr(b'"', text)?;
    memchr(b'\\', &body[start..end]).is_none().then_some(start..end)
}

/// Where the number lies that begins here.
fn literal(body: &[u8], at: usize) -> Option<Range<usize>> {
    let length = memchr2(b',', b'}', body.get(at..)?)?;
    Some(at..at + length)
}

/// Seconds since the Unix epoch, with a fraction.
fn time(text: &[u8]) -> Option<SystemTime> {
    let seconds = std::str::from_utf8(text).ok()?.parse().ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(seconds).ok()?)
}

#[cfg(test)]
mod tests;
