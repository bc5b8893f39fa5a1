//! An event as a row, and rows as a file of Parquet.

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::{ArrayRef, BooleanArray, Int32Array, RecordBatch, TimestampMicrosecondArray};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef, TimeUnit};
use bytes::Bytes;
use event::Event;
use jiff::Timestamp;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use serde_json::Value;

/// The column of ids.
pub(crate) const EVENT_ID: &str = "event_id";
/// The column of the events' own times.
pub(crate) const TIMESTAMP: &str = "timestamp";

/// An event that is to be archived, and its whole text.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) event: Event,
    pub(crate) json: String,
}

impl Row {
    pub(crate) fn of(event: &Event) -> Self {
        Self { json: event.to_json(), event: event.clone() }
    }
}

/// The columns, the same in every file. Times are UTC; `payload`, `experiments` and `event` are JSON.
#[must_use]
pub fn schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    let maybe = |name: &str| Field::new(name, DataType::Utf8, true);
    let time = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    Arc::new(Schema::new(vec![
        text(EVENT_ID),
        text("event_type"),
        text("event_domain"),
        Field::new(TIMESTAMP, time(), false),
        text("correlation_id"),
        maybe("causation_id"),
        maybe("producer"),
        maybe("subject"),
        Field::new("hops", DataType::Int32, false),
        maybe("experiments"),
        Field::new("synthetic", DataType::Boolean, false),
        text("payload"),
        text("event"),
        Field::new("archived_at", time(), false),
    ]))
}

/// Rows as Arrow has them.
pub(crate) fn batch(rows: &[&Row], archived_at: Timestamp) -> Result<RecordBatch, ArrowError> {
    let text = |value: fn(&Row) -> &str| -> ArrayRef {
        let mut column = StringBuilder::new();
        rows.iter().for_each(|row| column.append_value(value(row)));
        Arc::new(column.finish())
    };
    let maybe = |value: fn(&Event) -> Option<String>| -> ArrayRef {
        let mut column = StringBuilder::new();
        rows.iter().for_each(|row| column.append_option(value(&row.event)));
        Arc::new(column.finish())
    };
    let times = |times: Vec<i64>| -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC"))
    };
    let hops = |row: &&Row| i32::try_from(row.event.hops).unwrap_or(i32::MAX);
    let synthetic = rows.iter().map(|row| row.event.synthetic).collect::<Vec<_>>();
    let payload = |event: &Event| Some(event.payload.to_string());
    let columns: Vec<ArrayRef> = vec![
        text(|row| row.event.event_id.as_str()),
        text(|row| &row.event.event_type),
        text(|row| &row.event.event_domain),
        times(rows.iter().map(|row| row.event.timestamp.as_microsecond()).collect()),
        text(|row| row.event.correlation().as_str()),
        maybe(|event| event.causation_id.as_ref().map(|id| id.as_str().to_owned())),
        maybe(|event| event.producer.as_ref().map(|producer| producer.service.clone())),
        maybe(|event| event.subject.clone()),
        Arc::new(rows.iter().map(hops).collect::<Int32Array>()),
        maybe(experiments),
        Arc::new(BooleanArray::from(synthetic)),
        maybe(payload),
        text(|row| &row.json),
        times(vec![archived_at.as_microsecond(); rows.len()]),
    ];
    RecordBatch::try_new(schema(), columns)
}

fn experiments(event: &Event) -> Option<String> {
    let text = |value: &String| Value::String(value.clone());
    let arms = event.experiments.iter().map(|(name, arm)| (name.clone(), text(arm)));
    (!event.experiments.is_empty()).then(|| Value::Object(arms.collect()).to_string())
}

/// A file of rows. Snappy: every reader of Parquet has it, and it needs no C library.
pub(crate) fn encode(batch: &RecordBatch) -> Result<Bytes, ParquetError> {
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut file = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut file, batch.schema(), Some(properties))?;
    writer.write(batch)?;
    writer.close()?;
    Ok(file.into())
}
