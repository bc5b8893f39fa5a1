//! Settings of a stream: retention, record size, capacity mode, encryption.

use serde::Deserialize;

use super::error::{invalid_argument, parse, validation, within};
use super::stream::Stream;
use super::{Kinesis, Reply, StreamRef};
use crate::wire::AwsError;

const RETENTION_MIN_H: u32 = 24;
const RETENTION_MAX_H: u32 = 8_760;
const RECORD_MIN_KIB: usize = 1_024;
const RECORD_MAX_KIB: usize = 10_240;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Retention {
    #[serde(flatten)]
    stream: StreamRef,
    retention_period_hours: u32,
}

#[derive(Deserialize)]
struct RecordSize {
    #[serde(flatten)]
    stream: StreamRef,
    #[serde(rename = "MaxRecordSizeInKiB")]
    kib: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Mode {
    #[serde(flatten)]
    stream: StreamRef,
    stream_mode_details: ModeDetails,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ModeDetails {
    stream_mode: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Encryption {
    #[serde(flatten)]
    stream: StreamRef,
    encryption_type: String,
    key_id: String,
}

impl Kinesis {
    /// Longer retention if `up`, shorter otherwise
    /// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_IncreaseStreamRetentionPeriod.html>).
    pub(super) fn change_retention(&self, body: &[u8], up: bool) -> Reply {
        let Retention { stream, retention_period_hours: hours } = parse(body)?;
        self.configure(&stream, |stream| {
            let current = stream.retention_h;
            let wrong = match hours {
                _ if hours < RETENTION_MIN_H => Some("below the minimum of 24 hours".to_owned()),
                _ if hours > RETENTION_MAX_H => Some("above the maximum of 8760 hours".to_owned()),
                _ if up && hours < current => {
                    Some(format!("shorter than the current {current} hours"))
                }
                _ if !up && hours > current => {
                    Some(format!("longer than the current {current} hours"))
                }
                _ => None,
            };
            if let Some(wrong) = wrong {
                let title = stream.title();
                return Err(invalid_argument(format!(
                    "Requested retention period ({hours} hours) for stream {title} is {wrong}."
                )));
            }
            stream.retention_h = hours;
            Ok(())
        })
    }

    pub(super) fn update_max_record_size(&self, body: &[u8]) -> Reply {
        let request: RecordSize = parse(body)?;
        let bytes = record_bytes(request.kib)?;
        self.configure(&request.stream, |stream| {
            stream.record_bytes_max = bytes;
            Ok(())
        })
    }

    pub(super) fn update_stream_mode(&self, body: &[u8]) -> Reply {
        let request: Mode = parse(body)?;
        let on_demand = request.stream_mode_details.on_demand()?;
        self.configure(&request.stream, |stream| {
            stream.on_demand = on_demand;
            Ok(())
        })
    }

    pub(super) fn start_stream_encryption(&self, body: &[u8]) -> Reply {
        let Encryption { stream, encryption_type, key_id } = parse(body)?;
        check_kms(&encryption_type)?;
        self.configure(&stream, |stream| {
            stream.encryption_key = Some(key_id);
            Ok(())
        })
    }

    pub(super) fn stop_stream_encryption(&self, body: &[u8]) -> Reply {
        let Encryption { stream, encryption_type, .. } = parse(body)?;
        check_kms(&encryption_type)?;
        self.configure(&stream, |stream| {
            stream.encryption_key = None;
            Ok(())
        })
    }

    /// Does `act`; the stream is UPDATING afterwards, unless `act` was refused.
    fn configure(
        &self,
        named: &StreamRef,
        act: impl FnOnce(&mut Stream) -> Result<(), AwsError>,
    ) -> Reply {
        self.with_stream(named, |stream, now_ms| {
            stream.check_active(now_ms)?;
            act(stream)?;
            stream.update(now_ms, self.0.settings.updating);
            Ok("{}".to_owned())
        })
    }
}

impl ModeDetails {
    pub(super) fn on_demand(&self) -> Result<bool, AwsError> {
        match self.stream_mode.as_str() {
            "ON_DEMAND" => Ok(true),
            "PROVISIONED" => Ok(false),
            other => {
                let constraint = "Member must satisfy enum value set: [PROVISIONED, ON_DEMAND]";
                Err(validation("streamModeDetails.streamMode", other, constraint))
            }
        }
    }
}

/// The bytes of a largest record that is given in KiB
/// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_UpdateMaxRecordSize.html>).
pub(super) fn record_bytes(kib: i64) -> Result<usize, AwsError> {
    Ok(within("maxRecordSizeInKiB", kib, RECORD_MIN_KIB, RECORD_MAX_KIB)? << 10)
}

fn check_kms(encryption_type: &str) -> Result<(), AwsError> {
    if encryption_type == "KMS" {
        return Ok(());
    }
    Err(invalid_argument(format!("EncryptionType must be KMS, not {encryption_type}.")))
}
