//! The AWS clients, and what is said when AWS refuses.

use anyhow::{Context as _, anyhow};
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use aws_types::SdkConfig;

/// One client of each service that the command talks to.
#[derive(Clone, Debug)]
pub(crate) struct Aws {
    pub(crate) kinesis: aws_sdk_kinesis::Client,
    pub(crate) sns: aws_sdk_sns::Client,
    pub(crate) sqs: aws_sdk_sqs::Client,
    pub(crate) dynamodb: aws_sdk_dynamodb::Client,
}

impl Aws {
    /// Clients for the AWS that the environment names.
    ///
    /// # Errors
    /// When no region is set: no call could succeed.
    pub(crate) async fn of_the_environment() -> anyhow::Result<Self> {
        let config = chassis::aws_config().await;
        let region = config.region();
        region.context("no AWS region is set: set AWS_REGION, or a region in the profile")?;
        Ok(Self::new(&config))
    }

    /// Clients for the AWS that `config` names.
    pub(crate) fn new(config: &SdkConfig) -> Self {
        Self {
            kinesis: aws_sdk_kinesis::Client::new(config),
            sns: aws_sdk_sns::Client::new(config),
            sqs: aws_sdk_sqs::Client::new(config),
            dynamodb: aws_sdk_dynamodb::Client::new(config),
        }
    }
}

/// Something named that commands expect to exist.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Resource<'a> {
    /// The stream with every event.
    Rapids(&'a str),
    /// The stream of control commands.
    Control(&'a str),
    /// A table of the control plane.
    Table(&'a str),
}

impl Resource<'_> {
    /// Turns a refusal into what a person needs: which thing, what is wrong with it, what to do.
    pub(crate) fn refused<E, R>(self, error: SdkError<E, R>) -> anyhow::Error
    where
        E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
        R: std::fmt::Debug + Send + Sync + 'static,
    {
        if is_missing(&error) {
            return anyhow!("{self} does not exist: {}", self.remedy());
        }
        anyhow::Error::new(error).context(self.to_string())
    }

    fn remedy(self) -> &'static str {
        match self {
            Self::Rapids(_) => "make it with `rapids bootstrap`, or name another with --rapids",
            Self::Control(_) => {
                "make it with `rapids bootstrap`, or name another with --control-stream"
            }
            Self::Table(_) => {
                "make it with `rapids bootstrap` or start the control plane, or name another --stage"
            }
        }
    }
}

impl std::fmt::Display for Resource<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rapids(name) | Self::Control(name) => write!(f, "stream {name}"),
            Self::Table(name) => write!(f, "table {name}"),
        }
    }
}

/// Whether AWS says that there is no such stream or table.
pub(crate) fn is_missing<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    error.code() == Some("ResourceNotFoundException")
}
