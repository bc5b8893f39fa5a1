//! Iterators and page tokens: opaque to clients, and of limited life.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A place in a shard, and when it was given out.
#[derive(Serialize, Deserialize)]
pub(super) struct Iterator {
    pub(super) stream: String,
    /// Tells a stream from an earlier one of the same name.
    pub(super) stream_created_ms: u64,
    pub(super) shard: String,
    /// Lowest counter to return.
    pub(super) from: u64,
    pub(super) issued_ms: u64,
}

/// The rest of a list of shards.
#[derive(Serialize, Deserialize)]
pub(super) struct Page {
    pub(super) stream: String,
    pub(super) after_shard: String,
    pub(super) filter: Option<serde_json::Value>,
    pub(super) issued_ms: u64,
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
