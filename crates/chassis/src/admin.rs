//! The admin server: `/livez`, `/readyz`, `/metrics`, and nothing else.
//!
//! It runs on the service's own runtime, so a runtime that is stuck fails `/livez`, which is its purpose.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header::CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus::{TEXT_FORMAT, TextEncoder};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::Kit;

/// Time for requests under way when the process ends; a scraper that is slower loses this scrape.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// Where the admin server listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Config {
    /// IP address and port. Probes of Kubernetes come from outside the pod, so not loopback by default.
    pub(crate) address: SocketAddr,
}

impl Default for Config {
    fn default() -> Self {
        Self { address: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 9464)) }
    }
}

/// A running admin server; dropped, it stops by itself.
pub(crate) struct Admin {
    address: SocketAddr,
    stop: DropGuard,
    task: JoinHandle<()>,
}

impl Admin {
    /// Binds and serves. The one task that starts before a service is built: who asks meanwhile is told that it
    /// is alive and not ready.
    pub(crate) async fn start(address: SocketAddr, kit: Kit) -> anyhow::Result<Self> {
        let bound =
            || format!("could not bind the admin server to {address} (setting admin.address)");
        let listener = TcpListener::bind(address).await.with_context(bound)?;
        let address = listener.local_addr().with_context(bound)?;
        let stop = CancellationToken::new();
        let server = axum::serve(listener, router(kit))
            .with_graceful_shutdown(stop.clone().cancelled_owned());
        let task = tokio::spawn(async move {
            if let Err(error) = server.await {
                tracing::error!(error = &error as &dyn std::error::Error, "admin server ended");
            }
        });
        Ok(Self { address, stop: stop.drop_guard(), task })
    }

    /// Where it listens: the port that was got, when 0 was asked for.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers what is under way, then ends.
    pub(crate) async fn stop(self) {
        drop(self.stop);
        if timeout(LAST_ANSWERS, self.task).await.is_err() {
            tracing::debug!("left an admin request unanswered");
        }
    }
}

fn router(kit: Kit) -> Router {
    Router::new()
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(kit)
}

async fn readyz(State(kit): State<Kit>) -> (StatusCode, String) {
    let missing = kit.readiness().missing();
    if missing.is_empty() {
        return (StatusCode::OK, "ready\n".to_owned());
    }
    (StatusCode::SERVICE_UNAVAILABLE, missing.join("\n") + "\n")
}

async fn metrics(State(kit): State<Kit>) -> Response {
    match TextEncoder::new().encode_to_string(&kit.registry().gather()) {
        Ok(text) => ([(CONTENT_TYPE, TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            let said = format!("the metrics could not be written: {error}\n");
            (StatusCode::INTERNAL_SERVER_ERROR, said).into_response()
        }
    }
}
