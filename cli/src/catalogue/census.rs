//! Which rivers there are, by what SQS and the control plane have of them.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use event::names::{DEAD_LETTER_SUFFIX, River, Stage};
use event::route::{RIVER, VERSION_ROW};

use crate::client::{Resource, is_missing};
use crate::session::Session;

/// Rivers by what they have; those that others made by the same rule of names are among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Census(pub(super) BTreeMap<String, Belongings>);

/// What there is of a river.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Belongings {
    pub(super) queue: bool,
    pub(super) dead_letter_queue: bool,
    /// The control plane looks after it.
    pub(super) row: bool,
    /// It was told to take it down, and does so once it is empty.
    pub(super) is_going: bool,
}

impl Census {
    fn of_queues<'a>(names: impl IntoIterator<Item = &'a str>, stage: &Stage) -> Self {
        let suffix = format!("-{stage}");
        let mut census = Self::default();
        for name in names {
            let queue = name.strip_suffix(DEAD_LETTER_SUFFIX);
            let river = queue.unwrap_or(name).strip_suffix(&suffix);
            let Some(Ok(river)) = river.map(|river| River::parse(river, stage)) else { continue };
            let belongings = census.0.entry(river.as_str().to_owned()).or_default();
            match queue {
                Some(_) => belongings.dead_letter_queue = true,
                None => belongings.queue = true,
            }
        }
        census
    }

    /// Rivers that have something and no subscription, each with what that is. A queue alone may be anybody's.
    pub(super) fn orphans(&self, subscribed: &BTreeSet<&str>) -> Vec<(&str, &'static str)> {
        let of = |belongings: &Belongings| match belongings {
            Belongings { is_going: true, .. } => Some("is being taken down"),
            Belongings { queue: true, dead_letter_queue: true, .. }
            | Belongings { queue: true, row: true, .. } => Some("has queues and no subscription"),
            Belongings { queue: false, dead_letter_queue: true, .. } => {
                Some("is a dead-letter queue without its river")
            }
            Belongings { queue: false, row: true, .. } => {
                Some("has a row of the control plane, and neither queue nor subscription")
            }
            _ => None,
        };
        let orphans = self.0.iter().filter(|(river, _)| !subscribed.contains(river.as_str()));
        orphans.filter_map(|(river, belongings)| Some((river.as_str(), of(belongings)?))).collect()
    }
}

/// Looks at the queues of the account and at the table of rivers.
pub(super) async fn take(session: &Session) -> anyhow::Result<Census> {
    let mut pages = session.aws.sqs.list_queues().max_results(1_000).into_paginator().send();
    let mut names = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.context("listing the queues of the account (sqs:ListQueues)")?;
        let urls = page.queue_urls.unwrap_or_default();
        names.extend(urls.iter().filter_map(|url| url.rsplit('/').next()).map(str::to_owned));
    }
    let mut census = Census::of_queues(names.iter().map(String::as_str), &session.names.stage);
    let table = session.names.stage.rivers_table();
    let scan = session.aws.dynamodb.scan().table_name(&table).consistent_read(true);
    let mut rows = scan.into_paginator().items().send();
    while let Some(row) = rows.next().await {
        let row = match row {
            Ok(row) => row,
            Err(error) if is_missing(&error) => return Ok(census),
            Err(error) => return Err(Resource::Table(&table).refused(error)),
        };
        let Some(river) = row.get(RIVER).and_then(|river| river.as_s().ok()) else { continue };
        // Of a river that is gone its last command is left.
        if river == VERSION_ROW || !row.contains_key("CheckedAt") {
            continue;
        }
        let belongings = census.0.entry(river.clone()).or_default();
        belongings.row = true;
        belongings.is_going = row.contains_key("Removal");
    }
    Ok(census)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_queues_and_no_subscription_is_an_orphan() {
        let stage = Stage::parse("dev").unwrap();
        let names = [
            "r1-dev",
            "r1-dev-dlq",
            "old-dev",
            "old-dev-dlq",
            "mine-dev",
            "other-prod",
            "Rapids-dev-dlq",
            "Control-dev-dlq",
            "left-dev-dlq",
        ];
        let mut census = Census::of_queues(names, &stage);
        let row = Belongings { row: true, ..Belongings::default() };
        census.0.insert("gone".to_owned(), row);
        census.0.get_mut("r1").unwrap().row = true;
        let orphans = census.orphans(&BTreeSet::from(["r1"]));
        assert_eq!(
            orphans,
            [
                ("gone", "has a row of the control plane, and neither queue nor subscription"),
                ("left", "is a dead-letter queue without its river"),
                ("old", "has queues and no subscription"),
            ]
        );
    }
}
