//! By which way the events of a river reach it.

use event::route::Routing;

use crate::error::Error;
use crate::subscription::FILTER_VALUES_MAX;

/// Filter policies that a topic may have
/// (<https://docs.aws.amazon.com/sns/latest/dg/subscription-filter-policy-constraints.html>).
pub(crate) const POLICIES_MAX: usize = 200;
/// A river that became direct because there were too many goes back below this, so that one more or less does not move
/// rivers to and fro.
const POLICIES_FEW: usize = 180;

/// A way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Route {
    /// The river has a subscription with a filter policy.
    #[default]
    Sns,
    /// The rapids-reader writes to its queue.
    Direct,
}

impl Route {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Sns => "sns",
            Self::Direct => "direct",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Sns, Self::Direct].into_iter().find(|known| known.as_str() == text)
    }
}

/// What the choice depends on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Facts<'a> {
    pub(crate) routing: Routing,
    pub(crate) current: Option<Route>,
    /// Topics, of which each is a value of the filter policy.
    pub(crate) topics: usize,
    /// Whether the river has its subscription.
    pub(crate) subscribed: bool,
    /// Subscriptions of the SNS topic, where they were counted.
    pub(crate) policies: Option<usize>,
    /// What SNS said when it refused one more.
    pub(crate) refused: Option<&'a str>,
}

/// The way, and why this one.
///
/// # Errors
/// More topics than SNS takes in a river that is told to go by SNS.
pub(crate) fn decide(facts: &Facts<'_>) -> Result<(Route, String), Error> {
    let too_many = facts.topics > FILTER_VALUES_MAX;
    let count = facts.topics;
    match facts.routing {
        Routing::Direct => Ok((Route::Direct, "as commanded".to_owned())),
        Routing::Sns if too_many => {
            let why = format!("{count} topics, and an SNS filter policy holds {FILTER_VALUES_MAX}");
            Err(Error::Refused { what: "routing by sns".to_owned(), why })
        }
        Routing::Sns => Ok((Route::Sns, "as commanded".to_owned())),
        Routing::Auto => Ok(decide_freely(facts, too_many)),
    }
}

fn decide_freely(facts: &Facts<'_>, too_many: bool) -> (Route, String) {
    let count = facts.topics;
    if too_many {
        let why = format!("{count} topics, and an SNS filter policy holds {FILTER_VALUES_MAX}");
        return (Route::Direct, why);
    }
    if let Some(refused) = facts.refused {
        return (Route::Direct, format!("SNS takes no more: {refused}"));
    }
    if !facts.subscribed {
        let few = facts.current == Some(Route::Direct);
        let most = if few { POLICIES_FEW } else { POLICIES_MAX };
        if let Some(policies) = facts.policies.filter(|&policies| policies >= most) {
            let why =
                format!("the SNS topic has {policies} subscriptions, and takes {POLICIES_MAX}");
            return (Route::Direct, why);
        }
    }
    (Route::Sns, "within the limits of SNS".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(facts: Facts<'_>) -> Route {
        decide(&facts).unwrap().0
    }

    #[test]
    fn sns_is_chosen_for_as_long_as_its_limits_allow_it() {
        let facts = |topics| Facts { topics, policies: Some(199), ..Facts::default() };
        assert_eq!(chosen(facts(150)), Route::Sns);
        assert_eq!(chosen(facts(151)), Route::Direct);
        let full = Facts { policies: Some(200), ..facts(1) };
        assert_eq!(chosen(full), Route::Direct);
        assert_eq!(chosen(Facts { subscribed: true, ..full }), Route::Sns, "it is one of the 200");
        assert_eq!(chosen(Facts { refused: Some("no"), ..facts(1) }), Route::Direct);
    }

    #[test]
    fn a_river_that_had_to_be_direct_goes_back_when_there_is_room_again() {
        let current = Some(Route::Direct);
        let facts = |policies| Facts { current, topics: 1, policies, ..Facts::default() };
        assert_eq!(chosen(facts(Some(180))), Route::Direct);
        assert_eq!(chosen(facts(Some(179))), Route::Sns);
    }

    #[test]
    fn a_command_is_followed_or_refused_with_the_limit() {
        let facts = |routing, topics| Facts { routing, topics, ..Facts::default() };
        assert_eq!(chosen(facts(Routing::Direct, 1)), Route::Direct);
        assert_eq!(chosen(facts(Routing::Sns, 150)), Route::Sns);
        let refused = decide(&facts(Routing::Sns, 151)).unwrap_err().to_string();
        assert!(refused.contains("151 topics") && refused.contains("holds 150"), "{refused}");
    }
}
