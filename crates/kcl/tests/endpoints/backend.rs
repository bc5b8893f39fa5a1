//! Where Kinesis and DynamoDB are.

use aws_types::SdkConfig;
use local_aws::LocalAws;

const KINESIS: &str = "KCL_TEST_KINESIS_ENDPOINT";
const DYNAMODB: &str = "KCL_TEST_DYNAMODB_ENDPOINT";

/// Emulators at the endpoints of the environment; the embedded AWS where there is none.
pub(crate) struct Backend {
    embedded: LocalAws,
    kinesis: Option<String>,
    dynamodb: Option<String>,
}

impl Backend {
    pub(crate) fn of_the_environment() -> Self {
        let embedded = LocalAws::new();
        Self { embedded, kinesis: endpoint(KINESIS), dynamodb: endpoint(DYNAMODB) }
    }

    /// Clients with connections of their own, as every process has them: a connection dies with its runtime.
    pub(crate) fn clients(&self) -> (aws_sdk_kinesis::Client, aws_sdk_dynamodb::Client) {
        let kinesis = aws_sdk_kinesis::Client::new(&self.config(self.kinesis.as_deref()));
        let dynamodb = aws_sdk_dynamodb::Client::new(&self.config(self.dynamodb.as_deref()));
        (kinesis, dynamodb)
    }

    fn config(&self, endpoint: Option<&str>) -> SdkConfig {
        let embedded = self.embedded.sdk_config();
        let Some(endpoint) = endpoint else { return embedded };
        let http = aws_smithy_http_client::Builder::new().build_http();
        embedded.to_builder().endpoint_url(endpoint).http_client(http).build()
    }
}

fn endpoint(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "a test has no configuration but this")]
    std::env::var(name).ok().filter(|endpoint| !endpoint.is_empty())
}
