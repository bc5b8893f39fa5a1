//! The fields of a query-protocol request.

use std::collections::BTreeMap;

use super::invalid;
use crate::service::form;
use crate::wire::AwsError;

/// A request's fields by their dotted names.
pub(super) struct Request(BTreeMap<String, String>);

impl Request {
    pub(super) fn parse(body: &[u8]) -> Self {
        Self(form(body).collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(super) fn required(&self, name: &str) -> Result<&str, AwsError> {
        self.get(name).filter(|value| !value.is_empty()).ok_or_else(|| invalid(name))
    }

    /// A map in the encoding `{name}.entry.N.key` and `.value`.
    pub(super) fn entries(&self, name: &str) -> BTreeMap<String, String> {
        let entry = |number: usize| {
            let key = self.get(&format!("{name}.entry.{number}.key"))?;
            let value = self.get(&format!("{name}.entry.{number}.value")).unwrap_or_default();
            Some((key.to_owned(), value.to_owned()))
        };
        (1..).map_while(entry).collect()
    }

    /// Prefixes of the elements of a list in the encoding `{name}.N.…`, in order.
    pub(super) fn members(&self, name: &str) -> Vec<String> {
        let mut numbers: Vec<u32> = Vec::new();
        let start = format!("{name}.");
        for key in self.0.range(start.clone()..).map(|(key, _)| key) {
            let Some(rest) = key.strip_prefix(&start) else { break };
            let number: Option<u32> =
                rest.split('.').next().and_then(|number| number.parse::<u32>().ok());
            numbers.extend(number);
        }
        numbers.sort_unstable();
        numbers.dedup();
        numbers.into_iter().map(|number| format!("{name}.{number}")).collect()
    }
}
