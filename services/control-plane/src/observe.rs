//! Looks at a river: what the tables want of it, and what AWS has. Changes nothing.

use event::names::River;
use jiff::Timestamp;

use crate::act::Hands;
use crate::blueprint::Blueprint;
use crate::error::Error;
use crate::plan::View;
use crate::subscription::Listing;

/// What is wanted of a river, and what AWS has of it. Without a `listing` of the SNS topic's subscriptions they are
/// listed anew.
pub(crate) async fn observe(
    hands: &Hands,
    blueprint: &Blueprint,
    river: &River,
    listing: Option<&Listing>,
    now: Timestamp,
) -> Result<View, Error> {
    let Hands { queues, subscriptions, tables, .. } = hands;
    let endpoint = blueprint.arns.queue(&river.queue());
    let fresh = match listing {
        Some(_) => Listing::new(),
        None => subscriptions.list().await?,
    };
    let listing = listing.unwrap_or(&fresh);
    let mut view = View {
        row: tables.row(river).await?,
        versions: tables.versions().await?,
        dead_letter_queue: queues.find(&river.dead_letter_queue()).await?,
        queue: queues.find(&river.queue()).await?,
        subscription: subscriptions.find(listing, &endpoint).await?,
        policies: Some(listing.len()),
        now,
        ..View::default()
    };
    for (topic, wanted) in tables.wanted(river).await? {
        view.topics.insert(topic.clone(), wanted.status);
        view.filters.insert(topic.clone(), wanted.filter);
        view.rules.insert(topic, wanted.rules);
    }
    Ok(view)
}
