//! The grammar of the commands that look after the machinery: leases, and whether all is well.

use std::time::Duration;

use clap::{Args, Subcommand};

/// Commands for those who operate a stage.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Ops {
    /// Look for everything that is wrong, or will be: each finding with its remedy
    #[command(after_help = "Examples:\n  \
        rapids doctor\n  \
        rapids doctor --canary            # and send a ping through every river\n  \
        rapids doctor --json | jq '.findings[] | select(.level == \"fail\")'\n\n\
        Exit code 0 when nothing failed, warnings or not; 1 otherwise.")]
    Doctor(Doctor),
    /// Prove the travel scenario: a synthetic customer looks at a page, and everything that should follows, in time
    #[command(after_help = "Examples:\n  \
        rapids probe\n  \
        rapids probe --within 5s --wait 60 --json\n\n\
        Every event of it is marked as synthetic: what bills, mails or counts customers passes it over.\n\
        Exit code 0 when every stage came true; 1 otherwise, with the stages that did not.")]
    Probe(Probe),
    /// Who reads which shard of a stream, and how far; give a shard up, or set where it is read on
    #[command(subcommand)]
    Lease(Lease),
}

/// Settings of `doctor`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Doctor {
    /// Put a ping onto the rapids and wait for the answer of every river's service
    #[arg(long)]
    pub(crate) canary: bool,
    /// Longest wait for the answers
    #[arg(long, default_value_t = 10, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(crate) wait: u64,
}

/// Settings of `probe`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Probe {
    /// Who is a road warrior and a platinum member, by the tables of segmentation and membership
    #[arg(long, default_value = "probe-sally", value_name = "ID", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) customer: String,
    /// The selection has to follow the view within this time: the engine's window, and 1.5 s for the way
    #[arg(long, default_value = "3500ms", value_name = "TIME", value_parser = chassis::duration::parse)]
    pub(crate) within: Duration,
    /// Longest wait for all stages
    #[arg(long, default_value_t = 30, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(crate) wait: u64,
}

/// What is done with leases.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Lease {
    /// List them: shard, owner, checkpoint
    #[command(
        after_help = "Examples:\n  rapids lease list\n  rapids lease list --application control-plane"
    )]
    List {
        #[command(flatten)]
        application: Application,
    },
    /// Take a shard from its owner: another worker takes it, or the same one again, and reads on behind the checkpoint
    #[command(after_help = "Example:\n  rapids lease release shardId-000000000001\n\n\
        Nothing is lost: what the owner had in hand and not acknowledged is read again.")]
    Release {
        /// The shard
        shard: String,
        #[command(flatten)]
        application: Application,
    },
    /// Set where a shard is read on
    #[command(after_help = "Examples:\n  \
        rapids lease reset shardId-000000000001 --to trim-horizon\n  \
        rapids lease reset shardId-000000000001 --to 49590338271490256608559692538361571095921575989136588898 --force\n\n\
        Behind a sequence number is read on with the record after it. Further back: records are carried again, and \
        inboxes drop the copies. Further on: the records between are never carried.")]
    Reset {
        /// The shard
        shard: String,
        /// `trim-horizon`, the oldest record; `latest`, what comes from now on; or a sequence number, which is done
        #[arg(long, value_name = "WHERE")]
        to: String,
        /// Also when a worker owns the shard: it loses it
        #[arg(long)]
        force: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        application: Application,
    },
}

/// Whose leases.
#[derive(Args, Clone, Debug)]
pub(crate) struct Application {
    /// The application that reads the stream: its leases are in table NAME-{stage}
    #[arg(long, default_value = "rapids-reader", value_name = "NAME")]
    pub(crate) application: String,
}
