//! The emulator as the HTTP client of an AWS SDK client, without a socket.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::RetryConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;
use http_body_util::BodyExt as _;

use crate::LocalAws;
use crate::local_aws::Answer;

impl LocalAws {
    /// An HTTP client that reaches this AWS within the process.
    #[must_use]
    pub fn http_client(&self) -> SharedHttpClient {
        let aws = self.clone();
        http_client_fn(move |settings, _| {
            let read_timeout = settings.read_timeout();
            SharedHttpConnector::new(InProcess { aws: aws.clone(), read_timeout })
        })
    }

    /// Configuration for SDK clients that reach this AWS within the process.
    #[must_use]
    pub fn sdk_config(&self) -> SdkConfig {
        let credentials = Credentials::new("local", "local", None, None, "local-aws");
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new(self.region().to_owned()))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .endpoint_url(format!("http://{}", self.address()))
            .http_client(self.http_client())
            .sleep_impl(aws_smithy_async::rt::sleep::TokioSleep::new())
            .time_source(aws_smithy_async::time::SystemTimeSource::new())
            .retry_config(RetryConfig::standard())
            .build()
    }
}

struct InProcess {
    aws: LocalAws,
    read_timeout: Option<Duration>,
}

impl std::fmt::Debug for InProcess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InProcess")
    }
}

impl HttpConnector for InProcess {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (aws, read_timeout) = (self.aws.clone(), self.read_timeout);
        HttpConnectorFuture::new(async move {
            let answer = answer(aws, request);
            match read_timeout {
                None => answer.await,
                Some(limit) => tokio::time::timeout(limit, answer)
                    .await
                    .unwrap_or_else(|late| Err(ConnectorError::timeout(late.into()))),
            }
        })
    }
}

async fn answer(aws: LocalAws, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
    let request = request.try_into_http1x().map_err(user)?;
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(user)?.to_bytes();
    match aws.answer(http::Request::from_parts(parts, body)).await {
        Answer::Response(response) => {
            HttpResponse::try_from(response.map(SdkBody::from_body_1_x)).map_err(user)
        }
        Answer::Broken => {
            let error = std::io::Error::new(
                std::io::ErrorKind::ConnectionReset,
                "the reply was lost (scripted fault)",
            );
            Err(ConnectorError::io(error.into()))
        }
    }
}

fn user(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ConnectorError {
    ConnectorError::user(error.into())
}
