//! Taking part in a fleet of KCL 3.x, whose leader assigns the leases.
//!
//! A worker takes part by three things: it goes by the rules that the fleet has agreed on ([`Participant::look`]),
//! it says that it lives ([`Participant::report`]) and it asks what it was given ([`Participant::assigned`]).
//! It never leads and never moves the fleet from one agreement to the next.
//!
//! The tables of KCL 3.0 to 3.4 are looked for under their default names, `<lease table>-CoordinatorState` and
//! `<lease table>-WorkerMetricStats`.

pub(crate) mod coordinator;
pub(crate) mod metric_stats;
#[cfg(test)]
mod tests;

use std::time::SystemTime;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::AttributeValue;
use tracing::{info, warn};

use crate::error::{Cause, Error};
use crate::lease::{ENTITY_TYPE, Item, LEASE_KEY, LEASE_OWNER};
use coordinator::{
    ClientVersion, Coordination, Home, MIGRATION, Regime, TABLE_MIGRATION, TableMigration,
};
use metric_stats::{MetricStats, UPDATED, WORKER_ID, WORKER_METRIC_STATS};

/// The index by which a worker finds its leases. The leader creates it.
const OWNER_INDEX: &str = "LeaseOwnerToLeaseKeyIndex";
/// Partition key of the coordinator's own table.
const COORDINATOR_KEY: &str = "key";

/// A worker's part in a fleet of KCL 3.x.
#[derive(Debug)]
pub(crate) struct Participant {
    dynamodb: Client,
    leases: String,
    coordinator: String,
    metrics: String,
    worker: String,
    seen: Coordination,
}

impl Participant {
    pub(crate) fn new(dynamodb: Client, lease_table: &str, worker: &str) -> Self {
        Self {
            dynamodb,
            leases: lease_table.to_owned(),
            coordinator: format!("{lease_table}-CoordinatorState"),
            metrics: format!("{lease_table}-WorkerMetricStats"),
            worker: worker.to_owned(),
            seen: Coordination::default(),
        }
    }

    /// Reads what the fleet has agreed on. To be asked before every round of writes, so that a change stops
    /// the taker before its next write.
    ///
    /// # Errors
    /// [`Error::LeaseTable`], when DynamoDB did not tell. Then nothing may be taken.
    pub(crate) async fn look(&mut self) -> Result<Regime, Error> {
        let now = self.coordination().await?;
        if now != self.seen {
            info!(table = self.leases, before = ?self.seen, ?now, "the fleet's agreement changed");
            if now.version == Some(ClientVersion::Unknown) {
                warn!(table = self.leases, "the fleet is newer than this worker: it takes nothing");
            }
            self.seen = now;
        }
        Ok(coordinator::regime(&now))
    }

    /// `CoordinatorStateDAO`: once the migration is complete the lease table alone counts, until then what
    /// the coordinator's own table says comes first. Without that table there was nothing to migrate.
    async fn coordination(&self) -> Result<Coordination, Error> {
        let version = self.row(&self.leases, LEASE_KEY, MIGRATION).await?.row();
        let version = version.map(|row| ClientVersion::decode(&row));
        let migration = self.row(&self.leases, LEASE_KEY, TABLE_MIGRATION).await?.row();
        let migration = migration.map(|row| TableMigration::decode(&row));
        let one_table = Coordination { version, migration, own_table: false };
        // An application whose version was found in the one table gets no others any more.
        let settled = version.is_some() && self.seen.version.is_some() && !self.seen.own_table;
        if settled || migration == Some(TableMigration::Complete) {
            return Ok(one_table);
        }
        let migration = match self.row(&self.coordinator, COORDINATOR_KEY, TABLE_MIGRATION).await? {
            Found::NoTable => return Ok(one_table),
            Found::NoRow => None,
            Found::Row(row) => Some(TableMigration::decode(&row)),
        };
        let own = self.row(&self.coordinator, COORDINATOR_KEY, MIGRATION).await?.row();
        let version = own.map(|row| ClientVersion::decode(&row)).or(version);
        Ok(Coordination { version, migration, own_table: true })
    }

    /// Tells the leader that this worker lives, if the fleet is such that it may. To be called each
    /// [`metric_stats::REPORT_INTERVAL`], after a [`Self::look`].
    ///
    /// # Errors
    /// [`Error::LeaseTable`], when DynamoDB did not take it. The next report is the retry; after two missed
    /// ones the leader gives this worker's leases away.
    pub(crate) async fn report(&self, now: SystemTime, throughput_kbps: f64) -> Result<(), Error> {
        let table = match coordinator::metrics_home(&self.seen) {
            None => return Ok(()),
            Some(Home::LeaseTable) => &self.leases,
            Some(Home::OwnTable) => &self.metrics,
            Some(Home::WithTheOthers) if self.others_moved(now).await? => &self.leases,
            Some(Home::WithTheOthers) => &self.metrics,
        };
        let stats = MetricStats::of(&self.worker, now, throughput_kbps);
        let mut write = self.dynamodb.update_item().table_name(table);
        write = write.key(self.metrics_key(table), AttributeValue::S(self.worker.clone()));
        let mut update = Vec::new();
        for (name, value) in stats.attributes() {
            update.push(format!("#{name} = :{name}"));
            write = write
                .expression_attribute_names(format!("#{name}"), name)
                .expression_attribute_values(format!(":{name}"), value);
        }
        let write = write.update_expression(format!("SET {}", update.join(", ")));
        write.send().await.map_err(|error| failed("report", table, error))?;
        Ok(())
    }

    /// Whether a Java worker has begun to write its metrics to the lease table.
    async fn others_moved(&self, now: SystemTime) -> Result<bool, Error> {
        let scan = self.dynamodb.scan().table_name(&self.leases);
        let kind = AttributeValue::S(WORKER_METRIC_STATS.to_owned());
        let scan = scan
            .filter_expression(format!("{ENTITY_TYPE} = :kind"))
            .expression_attribute_values(":kind", kind);
        let mut rows = scan.into_paginator().items().send();
        let mut moved = false;
        while let Some(row) = rows.next().await {
            let row = row.map_err(|error| failed("Scan", &self.leases, error))?;
            let other = MetricStats::decode(&row);
            moved |= other.is_some_and(|other| !other.is_ours() && other.is_fresh(now));
        }
        Ok(moved)
    }

    /// The leases that name this worker as their owner, by the index; `None` where there is no index yet, and
    /// the table has to be scanned. The index lags behind: whoever takes up a lease reads it first, and leaves
    /// it alone while another worker still processes it (`checkpointOwner`).
    ///
    /// # Errors
    /// [`Error::LeaseTable`], when DynamoDB did not tell.
    pub(crate) async fn assigned(&self) -> Result<Option<Vec<String>>, Error> {
        let query = self.dynamodb.query().table_name(&self.leases).index_name(OWNER_INDEX);
        let query = query
            .key_condition_expression(format!("{LEASE_OWNER} = :me"))
            .expression_attribute_values(":me", AttributeValue::S(self.worker.clone()));
        let mut rows = query.into_paginator().items().send();
        let mut keys = Vec::new();
        while let Some(row) = rows.next().await {
            match row {
                Ok(row) => keys.extend(row.get(LEASE_KEY).and_then(|key| key.as_s().ok()).cloned()),
                // "The table does not have the specified index", or it is being filled.
                Err(error) if has_code(&error, "ValidationException") => return Ok(None),
                Err(error) => return Err(failed("Query", &self.leases, error)),
            }
        }
        keys.sort();
        Ok(Some(keys))
    }

    /// Tells the leader that this worker is gone, so that nothing is assigned to it any more. A Java worker
    /// leaves its row behind, and gets leases for another minute.
    ///
    /// # Errors
    /// [`Error::LeaseTable`], when DynamoDB did not take it; the row then grows old by itself.
    pub(crate) async fn withdraw(&self) -> Result<(), Error> {
        if coordinator::metrics_home(&self.seen).is_none() {
            return Ok(());
        }
        let tables = [Some(&self.leases), self.seen.own_table.then_some(&self.metrics)];
        for table in tables.into_iter().flatten() {
            let delete = self.dynamodb.delete_item().table_name(table);
            let delete = delete
                .key(self.metrics_key(table), AttributeValue::S(self.worker.clone()))
                .condition_expression(format!("attribute_exists({UPDATED})"));
            match delete.send().await {
                Ok(_) => {}
                Err(error) if has_code(&error, "ConditionalCheckFailedException") => {}
                Err(error) => return Err(failed("withdraw", table, error)),
            }
        }
        Ok(())
    }

    fn metrics_key(&self, table: &str) -> &'static str {
        if table == self.leases { LEASE_KEY } else { WORKER_ID }
    }

    async fn row(&self, table: &str, name: &str, key: &str) -> Result<Found, Error> {
        let get = self.dynamodb.get_item().table_name(table).consistent_read(true);
        match get.key(name, AttributeValue::S(key.to_owned())).send().await {
            Ok(reply) => Ok(reply.item.map_or(Found::NoRow, Found::Row)),
            Err(error) if has_code(&error, "ResourceNotFoundException") => Ok(Found::NoTable),
            Err(error) => Err(failed("GetItem", table, error)),
        }
    }
}

/// What was read at a key.
enum Found {
    Row(Item),
    NoRow,
    NoTable,
}

impl Found {
    fn row(self) -> Option<Item> {
        match self {
            Self::Row(row) => Some(row),
            Self::NoRow | Self::NoTable => None,
        }
    }
}

fn has_code<E: ProvideErrorMetadata>(error: &SdkError<E>, code: &str) -> bool {
    error.as_service_error().and_then(ProvideErrorMetadata::code) == Some(code)
}

fn failed(operation: &'static str, table: &str, source: impl Into<Cause>) -> Error {
    Error::LeaseTable { operation, table: table.to_owned(), source: source.into() }
}
