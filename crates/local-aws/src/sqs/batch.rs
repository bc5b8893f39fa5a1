//! Ten entries in one request, each with a fate of its own.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::error::Error;

/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html>
const ENTRIES_MAX: usize = 10;
const ID_LENGTH_MAX: usize = 80;

/// The entry of a batch.
pub(super) trait Entry {
    /// By which the answer tells what became of it.
    fn id(&self) -> &str;
}

/// Does `act` for each entry and reports each. A batch that is malformed is refused as a whole.
pub(super) fn batch<E: Entry>(
    entries: Vec<E>,
    mut act: impl FnMut(E) -> Result<Value, Error>,
) -> Result<Value, Error> {
    check(entries.iter().map(E::id))?;
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for entry in entries {
        let id = entry.id().to_owned();
        match act(entry) {
            Ok(mut result) => {
                result["Id"] = id.into();
                successful.push(result);
            }
            Err(error) => failed.push(json!({
                "Id": id,
                "Code": error.code(),
                "Message": error.to_string(),
                "SenderFault": true,
            })),
        }
    }
    Ok(json!({ "Successful": successful, "Failed": failed }))
}

fn check<'a>(ids: impl ExactSizeIterator<Item = &'a str>) -> Result<(), Error> {
    match ids.len() {
        0 => return Err(Error::EmptyBatchRequest),
        count if count > ENTRIES_MAX => return Err(Error::TooManyEntriesInBatchRequest(count)),
        _ => {}
    }
    let mut seen = BTreeSet::new();
    for id in ids {
        let letters = id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        if id.is_empty() || id.len() > ID_LENGTH_MAX || !letters {
            return Err(Error::InvalidBatchEntryId);
        }
        if !seen.insert(id) {
            return Err(Error::BatchEntryIdsNotDistinct(id.to_owned()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(ids: &[&str]) -> Result<(), Error> {
        check(ids.iter().copied())
    }

    #[test]
    fn one_to_ten_distinct_ids_are_a_batch() {
        let ids: Vec<String> = (0..11).map(|number| number.to_string()).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        assert_eq!(checked(&ids[..10]), Ok(()));
        assert_eq!(checked(&ids), Err(Error::TooManyEntriesInBatchRequest(11)));
        assert_eq!(checked(&[]), Err(Error::EmptyBatchRequest));
        assert_eq!(checked(&["a", "a"]), Err(Error::BatchEntryIdsNotDistinct("a".into())));
        assert_eq!(checked(&["a b"]), Err(Error::InvalidBatchEntryId));
    }
}
