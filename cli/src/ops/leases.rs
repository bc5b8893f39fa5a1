//! The table of an application's leases, written by nothing but the transitions of the client library.

use anyhow::{Context as _, bail};
use aws_sdk_dynamodb::types::AttributeValue;
use kcl::Lease;
use kcl::lease::transition::Transition;

use crate::client::is_missing;
use crate::session::Session;

/// Key of a row, as the Kinesis Client Library has it.
const LEASE_KEY: &str = "leaseKey";

/// The leases of one application.
#[derive(Debug)]
pub(super) struct Leases<'a> {
    session: &'a Session,
    pub(super) table: String,
}

impl<'a> Leases<'a> {
    pub(super) fn of(session: &'a Session, application: &str) -> Self {
        Self { session, table: session.names.stage.lease_table(application) }
    }

    /// All of them, by shard; none where there is no table, so where the application never ran.
    pub(super) async fn all(&self) -> anyhow::Result<Option<Vec<Lease>>> {
        let scan = self.session.aws.dynamodb.scan().table_name(&self.table).consistent_read(true);
        let mut rows = scan.into_paginator().items().send();
        let mut leases = Vec::new();
        while let Some(row) = rows.next().await {
            let row = match row {
                Ok(row) => row,
                Err(error) if is_missing(&error) => return Ok(None),
                Err(error) => {
                    return Err(anyhow::Error::new(error).context(format!("table {}", self.table)));
                }
            };
            leases.extend(Lease::decode(&row).with_context(|| format!("table {}", self.table))?);
        }
        leases.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(Some(leases))
    }

    /// The lease of a shard.
    pub(super) async fn one(&self, shard: &str) -> anyhow::Result<Lease> {
        let table = &self.table;
        let Some(leases) = self.all().await? else {
            bail!("table {table} does not exist: its application has not run in this stage");
        };
        let found = leases.into_iter().find(|lease| lease.key == shard);
        found.with_context(|| {
            format!("table {table} has no lease of {shard}: `rapids lease list` lists them")
        })
    }

    /// Makes a transition from the lease as it was seen; the lease afterwards.
    pub(super) async fn make(
        &self,
        transition: &Transition,
        seen: &Lease,
    ) -> anyhow::Result<Lease> {
        let write = transition.write(seen);
        let update = self.session.aws.dynamodb.update_item().table_name(&self.table);
        let update = update
            .key(LEASE_KEY, AttributeValue::S(write.key))
            .condition_expression(write.condition)
            .update_expression(write.update)
            .set_expression_attribute_values(
                Some(write.values).filter(|values| !values.is_empty()),
            );
        let shard = &seen.key;
        match update.send().await {
            Ok(_) => Ok(transition.apply(seen)),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|e| e.is_conditional_check_failed_exception()) =>
            {
                bail!(
                    "the lease of {shard} was written by its worker in this moment: give the command again"
                )
            }
            Err(error) => {
                Err(anyhow::Error::new(error)
                    .context(format!("lease of {shard} in {}", self.table)))
            }
        }
    }
}
