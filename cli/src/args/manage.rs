//! The grammar of the commands that say what a stage is, and what it is to be.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use event::route::Routing;

use super::Patience;

/// Commands that look at the desired state, or change it.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Manage {
    /// Say in a few lines how a stage is: streams, control plane, rivers, what waits, what is wrong
    #[command(
        after_help = "Examples:\n  rapids status --stage prod\n  rapids status --json | jq .problems"
    )]
    Status,
    /// List rivers: topics, route, state, what waits in them; look at one; route or remove one
    #[command(after_help = "Examples:\n  \
        rapids rivers\n  \
        rapids rivers show offer-engine\n  \
        rapids rivers route offer-engine direct\n  \
        rapids rivers remove old-service              # once it is empty\n\n\
        States: active; bridging, SNS may not deliver by the new filter yet and the rapids-reader does; pending, the \
        control plane works on it; degraded, it cannot, for the reason that `rivers show` tells; removing, it is deleted \
        once it is empty; idle, it has a queue and no topics.")]
    Rivers {
        #[command(subcommand)]
        command: Option<Rivers>,
    },
    /// Say what the control plane would do now, by which route and why, and what that costs
    #[command(after_help = "Examples:\n  \
        rapids plan                    # what was changed by other hands, and is not repaired yet\n  \
        rapids plan -f stage.yaml      # what `rapids apply -f stage.yaml` would come to\n\n\
        Costs are those of requests, at the prices that the control plane is configured with.")]
    Plan(Plan),
    /// Make a stage what a file says: rivers with their topics, advertised topics, experiments
    #[command(after_help = "Examples:\n  \
        rapids apply -f stage.yaml --dry-run\n  \
        rapids apply -f stage.yaml\n\n\
        The file:\n  \
        rivers:\n    \
          offer-engine:\n      \
            topics: [ViewPage, Offer.*]    # these and no others\n      \
            routing: auto                  # or sns, direct; left out: as it is\n  \
        topics:\n    \
          ViewPage:                        # advertised\n    \
          OfferProposed: {owner: offers, schema: {type: object, required: [price]}}\n  \
        experiments:\n    \
          ranking:\n      \
            on: [ViewPage]\n      \
            arms: [{name: control, weight: 90}, {name: bold, weight: 10}]\n\n\
        Rivers that are not in the file stay as they are, unless --prune is given. Everything in the file is checked \
        before anything is done; then what can be done is done. Exit code 1 if something could not.")]
    Apply(Apply),
}

/// What is done with rivers; without a word, they are listed.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Rivers {
    /// List them
    List,
    /// Tell all that is known of one
    #[command(after_help = "Example:\n  rapids rivers show offer-engine")]
    Show {
        /// The river
        river: String,
    },
    /// Choose how events reach a river
    #[command(after_help = "Example:\n  rapids rivers route offer-engine direct\n\n\
        auto: by SNS for as long as its limits allow it. sns: by a filter policy of the SNS topic. direct: the \
        rapids-reader writes to the queue.")]
    Route {
        /// The river
        river: String,
        /// By which way
        #[arg(value_enum)]
        way: Way,
        #[command(flatten)]
        patience: Patience,
    },
    /// Take a river down: nothing more is delivered, and once it is empty its queues are deleted
    #[command(after_help = "Examples:\n  \
        rapids rivers remove old-service\n  \
        rapids rivers remove old-service --discard    # with all that waits in it\n\n\
        Until it is empty, `rapids subscribe` brings it back. Messages in its dead-letter queue keep it: `rapids dlq \
        redrive` or `rapids dlq purge` empties that.")]
    Remove {
        /// The river
        river: String,
        /// Delete it at once, with the messages that are in it
        #[arg(long)]
        discard: bool,
        #[command(flatten)]
        patience: Patience,
    },
}

/// By which way events reach a river.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Way {
    /// By SNS for as long as its limits allow it
    Auto,
    /// By a filter policy of the SNS topic
    Sns,
    /// The rapids-reader writes to the queue
    Direct,
}

impl From<Way> for Routing {
    fn from(way: Way) -> Self {
        match way {
            Way::Auto => Self::Auto,
            Way::Sns => Self::Sns,
            Way::Direct => Self::Direct,
        }
    }
}

/// Settings of `plan`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Plan {
    /// What the stage is to be, as for `apply`; `-` for standard input
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// With --file: rivers that are not in it are to go
    #[arg(long, requires = "file")]
    pub(crate) prune: bool,
}

/// Settings of `apply`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Apply {
    /// What the stage is to be; `-` for standard input
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Remove rivers that are not in the file, once they are empty, and stop experiments that are not
    #[arg(long)]
    pub(crate) prune: bool,
    /// Only say what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) patience: Patience,
}
