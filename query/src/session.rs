//! An archive, opened for questions.

use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use archive::place::{self, Missing};
use archive::{Log, State};
use datafusion::common::TableReference;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{ScalarUDF, col, lit};
use datafusion::prelude::{SessionConfig, SessionContext};
use object_store::ObjectStore;

use crate::events::Events;
use crate::json::Json;

/// The name of the archive's store within the session; its files are named from the archive's root.
const STORE: &str = "archive://files";
/// The table of all events.
const EVENTS: &str = "events";

/// Opens the archive in a place, as it is now.
///
/// # Errors
/// No archive is there, or it cannot be read.
pub(crate) async fn open(place: &str) -> anyhow::Result<SessionContext> {
    let store = place::open(place, Missing::Refuse)?;
    let state = Log::new(Arc::clone(&store)).open().await;
    let state = state.with_context(|| format!("opening the archive in {place}"))?;
    if state.next == 0 {
        return Err(anyhow!(
            "the archive in {place} is empty: `archive` writes the first events some seconds after they are sent"
        ));
    }
    on(store, &state).await
}

/// A session over a state of an archive.
pub(crate) async fn on(
    store: Arc<dyn ObjectStore>,
    state: &State,
) -> anyhow::Result<SessionContext> {
    let url = ObjectStoreUrl::parse(STORE)?;
    let config = SessionConfig::new().with_information_schema(true);
    let session = SessionContext::new_with_config(config);
    session.register_object_store(url.as_ref(), store);
    session.register_udf(ScalarUDF::from(Json::default()));
    let events = Arc::new(Events::of(state, url));
    session.register_table(EVENTS, events)?;
    let mut types: Vec<_> =
        state.partitions().map(|(partition, _)| &partition.event_type).collect();
    types.dedup();
    let all = session.table(EVENTS).await?;
    for event_type in types {
        // SQL reads ViewPage as viewpage, unless it is in quotes.
        for name in [event_type.clone(), event_type.to_lowercase()] {
            let name = TableReference::bare(name);
            if !session.table_exist(name.clone())? {
                let of_type = all.clone().filter(col("event_type").eq(lit(event_type)))?;
                session.register_table(name, of_type.into_view())?;
            }
        }
    }
    Ok(session)
}
