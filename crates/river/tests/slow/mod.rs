//! A network on which the answers to one operation take their time, when the service has long done its part.

use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_types::SdkConfig;
use tokio::time::sleep;

#[derive(Clone, Debug)]
struct Slow<T> {
    inner: T,
    operation: &'static str,
    by: Duration,
}

/// `aws`, with answers to `operation` that are late by this much.
pub(crate) fn replies(aws: &SdkConfig, operation: &'static str, by: Duration) -> SdkConfig {
    let inner = aws.http_client().expect("an HTTP client");
    let client = SharedHttpClient::new(Slow { inner, operation, by });
    aws.to_builder().http_client(client).build()
}

impl HttpClient for Slow<SharedHttpClient> {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(Slow { inner, operation: self.operation, by: self.by })
    }
}

impl HttpConnector for Slow<SharedHttpConnector> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let by = if target.ends_with(self.operation) { self.by } else { Duration::ZERO };
        let answer = self.inner.call(request);
        HttpConnectorFuture::new(async move {
            let answer = answer.await;
            sleep(by).await;
            answer
        })
    }
}
