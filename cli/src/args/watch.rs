//! The grammar of the commands that look at what flows, and put right what got stuck.

use clap::{Args, Subcommand};

use super::words::{Moment, Place};

/// Commands that look, and those that send again.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Watch {
    /// Show events as they come onto the rapids, from all shards, in the order of their arrival
    #[command(after_help = "Examples:\n  \
        rapids tail --type 'Offer*' --where /payload/name=Sally\n  \
        rapids tail --since 10m --no-follow --json | jq .eventType\n\n\
        Records that are no events are shown as such, unless only some events were asked for, and counted.")]
    Tail(Tail),
    /// Show a conversation as a tree: which event caused which, by whom, how long after its first
    #[command(after_help = "Example:\n  \
        rapids send ViewPage web '{\"name\":\"Sally\"}'     # says: sent 019ab2c4-…\n  \
        rapids trace 019ab2c4 --wait 5")]
    Trace(Trace),
    /// Show who emits which types and which rivers consume them, from what was seen
    #[command(after_help = "Example:\n  \
        rapids flow --since 1h\n  \
        rapids flow --mermaid > flow.mmd\n\n\
        A service is said to answer a type when an event of it names one of that type as its cause.")]
    Flow(Flow),
    /// Say why an event is, or is not, delivered to a river
    #[command(after_help = "Examples:\n  \
        rapids explain offer-engine 019ab2c4        # an event on the rapids, by its id or the begin of it\n  \
        rapids explain offer-engine event.json\n  \
        echo '{\"eventType\":\"ViewPage\",…}' | rapids explain offer-engine -\n\n\
        Exit code 0 when it could be explained, delivered or not.")]
    Explain(Explain),
    /// Look into dead-letter queues, and send back what lies there
    #[command(subcommand)]
    Dlq(Dlq),
    /// Send events that the rapids still hold to a river again
    #[command(after_help = "Example:\n  \
        rapids replay --from 2h --to 1h --river offer-engine --dry-run\n\n\
        Sent is what the river is subscribed to, to its queue alone, with the message attribute `replay`. Inboxes drop \
        events that their service has settled already: a replay helps where events were lost to a river, or came \
        before it was subscribed.")]
    Replay(Replay),
}

/// Which events are meant; all, where nothing is said.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pick {
    /// Only events of this type; `Offer*` is every type that begins so. May be given several times
    #[arg(long = "type", value_name = "PATTERN")]
    pub(crate) types: Vec<String>,
    /// Only events with this value there: /payload/name=Sally. May be given several times: all must hold
    #[arg(long = "where", value_name = "POINTER=VALUE", value_parser = Place::parse)]
    pub(crate) places: Vec<Place>,
}

/// Settings of `tail`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Tail {
    #[command(flatten)]
    pub(crate) pick: Pick,
    /// Only events of this producer, or of this domain
    #[arg(long, value_name = "NAME")]
    pub(crate) source: Option<String>,
    /// Only events of this conversation; the begin of its id will do
    #[arg(long, value_name = "ID")]
    pub(crate) correlation: Option<String>,
    /// Begin there: 10m ago, a time, or `beginning` [default: now]
    #[arg(long, value_name = "WHEN", value_parser = Moment::parse)]
    pub(crate) since: Option<Moment>,
    /// Go on until Ctrl-C (the default)
    #[arg(long, overrides_with = "no_follow")]
    pub(crate) follow: bool,
    /// End when what is there has been shown
    #[arg(long, overrides_with = "follow")]
    pub(crate) no_follow: bool,
    /// End after so many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) max: Option<u64>,
}

impl Tail {
    /// Whether to go on for what is still to come.
    pub(crate) fn follows(&self) -> bool {
        !self.no_follow
    }
}

/// Settings of `trace`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Trace {
    /// Id of one of its events, or the begin of one if no other conversation has it
    pub(crate) id: String,
    /// A flowchart for Mermaid
    #[arg(long)]
    pub(crate) mermaid: bool,
    /// How far back to look
    #[arg(long, default_value = "24h", value_name = "WHEN", value_parser = Moment::parse)]
    pub(crate) since: Moment,
    /// Go on looking for so long, for what is still to come
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    pub(crate) wait: u16,
}

/// Settings of `flow`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Flow {
    /// How far back to look
    #[arg(long, default_value = "1h", value_name = "WHEN", value_parser = Moment::parse)]
    pub(crate) since: Moment,
    /// A flowchart for Mermaid
    #[arg(long)]
    pub(crate) mermaid: bool,
}

/// Settings of `explain`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Explain {
    /// The river
    pub(crate) river: String,
    /// Id of an event on the rapids, a file with its JSON, or `-` for standard input
    pub(crate) event: String,
    /// How far back to look for the id
    #[arg(long, default_value = "24h", value_name = "WHEN", value_parser = Moment::parse)]
    pub(crate) since: Moment,
}

/// What is done with dead-letter queues.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Dlq {
    /// List the dead-letter queues of the stage: how much is in them, and since when
    #[command(after_help = "Example:\n  rapids dlq list\n\n\
        Counts are SQS's approximate ones. The oldest message is that of ten which are received for it and put back at \
        once: their receive counts rise by one.")]
    List {
        /// Only this river's
        river: Option<String>,
    },
    /// Show messages and why they are there, and put them back
    #[command(after_help = "Example:\n  rapids dlq show offer-engine --reason not_json\n\n\
        SQS shows nothing without receiving it: the messages are hidden from others while they are read, and their \
        receive counts rise by one. They are put back at once.")]
    Show {
        /// A river, a dead-letter queue, or `rapids` or `control`
        queue: String,
        /// Most messages that are shown
        #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        max: u64,
        #[command(flatten)]
        only: Only,
    },
    /// Send messages back to where they came from: their river, the rapids, or the control stream
    #[command(
        after_help = "Example:\n  rapids dlq redrive offer-engine --reason permanent --dry-run\n\n\
        A message is deleted only after its copy was accepted: a crash in between leaves a copy, and never loses one. \
        What is left out becomes visible again at the end."
    )]
    Redrive {
        /// A river, a dead-letter queue, or `rapids` or `control`
        queue: String,
        #[command(flatten)]
        only: Only,
        /// Most messages a second
        #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
        rate: u32,
        /// Only say what would be sent
        #[arg(long)]
        dry_run: bool,
        /// Change each body in $VISUAL or $EDITOR first; an empty file leaves the message where it is
        #[arg(long, conflicts_with = "dry_run")]
        edit: bool,
    },
    /// Delete messages for ever
    #[command(after_help = "Example:\n  rapids dlq purge offer-engine --reason not_json --yes")]
    Purge {
        /// A river, a dead-letter queue, or `rapids` or `control`
        queue: String,
        #[command(flatten)]
        only: Only,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// Which messages of a dead-letter queue are meant; all, where nothing is said.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Only {
    #[command(flatten)]
    pub(crate) pick: Pick,
    /// Only messages that are there for this reason, by its kind: not_json
    #[arg(long, value_name = "KIND")]
    pub(crate) reason: Option<String>,
}

/// Settings of `replay`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Replay {
    /// From when on, by arrival on the rapids: 2h ago, a time, or `beginning`
    #[arg(long, value_name = "WHEN", value_parser = Moment::parse)]
    pub(crate) from: Moment,
    /// Until when [default: now]
    #[arg(long, value_name = "WHEN", value_parser = Moment::parse)]
    pub(crate) to: Option<Moment>,
    /// To which river
    #[arg(long)]
    pub(crate) river: String,
    #[command(flatten)]
    pub(crate) pick: Pick,
    /// Most events a second
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) rate: u32,
    /// Only say what would be sent
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Settings of `readfrom`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReadFrom {
    /// The river
    pub(crate) river: String,
    /// Longest wait for a first message
    // SQS holds a receive for at most 20 seconds.
    #[arg(long, default_value_t = 2, value_name = "SECONDS", value_parser = clap::value_parser!(i32).range(0..=20))]
    pub(crate) wait: i32,
    /// Put the messages back once they are printed; their receive counts have risen by one
    #[arg(long)]
    pub(crate) peek: bool,
    /// Go on until Ctrl-C, a message a line
    #[arg(long, conflicts_with = "peek")]
    pub(crate) follow: bool,
    /// Most messages [default: 10, with --follow no end]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max: Option<u32>,
}
