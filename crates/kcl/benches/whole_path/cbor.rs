//! A prototype of Kinesis' CBOR protocol, for the question of what JSON and base64 cost.
//!
//! Requests go out as JSON, since the stub takes either and they weigh nothing; answers come as CBOR and are
//! read into the SDK's own types, one copy for each field. Only what a page of records has in it is read.

use std::time::{Duration, SystemTime};

use aws_smithy_json::protocol::aws_json_rpc::AwsJsonRpcProtocol;
use aws_smithy_runtime_api::http::{Request, Response};
use aws_smithy_schema::protocol::ClientProtocolInner;
use aws_smithy_schema::serde::{SerdeError, SerializableStruct, ShapeDeserializer};
use aws_smithy_schema::{Schema, ShapeId};
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::endpoint::Endpoint;
use aws_smithy_types::{BigDecimal, BigInteger, Blob, DateTime, Document};
use bytes::Bytes;
use kcl::{PartitionKey, Position, Record, SequenceNumber};

use crate::Error;

/// The content type of an answer in CBOR.
pub(crate) const CONTENT_TYPE: &str = "application/x-amz-cbor-1.1";

/// Major types (RFC 8949, 3.1).
pub(crate) const UNSIGNED: u8 = 0;
pub(crate) const BYTES: u8 = 2;
pub(crate) const TEXT: u8 = 3;
pub(crate) const ARRAY: u8 = 4;
pub(crate) const MAP: u8 = 5;
pub(crate) const TAG: u8 = 6;
/// The byte for null.
const NULL: u8 = 0xf6;

/// JSON out; in what the answer's content type says.
#[derive(Debug)]
pub(crate) struct CborAnswers(AwsJsonRpcProtocol);

impl CborAnswers {
    pub(crate) fn new() -> Self {
        Self(AwsJsonRpcProtocol::aws_json_1_1().with_target_prefix("Kinesis_20131202"))
    }
}

impl ClientProtocolInner for CborAnswers {
    type Request = Request;
    type Response = Response;

    fn protocol_id(&self) -> &ShapeId<'static> {
        ClientProtocolInner::protocol_id(&self.0)
    }

    fn serialize_request(
        &self,
        input: &dyn SerializableStruct,
        schema: &Schema<'_>,
        endpoint: &str,
        cfg: &ConfigBag,
    ) -> Result<Request, SerdeError> {
        ClientProtocolInner::serialize_request(&self.0, input, schema, endpoint, cfg)
    }

    fn deserialize_response<'a>(
        &self,
        response: &'a Response,
        schema: &Schema<'_>,
        cfg: &'a ConfigBag,
    ) -> Result<Box<dyn ShapeDeserializer + 'a>, SerdeError> {
        if response.headers().get("content-type") != Some(CONTENT_TYPE) {
            return ClientProtocolInner::deserialize_response(&self.0, response, schema, cfg);
        }
        let body = response.body().bytes().ok_or_else(|| SerdeError::custom("a streamed body"))?;
        Ok(Box::new(Reader { rest: body }))
    }

    fn update_endpoint(
        &self,
        request: &mut Request,
        endpoint: &Endpoint,
        cfg: &ConfigBag,
    ) -> Result<(), SerdeError> {
        ClientProtocolInner::update_endpoint(&self.0, request, endpoint, cfg)
    }
}

/// Reads definite-length CBOR from front to back.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, bytes: usize) -> Result<&'a [u8], SerdeError> {
        let cut = || SerdeError::invalid_input("the answer was cut off");
        let (taken, rest) = self.rest.split_at_checked(bytes).ok_or_else(cut)?;
        self.rest = rest;
        Ok(taken)
    }

    /// A major type, and the number that follows it.
    fn head(&mut self) -> Result<(u8, u64), SerdeError> {
        let first = self.take(1)?[0];
        let number = match first & 0x1f {
            small @ 0..=23 => u64::from(small),
            width @ 24..=27 => {
                let bytes = self.take(1 << (width - 24))?;
                bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
            }
            _ => return Err(SerdeError::unsupported("indefinite lengths")),
        };
        Ok((first >> 5, number))
    }

    fn expect(&mut self, major: u8) -> Result<usize, SerdeError> {
        match self.head()? {
            (found, number) if found == major => Ok(usize::try_from(number).unwrap_or(usize::MAX)),
            (found, _) => {
                Err(SerdeError::type_mismatch(format!("major type {found} instead of {major}")))
            }
        }
    }

    fn text(&mut self) -> Result<&'a str, SerdeError> {
        let length = self.expect(TEXT)?;
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes).map_err(|error| SerdeError::invalid_input(error.to_string()))
    }

    fn integer(&mut self) -> Result<i64, SerdeError> {
        let number = self.expect(UNSIGNED)?;
        i64::try_from(number).map_err(|error| SerdeError::invalid_input(error.to_string()))
    }

    fn skip(&mut self) -> Result<(), SerdeError> {
        let (major, number) = self.head()?;
        let number = usize::try_from(number).unwrap_or(usize::MAX);
        match major {
            BYTES | TEXT => self.take(number).map(|_| ()),
            ARRAY => (0..number).try_for_each(|_| self.skip()),
            MAP => (0..number).try_for_each(|_| self.skip().and_then(|()| self.skip())),
            TAG => self.skip(),
            _ => Ok(()),
        }
    }
}

type EachMember<'s> =
    dyn FnMut(&Schema<'_>, &mut dyn ShapeDeserializer) -> Result<(), SerdeError> + 's;
type EachElement<'s> = dyn FnMut(&mut dyn ShapeDeserializer) -> Result<(), SerdeError> + 's;
type EachEntry<'s> = dyn FnMut(String, &mut dyn ShapeDeserializer) -> Result<(), SerdeError> + 's;

impl ShapeDeserializer for Reader<'_> {
    fn read_struct(
        &mut self,
        schema: &Schema<'_>,
        each: &mut EachMember<'_>,
    ) -> Result<(), SerdeError> {
        for _ in 0..self.expect(MAP)? {
            let name = self.text()?;
            match schema.member_schema(name) {
                Some(member) => each(member, self)?,
                None => self.skip()?,
            }
        }
        Ok(())
    }

    fn read_list(&mut self, _: &Schema<'_>, each: &mut EachElement<'_>) -> Result<(), SerdeError> {
        (0..self.expect(ARRAY)?).try_for_each(|_| each(self))
    }

    fn read_map(&mut self, _: &Schema<'_>, each: &mut EachEntry<'_>) -> Result<(), SerdeError> {
        for _ in 0..self.expect(MAP)? {
            let key = self.text()?.to_owned();
            each(key, self)?;
        }
        Ok(())
    }

    fn read_long(&mut self, _: &Schema<'_>) -> Result<i64, SerdeError> {
        self.integer()
    }

    fn read_string(&mut self, _: &Schema<'_>) -> Result<String, SerdeError> {
        self.text().map(str::to_owned)
    }

    fn read_blob(&mut self, _: &Schema<'_>) -> Result<Blob, SerdeError> {
        let length = self.expect(BYTES)?;
        self.take(length).map(Blob::new)
    }

    fn read_timestamp(&mut self, _: &Schema<'_>) -> Result<DateTime, SerdeError> {
        self.expect(TAG)?;
        self.integer().map(DateTime::from_millis)
    }

    fn is_null(&self) -> bool {
        self.rest.first() == Some(&NULL)
    }

    fn read_null(&mut self) -> Result<(), SerdeError> {
        self.skip()
    }

    fn skip_value(&mut self) -> Result<(), SerdeError> {
        self.skip()
    }

    fn container_size(&self) -> Option<usize> {
        None
    }

    fn read_boolean(&mut self, _: &Schema<'_>) -> Result<bool, SerdeError> {
        Err(SerdeError::unsupported("boolean"))
    }

    fn read_byte(&mut self, _: &Schema<'_>) -> Result<i8, SerdeError> {
        Err(SerdeError::unsupported("byte"))
    }

    fn read_short(&mut self, _: &Schema<'_>) -> Result<i16, SerdeError> {
        Err(SerdeError::unsupported("short"))
    }

    fn read_integer(&mut self, _: &Schema<'_>) -> Result<i32, SerdeError> {
        Err(SerdeError::unsupported("integer"))
    }

    fn read_float(&mut self, _: &Schema<'_>) -> Result<f32, SerdeError> {
        Err(SerdeError::unsupported("float"))
    }

    fn read_double(&mut self, _: &Schema<'_>) -> Result<f64, SerdeError> {
        Err(SerdeError::unsupported("double"))
    }

    fn read_big_integer(&mut self, _: &Schema<'_>) -> Result<BigInteger, SerdeError> {
        Err(SerdeError::unsupported("big integer"))
    }

    fn read_big_decimal(&mut self, _: &Schema<'_>) -> Result<BigDecimal, SerdeError> {
        Err(SerdeError::unsupported("big decimal"))
    }

    fn read_document(&mut self, _: &Schema<'_>) -> Result<Document, SerdeError> {
        Err(SerdeError::unsupported("document"))
    }
}

/// The records of a page without the SDK: nothing is copied, keys and payloads are parts of the answer.
pub(crate) fn records(page: &Bytes) -> Result<Vec<Record>, Error> {
    let mut reader = Reader { rest: page };
    let mut records = Vec::new();
    for _ in 0..reader.expect(MAP)? {
        if reader.text()? != "Records" {
            reader.skip()?;
            continue;
        }
        let many = reader.expect(ARRAY)?;
        records.reserve(many.min(10_000));
        for _ in 0..many {
            records.push(record(&mut reader, page)?);
        }
    }
    Ok(records)
}

fn record(reader: &mut Reader<'_>, page: &Bytes) -> Result<Record, Error> {
    let (mut sequence, mut key, mut data, mut arrived_at) = (None, None, Bytes::new(), None);
    for _ in 0..reader.expect(MAP)? {
        match reader.text()? {
            "SequenceNumber" => sequence = Some(SequenceNumber::parse(reader.text()?)?),
            "PartitionKey" => key = Some(page.slice_ref(reader.text()?.as_bytes())),
            "Data" => {
                let length = reader.expect(BYTES)?;
                data = page.slice_ref(reader.take(length)?);
            }
            "ApproximateArrivalTimestamp" => {
                reader.expect(TAG)?;
                let millis = u64::try_from(reader.integer()?)?;
                arrived_at = Some(SystemTime::UNIX_EPOCH + Duration::from_millis(millis));
            }
            _ => reader.skip()?,
        }
    }
    Ok(Record {
        position: Position { sequence: sequence.ok_or("no sequence number")?, sub_sequence: 0 },
        partition_key: key.and_then(PartitionKey::from_utf8),
        explicit_hash_key: None,
        data,
        arrived_at,
    })
}

/// Writes a major type and its number, in the shortest form.
pub(crate) fn write_head(body: &mut Vec<u8>, major: u8, number: usize) {
    let bytes = (number as u64).to_be_bytes();
    let (info, width) = match number {
        0..=23 => return body.push(major << 5 | bytes[7]),
        24..=0xff => (24, 1),
        0x100..=0xffff => (25, 2),
        0x1_0000..=0xffff_ffff => (26, 4),
        _ => (27, 8),
    };
    body.push(major << 5 | info);
    body.extend(&bytes[8 - width..]);
}

/// Writes a text.
pub(crate) fn write_text(body: &mut Vec<u8>, text: &str) {
    write_head(body, TEXT, text.len());
    body.extend(text.as_bytes());
}
