//! A page in JSON read without the SDK, to tell what the format costs from what its reader costs.
//!
//! Ends of strings are searched for sixteen and more bytes at once, and base64 is decoded in place: keys and
//! payloads are parts of the answer. It reads what Kinesis sends, not JSON at large.

use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use kcl::{PartitionKey, Position, Record, SequenceNumber};
use memchr::{memchr, memchr2};

use crate::Error;

/// Where the parts of a record lie.
#[derive(Default)]
struct Parts {
    sequence: Option<SequenceNumber>,
    key: Option<(usize, usize)>,
    data: (usize, usize),
    arrived_at: Option<SystemTime>,
}

/// The records of a page.
pub(crate) fn records(page: Bytes) -> Result<Vec<Record>, Error> {
    let mut page = page.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&*shared));
    let list = memchr::memmem::find(&page, b"\"Records\":[").ok_or("no records")?;
    let mut at = list + b"\"Records\":[".len();
    let mut found = Vec::new();
    while page.get(at) == Some(&b'{') {
        let mut parts = Parts::default();
        at = read(&mut page, at + 1, &mut parts)?;
        found.push(parts);
        if page.get(at) == Some(&b',') {
            at += 1;
        }
    }
    let page = page.freeze();
    let record = |parts: Parts| {
        let key = parts.key.map(|(from, to)| page.slice(from..to));
        Ok(Record {
            position: Position { sequence: parts.sequence.ok_or("no number")?, sub_sequence: 0 },
            partition_key: key.and_then(PartitionKey::from_utf8),
            explicit_hash_key: None,
            data: page.slice(parts.data.0..parts.data.1),
            arrived_at: parts.arrived_at,
        })
    };
    found.into_iter().map(record).collect()
}

/// Reads the members of an object, from the first on. Returns where it ends.
fn read(page: &mut [u8], mut at: usize, parts: &mut Parts) -> Result<usize, Error> {
    loop {
        let (from, to) = string(page, at)?;
        let value = to + 2; // The quote, the colon.
        match &page[from..to] {
            b"ApproximateArrivalTimestamp" => {
                let end = value + memchr2(b',', b'}', &page[value..]).ok_or("cut off")?;
                let seconds: f64 = std::str::from_utf8(&page[value..end])?.parse()?;
                let since = Duration::try_from_secs_f64(seconds)?;
                parts.arrived_at = Some(SystemTime::UNIX_EPOCH + since);
                at = end;
            }
            b"Data" => {
                let (from, to) = string(page, value)?;
                let data = base64_simd::STANDARD.decode_inplace(&mut page[from..to]);
                let length = data.map_err(|error| error.to_string())?.len();
                parts.data = (from, from + length);
                at = to + 1;
            }
            b"PartitionKey" => {
                let (from, to) = string(page, value)?;
                parts.key = Some((from, to));
                at = to + 1;
            }
            b"SequenceNumber" => {
                let (from, to) = string(page, value)?;
                let text = std::str::from_utf8(&page[from..to])?;
                parts.sequence = Some(SequenceNumber::parse(text)?);
                at = to + 1;
            }
            _ => at = string(page, value)?.1 + 1,
        }
        match page.get(at) {
            Some(b',') => at += 1,
            Some(b'}') => return Ok(at + 1),
            _ => return Err("no object".into()),
        }
    }
}

/// The string that begins here, without its quotes.
fn string(page: &[u8], at: usize) -> Result<(usize, usize), Error> {
    let from = at + 1;
    let text = page.get(from..).filter(|_| page[at] == b'"').ok_or("no string")?;
    let to = from + memchr(b'"', text).ok_or("cut off")?;
    if page[from..to].len() < 300 && page[from..to].contains(&b'\\') {
        return Err("escapes are not read here".into());
    }
    Ok((from, to))
}
