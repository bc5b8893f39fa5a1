//! Says which endpoint could not be reached. The SDK's own errors do not, and "connection refused" alone sends
//! people looking in the wrong place.

use std::error::Error;
use std::fmt;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::{
    RuntimeComponents, RuntimeComponentsBuilder,
};
use aws_smithy_types::config_bag::ConfigBag;

type BoxError = Box<dyn Error + Send + Sync>;

/// A request that got no answer, and the scheme and host it was meant for.
#[derive(Debug)]
struct Unreached {
    endpoint: String,
    source: BoxError,
}

impl fmt::Display for Unreached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "could not reach AWS at {}", self.endpoint)
    }
}

impl Error for Unreached {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.source.as_ref())
    }
}

/// An HTTP client whose errors name the endpoint.
#[derive(Debug)]
pub(super) struct NamingClient(pub(super) SharedHttpClient);

impl HttpClient for NamingClient {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        // The client within keeps its connectors, and so its connections, from call to call.
        SharedHttpConnector::new(NamingConnector(self.0.http_connector(settings, components)))
    }

    fn validate_base_client_config(
        &self,
        components: &RuntimeComponentsBuilder,
        config: &ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.validate_base_client_config(components, config)
    }

    fn validate_final_config(
        &self,
        components: &RuntimeComponents,
        config: &ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.validate_final_config(components, config)
    }
}

#[derive(Debug)]
struct NamingConnector(SharedHttpConnector);

impl HttpConnector for NamingConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let endpoint = endpoint_of(request.uri());
        let answer = self.0.call(request);
        HttpConnectorFuture::new(async move { answer.await.map_err(|error| name(error, endpoint)) })
    }
}

/// Scheme and host: a path or a query would only be noise.
fn endpoint_of(uri: &str) -> String {
    let host = uri.find("://").map_or(0, |at| at + "://".len());
    let end = uri[host..].find(['/', '?']).map_or(uri.len(), |at| host + at);
    uri[..end].to_owned()
}

/// The same error with the endpoint in its chain. Its kind decides over the SDK's retries and stays.
fn name(error: ConnectorError, endpoint: String) -> ConnectorError {
    let (timeout, user, io) = (error.is_timeout(), error.is_user(), error.is_io());
    let kind = error.as_other();
    let connection = error.connection_metadata().cloned();
    let source = Box::new(Unreached { endpoint, source: error.into_source() });
    let named = match () {
        () if timeout => ConnectorError::timeout(source),
        () if user => ConnectorError::user(source),
        () if io => ConnectorError::io(source),
        () => ConnectorError::other(source, kind),
    };
    match connection {
        Some(connection) => named.with_connection(connection),
        None => named,
    }
}

#[cfg(test)]
mod tests {
    use aws_smithy_types::retry::ErrorKind;

    use super::*;

    #[test]
    fn an_endpoint_is_scheme_and_host() {
        assert_eq!(endpoint_of("http://127.0.0.1:9/q?x=/"), "http://127.0.0.1:9");
        assert_eq!(
            endpoint_of("https://sqs.eu-west-1.amazonaws.com"),
            "https://sqs.eu-west-1.amazonaws.com"
        );
        assert_eq!(endpoint_of("/path"), "");
    }

    #[test]
    fn a_named_error_is_retried_as_it_was() {
        let named = |error| name(error, "http://x".to_owned());
        assert!(named(ConnectorError::io("gone".into())).is_io());
        assert!(named(ConnectorError::timeout("late".into())).is_timeout());
        assert!(named(ConnectorError::user("odd".into())).is_user());
        let other = ConnectorError::other("?".into(), Some(ErrorKind::TransientError));
        assert_eq!(named(other).as_other(), Some(ErrorKind::TransientError));
    }
}
