//! `json(text, place)`: what is at a place in a JSON text.

use std::sync::Arc;

use datafusion::arrow::array::{Array as _, ArrayRef, AsArray as _, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use serde_json::Value;

/// The function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Json {
    signature: Signature,
}

impl Default for Json {
    fn default() -> Self {
        Self { signature: Signature::string(2, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Json {
    fn name(&self) -> &'static str {
        "json"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let column = |index: usize| -> Result<ArrayRef> {
            Ok(cast(&args.args[index].to_array(rows)?, &DataType::Utf8)?)
        };
        let (texts, places) = (column(0)?, column(1)?);
        let pairs = texts.as_string::<i32>().iter().zip(places.as_string::<i32>().iter());
        let found = pairs.map(|(text, place)| at(text?, place?)).collect::<StringArray>();
        debug_assert_eq!(found.len(), rows, "a value for each row");
        Ok(ColumnarValue::Array(Arc::new(found)))
    }
}

/// What is at a place: the text of a string, anything else as JSON; none where nothing is, or null. A place is a path
/// such as `location/city`, as in a service's rules, or a JSON pointer.
fn at(text: &str, place: &str) -> Option<String> {
    let value: Value = serde_json::from_str(text).ok()?;
    let found = match place {
        "" => Some(&value),
        pointer if pointer.starts_with('/') => value.pointer(pointer),
        path => value.pointer(&format!("/{path}")),
    };
    match found? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_path_or_a_pointer() {
        let text = r#"{"location":{"city":"Berlin"},"offers":[{"price":7.5}],"none":null,"a/b":1}"#;
        let found = |place| at(text, place);
        assert_eq!(found("location/city").as_deref(), Some("Berlin"));
        assert_eq!(found("/location/city").as_deref(), Some("Berlin"));
        assert_eq!(found("offers/0/price").as_deref(), Some("7.5"));
        assert_eq!(found("location").as_deref(), Some(r#"{"city":"Berlin"}"#));
        assert_eq!(found("a~1b").as_deref(), Some("1"));
        for nothing in ["none", "offers/1", "location/city/x", "missing"] {
            assert_eq!(found(nothing), None, "{nothing}");
        }
        assert_eq!(at("no JSON", "x"), None);
    }
}
