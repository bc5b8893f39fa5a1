//! Iterators and page tokens: opaque to clients, and of limited life.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::error::invalid_argument;
use super::stream::millis;
use crate::wire::AwsError;

/// A place in a shard, and when it was given out.
#[derive(Serialize, Deserialize)]
pub(super) struct Iterator {
    pub(super) stream: String,
    /// Tells a stream from an earlier one of the same name.
    pub(super) generation: u64,
    pub(super) shard: String,
    /// Lowest counter to return.
    pub(super) from: u64,
    pub(super) issued_ms: u64,
}

/// The rest of a list of shards or consumers of a stream.
#[derive(Serialize, Deserialize)]
pub(super) struct Page {
    pub(super) stream: String,
    /// Last shard or consumer of the page before.
    pub(super) after: String,
    pub(super) filter: Option<serde_json::Value>,
    pub(super) issued_ms: u64,
}

impl Page {
    /// Reads a page token that came at `now_ms`.
    ///
    /// # Errors
    /// When it is none, or older than `lifetime`.
    pub(super) fn read(text: &str, now_ms: u64, lifetime: Duration) -> Result<Self, AwsError> {
        let page: Self = decode(text).ok_or_else(|| invalid_argument("Invalid NextToken."))?;
        if now_ms.saturating_sub(page.issued_ms) > millis(lifetime) {
            let message = "The pagination token passed to the operation is expired.";
            return Err(AwsError::bad_request("ExpiredNextTokenException", message));
        }
        Ok(page)
    }
}

/// As text. A checksum makes garbage and truncation recognisable.
pub(super) fn encode(token: &impl Serialize) -> String {
    // Strings and numbers: nothing here can fail to be written.
    let json = serde_json::to_string(token).unwrap_or_default();
    URL_SAFE_NO_PAD.encode(format!("{:08x}{json}", checksum(json.as_bytes())))
}

/// From text, `None` when it was not made by [`encode`].
pub(super) fn decode<T: DeserializeOwned>(text: &str) -> Option<T> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (sum, json) = bytes.split_at_checked(8)?;
    let sum = u32::from_str_radix(std::str::from_utf8(sum).ok()?, 16).ok()?;
    (sum == checksum(json)).then(|| serde_json::from_slice(json).ok())?
}

/// FNV-1a.
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |sum, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}
