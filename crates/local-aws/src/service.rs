//! Which service and operation a request is for.

use http::request::Parts;
use http::{StatusCode, header::AUTHORIZATION};

use crate::wire::{AwsError, Response, json_response, query_error};

/// An emulated service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// Kinesis Data Streams.
    Kinesis,
    /// Simple Notification Service.
    Sns,
    /// Simple Queue Service.
    Sqs,
    /// DynamoDB.
    DynamoDb,
    /// Security Token Service.
    Sts,
}

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) service: Service,
    pub(crate) operation: String,
}

const JSON_1_0: &str = "application/x-amz-json-1.0";
const JSON_1_1: &str = "application/x-amz-json-1.1";

impl Service {
    /// By the name in the credential scope of a SigV4 signature
    /// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-signing-elements.html>).
    fn signed(authorization: &str) -> Option<Self> {
        let scope = authorization.split_once("Credential=")?.1.split([',', ' ']).next()?;
        Some(match scope.split('/').nth(3)? {
            "kinesis" => Self::Kinesis,
            "sns" => Self::Sns,
            "sqs" => Self::Sqs,
            "dynamodb" => Self::DynamoDb,
            "sts" => Self::Sts,
            _ => return None,
        })
    }

    /// By the prefix of `X-Amz-Target`, for requests that are not signed.
    fn targeted(target: &str) -> Option<Self> {
        Some(match target.split_once('.')?.0 {
            "Kinesis_20131202" => Self::Kinesis,
            "AmazonSQS" => Self::Sqs,
            "DynamoDB_20120810" | "DynamoDBStreams_20120810" => Self::DynamoDb,
            _ => return None,
        })
    }

    /// The error that this service throttles with.
    pub(crate) fn throttled(self) -> AwsError {
        let (code, message) = match self {
            Self::Kinesis | Self::DynamoDb => {
                ("ProvisionedThroughputExceededException", "Rate exceeded (scripted fault).")
            }
            Self::Sns | Self::Sts => ("Throttling", "Rate exceeded (scripted fault)."),
            Self::Sqs => ("RequestThrottled", "Request is throttled (scripted fault)."),
        };
        AwsError::bad_request(code, message)
    }

    /// `error` as this service words it.
    pub(crate) fn refuse(self, error: AwsError) -> Response {
        match self {
            Self::Sns | Self::Sts => query_error(self, &error),
            Self::Kinesis => error.into_json_response(JSON_1_1),
            Self::DynamoDb | Self::Sqs => error.into_json_response(JSON_1_0),
        }
    }
}

impl Route {
    /// Reads service and operation off a request.
    ///
    /// # Errors
    /// The answer for a request that is for none of the services.
    pub(crate) fn of(parts: &Parts, body: &[u8]) -> Result<Self, Box<Response>> {
        let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let target = header("x-amz-target");
        let action = || form(body).find(|(name, _)| name == "Action").map(|(_, value)| value);
        let service = header(AUTHORIZATION.as_str())
            .and_then(Service::signed)
            .or_else(|| target.and_then(Service::targeted));
        let operation =
            target.and_then(|target| target.split_once('.')).map(|(_, name)| name.to_owned());
        match (service, operation.or_else(action)) {
            (Some(service), Some(operation)) => Ok(Self { service, operation }),
            (Some(service), None) => {
                let message = "The request names no operation.";
                Err(Box::new(service.refuse(AwsError::bad_request("MissingAction", message))))
            }
            (None, _) => Err(Box::new(unknown_service())),
        }
    }
}

/// The fields of a query-protocol request.
pub(crate) fn form(body: &[u8]) -> impl Iterator<Item = (String, String)> {
    form_urlencoded::parse(body).into_owned()
}

fn unknown_service() -> Response {
    let message = "local-aws serves kinesis, sns, sqs, dynamodb and sts, told by the credential \
                   scope of the Authorization header.";
    let body = serde_json::json!({ "__type": "UnknownServiceException", "message": message });
    json_response(StatusCode::BAD_REQUEST, JSON_1_1, body.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(headers: &[(&str, &str)], body: &str) -> Option<(Service, String)> {
        let mut request = http::Request::post("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        Route::of(&parts, body.as_bytes()).ok().map(|route| (route.service, route.operation))
    }

    #[test]
    fn the_credential_scope_decides_and_the_target_names_the_operation() {
        let scope = |service| {
            format!(
                "AWS4-HMAC-SHA256 Credential=AK/20261123/us-east-1/{service}/aws4_request, SignedHeaders=host"
            )
        };
        let kinesis =
            [("authorization", &*scope("kinesis")), ("x-amz-target", "Kinesis_20131202.PutRecord")];
        assert_eq!(route(&kinesis, "{}"), Some((Service::Kinesis, "PutRecord".into())));
        let sns = scope("sns");
        let publish = route(&[("authorization", &sns)], "Action=Publish&Version=2010-03-31");
        assert_eq!(publish, Some((Service::Sns, "Publish".into())));
        assert_eq!(route(&[("authorization", &sns)], ""), None);
        assert_eq!(route(&[("authorization", &scope("s3"))], "Action=x"), None);
    }

    #[test]
    fn an_unsigned_request_is_routed_by_its_target() {
        let target = [("x-amz-target", "AmazonSQS.SendMessage")];
        assert_eq!(route(&target, "{}"), Some((Service::Sqs, "SendMessage".into())));
        assert_eq!(route(&[], "{}"), None);
    }
}
