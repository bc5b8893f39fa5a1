//! The steps that a plan is made of.

use std::fmt;

use event::names::Topic;
use event::route::Line;

use crate::queue::Attributes;
use crate::subscription;

/// One step. Each can be done twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    CreateQueue {
        name: String,
    },
    SetQueue {
        name: String,
        attributes: Attributes,
    },
    /// Have the rapids-reader write these, and nothing else, to the queue.
    Route {
        lines: Vec<Line>,
    },
    /// Tell the readers on every shard, so that what comes behind is routed by what was written.
    Nudge,
    Subscribe {
        endpoint: String,
        attributes: subscription::Attributes,
    },
    SetSubscription {
        arn: String,
        name: String,
        value: String,
    },
    Unsubscribe {
        arn: String,
    },
    Activate {
        topic: Topic,
    },
    DeleteQueue {
        name: String,
    },
    /// Remove what the tables say of a river that is gone.
    Forget,
}

impl Action {
    /// What is done, in one word.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::CreateQueue { .. } => "createQueue",
            Self::SetQueue { .. } => "setQueue",
            Self::Route { .. } => "route",
            Self::Nudge => "nudge",
            Self::Subscribe { .. } => "subscribe",
            Self::SetSubscription { .. } => "setSubscription",
            Self::Unsubscribe { .. } => "unsubscribe",
            Self::Activate { .. } => "activate",
            Self::DeleteQueue { .. } => "deleteQueue",
            Self::Forget => "forget",
        }
    }
}

/// For people, as an order.
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateQueue { name } => write!(f, "create queue {name}"),
            Self::SetQueue { name, attributes } => {
                let names: Vec<_> = attributes.keys().map(String::as_str).collect();
                write!(f, "set {} of queue {name}", names.join(", "))
            }
            Self::Route { lines } if lines.is_empty() => {
                write!(f, "have the rapids-reader write nothing more to its queue")
            }
            Self::Route { lines } => {
                let lines: Vec<_> = lines.iter().map(line).collect();
                write!(f, "have the rapids-reader write {} to its queue", lines.join(", "))
            }
            Self::Nudge => write!(f, "tell the readers of every shard of the new routes"),
            Self::Subscribe { endpoint, attributes } => {
                let filter = attributes.get(subscription::FILTER_POLICY);
                let filter = filter.map_or("no filter", String::as_str);
                write!(f, "subscribe {endpoint} to the SNS topic, filter {filter}")
            }
            Self::SetSubscription { name, value, .. } => {
                write!(f, "set {name} of its subscription to {value}")
            }
            Self::Unsubscribe { arn } => write!(f, "remove subscription {arn}"),
            Self::Activate { topic } => write!(f, "say that topic {topic} is active"),
            Self::DeleteQueue { name } => write!(f, "delete queue {name}"),
            Self::Forget => write!(f, "forget the river"),
        }
    }
}

fn line(line: &Line) -> String {
    match line.until {
        Some(until) => format!("{} until {until:.0}", line.topic),
        None => line.topic.clone(),
    }
}
