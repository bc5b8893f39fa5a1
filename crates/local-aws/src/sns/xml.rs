//! Answers of the query protocol.

use http::StatusCode;

use crate::wire::{Response, escape, json_response, request_id};

/// `<name>text</name>`, escaped.
pub(super) fn element(name: &str, text: &str) -> String {
    format!("<{name}>{}</{name}>", escape(text))
}

/// An attribute map.
pub(super) fn attributes<'a>(entries: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let entry = |(key, value): (&str, String)| {
        format!("<entry>{}{}</entry>", element("key", key), element("value", &value))
    };
    format!("<Attributes>{}</Attributes>", entries.into_iter().map(entry).collect::<String>())
}

/// The whole answer to `operation`.
pub(super) fn response(operation: &str, result: &str) -> Response {
    let body = format!(
        "<{operation}Response xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\">\
         <{operation}Result>{result}</{operation}Result>\
         <ResponseMetadata><RequestId>{}</RequestId></ResponseMetadata></{operation}Response>",
        request_id()
    );
    json_response(StatusCode::OK, "text/xml", body)
}
