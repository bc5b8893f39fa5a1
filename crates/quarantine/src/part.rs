//! Bytes cut into message bodies.

use std::str;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::text::is_allowed;

/// Bytes in one message. In base64 and with its attributes it stays below 256 KiB.
const PART_BYTES: usize = 180 << 10;

/// One message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) body: String,
    pub(crate) encoding: &'static str,
}

/// The messages that hold `data`: its text where SQS takes that, base64 otherwise, in parts where it is long.
pub(crate) fn parts(data: &[u8]) -> Vec<Part> {
    if data.is_empty() {
        // SQS takes no empty body.
        return vec![Part { body: "(empty)".to_owned(), encoding: "empty" }];
    }
    match str::from_utf8(data) {
        Ok(text) if data.len() <= PART_BYTES && text.chars().all(is_allowed) => {
            vec![Part { body: text.to_owned(), encoding: "text" }]
        }
        _ => {
            let encode = |part| Part { body: STANDARD.encode(part), encoding: "base64" };
            data.chunks(PART_BYTES).map(encode).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readable_text_is_kept_readable() {
        let part = Part { body: "{oops".into(), encoding: "text" };
        assert_eq!(parts(b"{oops"), [part]);
    }

    #[test]
    fn what_sqs_would_refuse_travels_as_base64() {
        for data in [&b"\xff\xfe"[..], b"a\0b", "\u{ffff}".as_bytes()] {
            let [part] = &parts(data)[..] else { panic!("{data:?} in one part") };
            assert_eq!(part.encoding, "base64");
            assert_eq!(STANDARD.decode(&part.body).unwrap(), data);
        }
        assert_eq!(parts(b"")[0].encoding, "empty");
    }

    #[test]
    fn the_largest_record_is_kept_whole_in_parts() {
        let data: Vec<u8> = (0..10 << 20).map(|i: u32| (i % 251) as u8).collect();
        let parts = parts(&data);
        assert!(parts.iter().all(|part| part.body.len() < 250 << 10));
        let joined: Vec<u8> =
            parts.iter().flat_map(|part| STANDARD.decode(&part.body).unwrap()).collect();
        assert!(joined == data);
    }
}
