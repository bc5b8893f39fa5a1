//! The way of a process to AWS, cut off when the process dies.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use aws_smithy_runtime_api::client::http::{
    HttpClient as _, HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector,
    http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;

/// Where in the life of a process it dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crash {
    /// At which of its calls to AWS, counted from 1.
    pub call: usize,
    /// Whether AWS has done what it was told by then.
    pub done: bool,
}

/// Counts the calls of a process, and ends them for ever when it dies: a dead process hears of nothing and does nothing.
#[derive(Clone, Debug)]
pub(crate) struct Lifeline(Arc<Life>);

#[derive(Debug)]
struct Life {
    calls: AtomicUsize,
    crash: Option<Crash>,
    dead: AtomicBool,
}

impl Lifeline {
    pub(crate) fn new(crash: Option<Crash>) -> Self {
        let (calls, dead) = (AtomicUsize::new(0), AtomicBool::new(false));
        Self(Arc::new(Life { calls, crash, dead }))
    }

    pub(crate) fn calls(&self) -> usize {
        self.0.calls.load(Ordering::SeqCst)
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.0.dead.load(Ordering::SeqCst)
    }

    pub(crate) fn cut(&self) {
        self.0.dead.store(true, Ordering::SeqCst);
    }

    /// The way to AWS by `client`, as long as the process lives.
    pub(crate) fn through(&self, client: SharedHttpClient) -> SharedHttpClient {
        let lifeline = self.clone();
        http_client_fn(move |settings, components| {
            let way = client.http_connector(settings, components);
            SharedHttpConnector::new(Mortal { way, lifeline: lifeline.clone() })
        })
    }
}

#[derive(Debug)]
struct Mortal {
    way: SharedHttpConnector,
    lifeline: Lifeline,
}

impl HttpConnector for Mortal {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (way, lifeline) = (self.way.clone(), self.lifeline.clone());
        HttpConnectorFuture::new(async move {
            if lifeline.is_dead() {
                return pending().await;
            }
            let call = lifeline.0.calls.fetch_add(1, Ordering::SeqCst) + 1;
            let crash = lifeline.0.crash.filter(|crash| crash.call == call);
            if crash.is_some_and(|crash| !crash.done) {
                lifeline.cut();
                return pending().await;
            }
            let answer = way.call(request).await;
            if crash.is_some() {
                lifeline.cut();
            }
            if lifeline.is_dead() { pending().await } else { answer }
        })
    }
}
