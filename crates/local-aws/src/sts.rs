//! STS: who am I. Always the root of the one account.

use http::StatusCode;

use crate::ACCOUNT;
use crate::service::Service;
use crate::wire::{AwsError, Response, json_response, request_id};

/// Answers `GetCallerIdentity`, which is what clients call to see whether their credentials work.
pub(crate) fn handle(operation: &str) -> Response {
    if operation != "GetCallerIdentity" {
        let message = format!("local-aws does not serve the STS operation {operation}.");
        return Service::Sts.refuse(AwsError::bad_request("InvalidAction", message));
    }
    let body = format!(
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
         <GetCallerIdentityResult><Arn>arn:aws:iam::{ACCOUNT}:root</Arn><UserId>{ACCOUNT}</UserId>\
         <Account>{ACCOUNT}</Account></GetCallerIdentityResult>\
         <ResponseMetadata><RequestId>{}</RequestId></ResponseMetadata></GetCallerIdentityResponse>",
        request_id(),
    );
    json_response(StatusCode::OK, "text/xml", body)
}
