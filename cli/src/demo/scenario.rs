//! The travel scenario: who says what.

use event::control::Command;
use event::names::{InvalidName, River, Stage};
use event::{Event, Producer};
use jiff::Timestamp;
use serde_json::json;

/// Somebody looks at a page.
pub(crate) const VIEW_PAGE: &str = "ViewPage";
/// Segmentation has said what kind of traveller a customer is.
pub(crate) const CUSTOMER_SEGMENTED: &str = "CustomerSegmented";
/// Membership has said what tier a customer has.
pub(crate) const MEMBERSHIP_RESOLVED: &str = "MembershipResolved";
/// A service makes an offer.
pub(crate) const OFFER_PROPOSED: &str = "OfferProposed";
/// The offer engine has chosen.
pub(crate) const OFFERS_SELECTED: &str = "OffersSelected";

/// Bases of an offer: on what the service knew when it made it.
pub(crate) mod basis {
    /// The view alone.
    pub(crate) const BASELINE: &str = "baseline";
    /// View and segment.
    pub(crate) const SEGMENT: &str = "segment";
    /// View, segment and tier.
    pub(crate) const COMBINED: &str = "segment+tier";
}

/// The river for those who are interested in offers.
const OFFERS: &str = "offers";

pub(crate) fn offers_river(stage: &Stage) -> Result<River, InvalidName> {
    River::parse(OFFERS, stage)
}

pub(crate) fn offers_subscription() -> Command {
    Command::subscribe(OFFERS, OFFERS_SELECTED)
}

/// The original's event. It says who sent it, as all that follow do.
pub(crate) fn sally_looks_at_a_page(at: Timestamp) -> Event {
    let mut event = Event::root(VIEW_PAGE, "TheSource", json!({ "name": "Sally" }), at);
    event.producer = Some(Producer {
        service: "rapids".to_owned(),
        version: chassis::VERSION.to_owned(),
        instance: "demo".to_owned(),
    });
    event
}
