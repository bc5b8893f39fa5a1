//! Where leases are renewed: apart from the processor, so that it cannot starve them.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::error::Error;
use crate::settings::Settings;

/// A runtime of one thread, or the caller's where time is virtual.
pub(super) struct Renewals(Option<Runtime>);

impl Renewals {
    pub(super) fn start(settings: &Settings) -> Result<Self, Error> {
        if !settings.renewal_thread {
            return Ok(Self(None));
        }
        let mut runtime = Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).thread_name("kcl-leases").enable_all().build();
        runtime.map(Some).map(Self).map_err(Error::RenewalThread)
    }

    pub(super) fn handle(&self) -> Handle {
        self.0.as_ref().map_or_else(Handle::current, |runtime| runtime.handle().clone())
    }
}

impl Drop for Renewals {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // Every keeper has ended or has nothing more to say; waiting is not allowed here.
            runtime.shutdown_background();
        }
    }
}

/// A client for renewals: each attempt is decided on here, within the time that the lease allows.
///
/// The SDK's HTTP client keeps a pool of connections for each pair of timeouts, and a connection belongs to the
/// runtime that opened it: with timeouts of their own, renewals share no connection with a starved runtime.
pub(super) fn client(dynamodb: &Client, failover: Duration) -> Client {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(failover / 3)
        .read_timeout(failover / 3)
        .operation_attempt_timeout(failover / 3)
        .build();
    let config = dynamodb.config().to_builder();
    Client::from_conf(config.retry_config(RetryConfig::disabled()).timeout_config(timeouts).build())
}
