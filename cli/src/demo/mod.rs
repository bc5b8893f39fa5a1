//! `rapids demo`: the travel scenario, from an empty AWS to the chosen offers, in one process.
//!
//! Nothing is taken on trust. What happened is read from the rapids, as anybody could; the offers are read from
//! a river that the control stream subscribed; and `verdict` says whether that was the scenario.

mod report;
pub(crate) mod scenario;
pub(crate) mod story;
mod verdict;

use std::time::Duration;

use anyhow::anyhow;
use local_aws::LocalAws;
use tokio::time::{Instant, sleep};

use self::report::Report;
use self::story::Story;
use self::verdict::Verdict;
use crate::bootstrap;
use crate::daemon::Daemon;
use crate::fleet::Fleet;
use crate::output::Output;
use crate::session::{Names, Session};
use crate::signals::Signals;
use crate::tail::Tail;
use crate::tree::Tree;
use crate::verbs::read::Batch;
use crate::verbs::{control, send};

/// More than one, so that nothing works only because everything is in order.
const SHARDS: i32 = 2;
/// Longest time for a command of the control stream.
const APPLIED_MAX: Duration = Duration::from_secs(10);
/// Longest time from Sally's look to the offers. It takes some three seconds, two of which the offer engine waits.
const SCENARIO_MAX: Duration = Duration::from_secs(30);
/// Time between two looks at the rapids and the river.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Plays the scenario, shows it, and stops everything.
///
/// # Errors
/// What did not come out right.
pub(crate) async fn run(names: Names, output: Output) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let aws = LocalAws::new();
    let session = Session::embedded(names, &aws.sdk_config(), output);
    let mut fleet = Fleet::new();
    let played = tokio::select! {
        biased;
        () = signals.next() => Err(anyhow!("stopped before the scenario was over")),
        played = play(&session, &aws, &mut fleet) => played,
    };
    let stopped = tokio::select! {
        biased;
        () = signals.next() => Err(anyhow!("stopped with work unsettled")),
        stopped = fleet.stop() => stopped,
    };
    played.and(stopped)
}

async fn play(session: &Session, aws: &LocalAws, fleet: &mut Fleet) -> anyhow::Result<()> {
    let output = session.output;
    let say = |text: &str| if output.json { Ok(()) } else { output.say(text) };
    say("starting an embedded AWS, the rapids-reader, the control plane and five services")?;
    bootstrap::ensure(session, SHARDS).await?;
    // Nobody has to watch the story for it to happen.
    let story: Vec<_> = Daemon::ALL.into_iter().filter(|it| *it != Daemon::Monitor).collect();
    fleet.start(&story, &aws.sdk_config(), session, None).await?;
    fleet.ready(session).await?;
    let offers = scenario::offers_subscription();
    control::put(session, &offers).await?;
    control::wait(session, &offers, APPLIED_MAX).await?;

    say("Sally looks at a page\n")?;
    let mut tree = (!output.json).then(|| Tree::new(output.colours(), story::summary));
    let began = Instant::now();
    let (story, verdict) = watch(session, began, &mut tree).await?;
    let elapsed = began.elapsed();
    let report = Report::new(&story, elapsed);
    if output.json {
        output.print(&report)?;
    } else {
        for line in tree.into_iter().flat_map(Tree::rest) {
            output.say(&line)?;
        }
        output.say(&report.text())?;
    }
    verdict.into_result(elapsed)
}

/// Sends Sally's event and collects what follows, until the scenario has come out or cannot any more.
async fn watch(
    session: &Session,
    began: Instant,
    tree: &mut Option<Tree>,
) -> anyhow::Result<(Story, Verdict)> {
    let river = scenario::offers_river(&session.names.stage)?;
    let mut tail = Tail::open(session.aws.kinesis.clone(), &session.names.rapids).await?;
    let root = scenario::sally_looks_at_a_page(session.now()?);
    send::put(session, &root).await?;
    let mut story = Story::of(root);
    loop {
        for event in tail.read().await? {
            if !story.happened(event.clone()) {
                continue;
            }
            for line in tree.iter_mut().flat_map(|tree| tree.add(&event)) {
                session.output.say(&line)?;
            }
        }
        let batch = Batch::receive(session, &river, 0).await?;
        for body in batch.bodies() {
            story.emitted(&body.published());
        }
        batch.delete(session).await?;

        let verdict = Verdict::on(&story);
        if verdict.is_final() || began.elapsed() >= SCENARIO_MAX {
            return Ok((story, verdict));
        }
        sleep(LOOK_INTERVAL).await;
    }
}
