//! HTTP shapes that the emulated services share.

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};

use crate::service::Service;

/// A response body: whole for almost every operation, streamed for `SubscribeToShard`.
pub(crate) type Body = BoxBody<Bytes, Infallible>;
/// What a service answers.
pub(crate) type Response = http::Response<Body>;

/// An error as AWS words it: a code that clients match on, a message that people read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AwsError {
    pub(crate) status: StatusCode,
    pub(crate) code: String,
    pub(crate) message: String,
}

impl AwsError {
    /// The caller's mistake, HTTP 400.
    pub(crate) fn bad_request(code: &str, message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code: code.into(), message: message.into() }
    }

    /// As the `application/x-amz-json-1.x` protocols carry it.
    pub(crate) fn into_json_response(self, content_type: &'static str) -> Response {
        let body = serde_json::json!({ "__type": self.code, "message": self.message });
        let mut response = json_response(self.status, content_type, body.to_string());
        if let Ok(code) = HeaderValue::from_str(&self.code) {
            response.headers_mut().insert("x-amzn-errortype", code);
        }
        response
    }
}

/// A whole body of the given JSON flavour.
pub(crate) fn json_response(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response {
    let mut response = http::Response::new(Full::new(body.into()).boxed());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// An error as the query protocols of SNS and STS carry it.
pub(crate) fn query_error(service: Service, error: &AwsError) -> Response {
    let namespace = match service {
        Service::Sts => "https://sts.amazonaws.com/doc/2011-06-15/",
        _ => "http://sns.amazonaws.com/doc/2010-03-31/",
    };
    let fault = if error.status.is_server_error() { "Receiver" } else { "Sender" };
    let body = format!(
        "<ErrorResponse xmlns=\"{namespace}\"><Error><Type>{fault}</Type><Code>{}</Code><Message>{}</Message></Error><RequestId>{}</RequestId></ErrorResponse>",
        escape(&error.code),
        escape(&error.message),
        request_id(),
    );
    json_response(error.status, "text/xml", body)
}

/// Text as the content of an XML element.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            // A bare carriage return would be read as a line feed.
            '\r' => escaped.push_str("&#xD;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// An id for a request, a message or a subscription.
pub(crate) fn request_id() -> String {
    uuid::Uuid::from_u128(fastrand::u128(..)).to_string()
}
