//! What is fed directly, as the control plane has written it down (see [`event::route`]).

mod index;

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::AttributeValue;
use event::names::Stage;
use event::route::{DIRECT, RIVER, VERSION, VERSION_ROW};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, info, warn};

use crate::metrics::Metrics;
pub(crate) use index::Index;

/// Shards that wait for one look at a time; more of them wait to ask.
const ASKS_MAX: usize = 64;

/// The routes, looked up every so often and whenever somebody asks. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Routes {
    /// Nothing until they were looked up once.
    known: watch::Receiver<Option<Arc<Index>>>,
    asks: mpsc::Sender<Ask>,
}

/// Told when a look that began after the asking has ended.
type Ask = oneshot::Sender<Result<(), String>>;

/// Looks, and tells those who know.
struct Looker {
    dynamodb: Client,
    table: String,
    metrics: Metrics,
    known: watch::Sender<Option<Arc<Index>>>,
    asks: mpsc::Receiver<Ask>,
}

impl Routes {
    /// Looks now, and every so often until `stop`. A look that fails leaves what is known.
    pub(crate) async fn watch(
        dynamodb: Client,
        stage: &Stage,
        every: Duration,
        metrics: Metrics,
        stop: CancellationToken,
    ) -> Self {
        let (known, receiver) = watch::channel(None);
        let (sender, asks) = mpsc::channel(ASKS_MAX);
        let mut looker = Looker { dynamodb, table: stage.rivers_table(), metrics, known, asks };
        looker.look_and_log().await.ok(); // Then the first batch asks again.
        tokio::spawn(looker.run(every, stop).in_current_span());
        Self { known: receiver, asks: sender }
    }

    /// What is known, if anything is.
    pub(crate) fn known(&self) -> Option<Arc<Index>> {
        self.known.borrow().clone()
    }

    /// What is there now: every change that was complete before the call is in it.
    ///
    /// # Errors
    /// Why it cannot be told. What is known may be too old, and nothing may be routed by it that must not be.
    pub(crate) async fn look(&self) -> Result<Arc<Index>, String> {
        let ended = || "nobody looks for routes any more: the reader stops".to_owned();
        let (ask, told) = oneshot::channel();
        self.asks.send(ask).await.map_err(|_| ended())?;
        told.await.map_err(|_| ended())??;
        self.known().ok_or_else(ended)
    }
}

impl Looker {
    async fn run(mut self, every: Duration, stop: CancellationToken) {
        loop {
            let mut asked = Vec::new();
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                // Whoever asked before the look begins is told by it: shards that share a nudge share a look.
                count = self.asks.recv_many(&mut asked, ASKS_MAX) => if count == 0 { return },
                () = sleep(every) => {}
            }
            let looked = self.look_and_log().await;
            for ask in asked {
                ask.send(looked.clone()).ok(); // Who asked may have lost its shard.
            }
        }
    }

    async fn look_and_log(&mut self) -> Result<(), String> {
        let looked = self.look().await;
        if let Err(error) = &looked {
            warn!(table = self.table, error, "could not look for routes");
        }
        looked
    }

    /// Reads the version, and the rows if it is another one. Rows are written before the version is raised, so those
    /// read after it are of that version or later.
    async fn look(&mut self) -> Result<(), String> {
        let before = self.known.borrow().clone();
        let version = self.version().await?;
        if before.as_ref().is_some_and(|known| known.version() == version) {
            return Ok(());
        }
        // Nothing was ever fed directly where nothing was counted: most stages have no table to scan.
        let rows = if version == 0 { Vec::new() } else { self.rows().await? };
        let (index, unreadable) = Index::compile(version, rows, &before.unwrap_or_default());
        for index::Unreadable { river, reason } in &unreadable {
            warn!(river, reason, "a route cannot be read: the river keeps what it had");
        }
        self.metrics.routes(index.rivers(), version, unreadable.len());
        info!(version, rivers = index.rivers(), "routes were read");
        self.known.send_replace(Some(Arc::new(index)));
        Ok(())
    }

    /// 0 where there is no table or no row.
    async fn version(&self) -> Result<u64, String> {
        let key = AttributeValue::S(VERSION_ROW.to_owned());
        let get = self.dynamodb.get_item().table_name(&self.table).key(RIVER, key);
        let item = match get.consistent_read(true).send().await {
            Ok(found) => found.item.unwrap_or_default(),
            Err(error) if is_missing(&error) => return Ok(0),
            Err(error) => return Err(chassis::explain(&error)),
        };
        let Some(version) = item.get(VERSION) else { return Ok(0) };
        let number = version.as_n().ok().and_then(|number| number.parse().ok());
        number.ok_or_else(|| format!("{VERSION} of row {VERSION_ROW} is no number: {version:?}"))
    }

    async fn rows(&self) -> Result<Vec<(String, String)>, String> {
        let scan = self.dynamodb.scan().table_name(&self.table).consistent_read(true);
        let scan = scan.projection_expression("#river, #direct");
        let scan = scan.expression_attribute_names("#river", RIVER);
        let scan = scan.expression_attribute_names("#direct", DIRECT);
        let mut items = scan.into_paginator().items().send();
        let mut rows = Vec::new();
        while let Some(item) = items.next().await {
            let mut item = match item {
                Ok(item) => item,
                Err(error) if is_missing(&error) => return Ok(Vec::new()),
                Err(error) => return Err(chassis::explain(&error)),
            };
            let mut text = |name: &str| match item.remove(name) {
                Some(AttributeValue::S(text)) => Some(text),
                _ => None,
            };
            rows.extend(text(RIVER).zip(text(DIRECT)));
        }
        Ok(rows)
    }
}

fn is_missing<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
    code == Some("ResourceNotFoundException")
}

#[cfg(test)]
mod tests;
