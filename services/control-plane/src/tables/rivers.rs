//! Rows of `Rivers-{stage}`: how each river is fed, what is sent to it directly, and how it was found last.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::operation::get_item::builders::GetItemFluentBuilder;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem, Update};
use event::names::{River, Stage};
use event::route::{DIRECT, Direct, RIVER, Routing, VERSION, VERSION_ROW};
use jiff::Timestamp;

use super::{SUBSCRIBER, Tables, text};
use crate::error::Error;
use crate::plan::{Plan, Route};

const ROUTING: &str = "Routing";
const REMOVAL: &str = "Removal";
const REMOVED_AT: &str = "RemovedAt";
const LAST_COMMAND: &str = "LastCommand";
const ROUTE: &str = "Route";
const PROBLEM: &str = "Problem";
/// Of [`VERSION_ROW`]: the version that every shard of the rapids has heard of.
const NUDGED: &str = "Nudged";

/// What the table says of a river; all of it has a default, as a river that nobody commanded has no row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) routing: Routing,
    /// How it is fed at present, if that was decided before.
    pub(crate) route: Option<Route>,
    pub(crate) removal: Option<Removal>,
    pub(crate) direct: Option<Direct>,
    /// Whether something kept it from being what it should be when it was looked at last.
    pub(crate) hindered: bool,
}

/// A river that is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Removal {
    /// With what waits in it.
    pub(crate) discard: bool,
    pub(crate) since: Timestamp,
}

impl Row {
    fn of(row: &HashMap<String, AttributeValue>) -> Self {
        let word = |name: &str| row.get(name).and_then(|value| value.as_s().ok());
        let since = word(REMOVED_AT).and_then(|at| at.parse().ok()).unwrap_or(Timestamp::MIN);
        Self {
            routing: word(ROUTING).and_then(|text| Routing::parse(text)).unwrap_or_default(),
            route: word(ROUTE).and_then(|text| Route::parse(text)),
            removal: word(REMOVAL).map(|how| Removal { discard: how == "discard", since }),
            // What cannot be read is written anew.
            direct: word(DIRECT).and_then(|json| Direct::parse(json).ok()),
            hindered: word(PROBLEM).is_some(),
        }
    }

    /// Whether nothing is asked, and nothing is known, of the river.
    pub(crate) fn is_nothing(&self) -> bool {
        *self == Self { hindered: self.hindered, ..Self::default() }
    }

    /// Whether another row asks for the same.
    pub(crate) fn asks_as(&self, other: &Self) -> bool {
        (self.routing, self.removal) == (other.routing, other.removal)
    }
}

/// How far the routes have been changed, and how far readers were told so on every shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Versions {
    pub(crate) version: u64,
    pub(crate) nudged: u64,
}

impl Tables {
    pub(crate) async fn row(&self, river: &River) -> Result<Row, Error> {
        let found = self.get(river.as_str()).send().await;
        let found = found.map_err(|error| self.river_failed("DynamoDB GetItem", error))?;
        Ok(found.item.map(|row| Row::of(&row)).unwrap_or_default())
    }

    /// Whether a command at `place` of the control stream was written down already, or one behind it.
    pub(crate) async fn is_past(&self, river: &River, place: &str) -> Result<bool, Error> {
        let found = self.get(river.as_str()).send().await;
        let found = found.map_err(|error| self.river_failed("DynamoDB GetItem", error))?;
        let last = found.item.as_ref().and_then(|row| row.get(LAST_COMMAND)?.as_s().ok());
        Ok(last.is_some_and(|last| last.as_str() >= place))
    }

    /// Notes that the command at `place` is written down.
    pub(crate) async fn pass(&self, river: &River, place: &str) -> Result<(), Error> {
        let update = self
            .update_river(river.as_str())
            .update_expression("SET #last = :place")
            .condition_expression("attribute_not_exists(#last) OR #last < :place")
            .expression_attribute_names("#last", LAST_COMMAND)
            .expression_attribute_values(":place", text(place));
        self.apply(update).await
    }

    pub(crate) async fn set_routing(&self, river: &River, routing: Routing) -> Result<(), Error> {
        let update = self.update_river(river.as_str()).update_expression("SET #routing = :routing");
        let update = update.expression_attribute_names("#routing", ROUTING);
        let update = update.expression_attribute_values(":routing", text(routing.as_str()));
        self.apply(update).await
    }

    /// Says that the river is to go, and is not to be what it was should it come back; one that is to go already keeps
    /// its time.
    pub(crate) async fn set_removal(
        &self,
        river: &River,
        discard: bool,
        at: Timestamp,
    ) -> Result<(), Error> {
        let how = if discard { "discard" } else { "drain" };
        let update = self.update_river(river.as_str()).update_expression(format!(
            "SET #removal = :how, {REMOVED_AT} = if_not_exists({REMOVED_AT}, :at) REMOVE #routing"
        ));
        let update = update
            .expression_attribute_names("#removal", REMOVAL)
            .expression_attribute_names("#routing", ROUTING);
        let update = update.expression_attribute_values(":how", text(how));
        self.apply(update.expression_attribute_values(":at", text(&at.to_string()))).await
    }

    /// Says that the river is to stay.
    pub(crate) async fn keep(&self, river: &River) -> Result<(), Error> {
        let update = self.update_river(river.as_str());
        let update = update.update_expression(format!("REMOVE #removal, {REMOVED_AT}"));
        let update = update.condition_expression("attribute_exists(#removal)");
        self.apply(update.expression_attribute_names("#removal", REMOVAL)).await
    }

    /// Writes what is sent to the river directly, and counts the change in the same moment: a reader that sees the new
    /// count sees the new routes.
    pub(crate) async fn route_directly(
        &self,
        river: &River,
        direct: Option<&Direct>,
    ) -> Result<(), Error> {
        let change = Update::builder().table_name(&self.rivers).key(RIVER, text(river.as_str()));
        let change = change.expression_attribute_names("#direct", DIRECT);
        let change = match direct {
            Some(direct) => change
                .update_expression("SET #direct = :direct")
                .expression_attribute_values(":direct", text(&direct.to_json())),
            None => change.update_expression("REMOVE #direct"),
        };
        let count = Update::builder()
            .table_name(&self.rivers)
            .key(RIVER, text(VERSION_ROW))
            .update_expression("ADD #version :one")
            .expression_attribute_names("#version", VERSION)
            .expression_attribute_values(":one", AttributeValue::N("1".to_owned()));
        let mut write = self.dynamodb.transact_write_items();
        for update in [change, count] {
            let update = update.build().expect("a table, a key and an expression");
            write = write.transact_items(TransactWriteItem::builder().update(update).build());
        }
        let Err(error) = write.send().await else { return Ok(()) };
        let contended = matches!(
            error.as_service_error(),
            Some(
                TransactWriteItemsError::TransactionCanceledException(_)
                    | TransactWriteItemsError::TransactionInProgressException(_)
            )
        );
        let call = if contended {
            "DynamoDB TransactWriteItems, while others wrote as well:"
        } else {
            "DynamoDB TransactWriteItems"
        };
        Err(self.river_failed(call, error))
    }

    pub(crate) async fn versions(&self) -> Result<Versions, Error> {
        let found = self.get(VERSION_ROW).send().await;
        let found = found.map_err(|error| self.river_failed("DynamoDB GetItem", error))?;
        let row = found.item.unwrap_or_default();
        let number = |name: &str| row.get(name).and_then(|value| value.as_n().ok()?.parse().ok());
        let (version, nudged) = (number(VERSION), number(NUDGED));
        Ok(Versions { version: version.unwrap_or_default(), nudged: nudged.unwrap_or_default() })
    }

    /// Notes that every shard has heard of `version`.
    pub(crate) async fn nudged(&self, version: u64) -> Result<(), Error> {
        let update = self
            .update_river(VERSION_ROW)
            .update_expression("SET #nudged = :version")
            .condition_expression("attribute_not_exists(#nudged) OR #nudged < :version")
            .expression_attribute_names("#nudged", NUDGED)
            .expression_attribute_values(":version", AttributeValue::N(version.to_string()));
        self.apply(update).await
    }

    /// Notes how the river was found: in order at `at`, by which route and why, and what was left as it is.
    pub(crate) async fn checked(
        &self,
        river: &River,
        plan: &Plan,
        at: Timestamp,
    ) -> Result<(), Error> {
        // Texts: nothing in it can fail to be written.
        let findings = serde_json::to_string(&plan.findings).unwrap_or_default();
        let update = self
            .update_river(river.as_str())
            .update_expression(
                "SET CheckedAt = :at, #route = :route, RouteReason = :reason, Findings = :findings REMOVE Problem",
            )
            .expression_attribute_names("#route", ROUTE)
            .expression_attribute_values(":at", text(&at.to_string()))
            .expression_attribute_values(":route", text(plan.route.as_str()))
            .expression_attribute_values(":reason", text(&plan.reason))
            .expression_attribute_values(":findings", text(&findings));
        self.apply(update).await
    }

    /// Notes what keeps the river from being what it should be.
    pub(crate) async fn hindered(&self, river: &River, problem: &str) -> Result<(), Error> {
        let update = self.update_river(river.as_str()).update_expression("SET Problem = :problem");
        self.apply(update.expression_attribute_values(":problem", text(problem))).await
    }

    /// Notes that nothing keeps it any more.
    pub(crate) async fn unhindered(&self, river: &River) -> Result<(), Error> {
        self.apply(self.update_river(river.as_str()).update_expression("REMOVE Problem")).await
    }

    /// Removes the row of a river that is gone, unless somebody wants the river again.
    pub(crate) async fn forget(&self, river: &River) -> Result<(), Error> {
        // Its last command is remembered: an older one that is read again is not to bring it back.
        let update = self.update_river(river.as_str()).update_expression(format!(
            "REMOVE #removal, {REMOVED_AT}, #direct, #route, RouteReason, #routing, Findings, Problem, CheckedAt"
        ));
        let update = update
            .condition_expression("attribute_exists(#removal)")
            .expression_attribute_names("#removal", REMOVAL)
            .expression_attribute_names("#direct", DIRECT)
            .expression_attribute_names("#route", ROUTE)
            .expression_attribute_names("#routing", ROUTING);
        self.apply(update).await
    }

    /// Every river that has topics or a row that says something of it.
    pub(crate) async fn rivers(&self, stage: &Stage) -> Result<BTreeSet<River>, Error> {
        let mut rivers = BTreeSet::new();
        for (table, key) in [(&self.subscriptions, SUBSCRIBER), (&self.rivers, RIVER)] {
            let scan = self.dynamodb.scan().table_name(table).consistent_read(true);
            let scan =
                scan.projection_expression("#key, #removal, #direct, #routing, #route, Problem");
            let scan = scan
                .expression_attribute_names("#key", key)
                .expression_attribute_names("#removal", REMOVAL)
                .expression_attribute_names("#direct", DIRECT)
                .expression_attribute_names("#routing", ROUTING)
                .expression_attribute_names("#route", ROUTE);
            let mut rows = scan.into_paginator().items().send();
            while let Some(row) = rows.next().await {
                let row = row.map_err(|error| Error::of_call("DynamoDB Scan", table, error))?;
                // A row of nothing but its last command is of a river that is gone.
                let says = key == SUBSCRIBER || row.len() > 1;
                let name = row.get(key).and_then(|name| name.as_s().ok());
                let river = name.and_then(|name| River::parse(name, stage).ok());
                rivers.extend(river.filter(|_| says));
            }
        }
        Ok(rivers)
    }

    fn get(&self, river: &str) -> GetItemFluentBuilder {
        let get = self.dynamodb.get_item().table_name(&self.rivers).consistent_read(true);
        get.key(RIVER, text(river))
    }

    fn update_river(&self, river: &str) -> UpdateItemFluentBuilder {
        self.dynamodb.update_item().table_name(&self.rivers).key(RIVER, text(river))
    }

    fn river_failed<E>(
        &self,
        call: &'static str,
        error: aws_sdk_dynamodb::error::SdkError<E>,
    ) -> Error
    where
        E: aws_sdk_dynamodb::error::ProvideErrorMetadata
            + std::error::Error
            + Send
            + Sync
            + 'static,
    {
        Error::of_call(call, &self.rivers, error)
    }
}
