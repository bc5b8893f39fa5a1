//! How this process reaches AWS. The only place where TLS comes in, but for the archive's own way to S3.

mod endpoint;

use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::timeout::TimeoutConfig;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_types::SdkConfig;

use self::endpoint::NamingClient;

/// A host that does not answer its handshake in this time is taken for down; the SDK tries again.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// SQS holds a long poll for 20 seconds; the rest is for a slow answer of ten megabytes.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);

/// The SDK configuration from the environment: profile, region, credentials, `AWS_ENDPOINT_URL` and all else as
/// the AWS SDKs have it, with one HTTP client that every service client shares.
///
/// It never fails: a missing region or missing credentials are told by the first call ([`crate::explain`]).
pub async fn aws_config() -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .build();
    aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(http_client())
        .timeout_config(timeouts)
        .load()
        .await
}

fn http_client() -> SharedHttpClient {
    // ring: aws-lc would add a C library that takes longer to build than everything else together.
    let client = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    SharedHttpClient::new(NamingClient(client))
}
