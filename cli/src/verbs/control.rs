//! `subscribe`, `unsubscribe`, `advertise`: a command for the control plane, and the wait until it is applied.
//!
//! The original returns as soon as the command is on its stream, and `topics` may still be empty after an
//! `advertise`. Waiting makes the session that its documentation shows come true every time.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::bail;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_kinesis::primitives::Blob;
use event::control::Command;
use event::route::{self, Routing};
use event::{Advert, Experiment};
use tokio::time::{Instant, sleep};

use crate::client::{Resource, is_missing};
use crate::failure::Result;
use crate::session::Session;
use crate::verbs::experiment;

/// Time between two looks at the table: ten reads a second of one item.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Checks the names, gives the command, and waits as long as `limit` says; without a limit, not at all.
pub(crate) async fn run(
    session: &Session,
    command: &Command,
    limit: Option<Duration>,
) -> Result<()> {
    command.validate(&session.names.stage)?;
    put(session, command).await?;
    if let Some(limit) = limit {
        wait(session, command, limit).await?;
    }
    Ok(())
}

/// Puts a command onto the control stream; its sequence number there.
///
/// # Errors
/// What Kinesis refuses.
pub(crate) async fn put(session: &Session, command: &Command) -> anyhow::Result<String> {
    let control = &session.names.control;
    let put = session
        .aws
        .kinesis
        .put_record()
        .stream_name(control)
        .partition_key(command.partition_key())
        .data(Blob::new(command.to_json()));
    let put = put.send().await.map_err(|error| Resource::Control(control).refused(error))?;
    Ok(put.sequence_number)
}

/// Waits until the control plane has applied a command.
///
/// # Errors
/// That it has not within `limit`, and how far it is.
pub(crate) async fn wait(
    session: &Session,
    command: &Command,
    limit: Duration,
) -> anyhow::Result<()> {
    let give_up = Instant::now() + limit;
    loop {
        let progress = progress(command, look(session, command).await?.as_ref());
        if progress == Progress::Applied {
            return Ok(());
        }
        if Instant::now() >= give_up {
            bail!(unapplied(session, command, limit, &progress));
        }
        sleep(LOOK_INTERVAL).await;
    }
}

/// How far the control plane is with a command.
#[derive(Debug, PartialEq, Eq)]
enum Progress {
    /// Done.
    Applied,
    /// Nothing of it is to be seen yet.
    Waiting,
    /// Seen, and being worked on; what is in the way, if something is.
    Pending(Option<String>),
    /// Refused, with the reason.
    Degraded(String),
}

type Row = HashMap<String, AttributeValue>;

/// The row that the command is about; a table that is not there yet has none.
async fn look(session: &Session, command: &Command) -> anyhow::Result<Option<Row>> {
    let stage = &session.names.stage;
    let (table, topic, river) = match command {
        Command::Subscribe { river, topic, .. } | Command::Unsubscribe { river, topic } => {
            (stage.subscriptions_table(), topic, Some(river))
        }
        Command::Advertise(Advert { topic, .. }) => (stage.topics_table(), topic, None),
        Command::Route { river, .. } | Command::RemoveRiver { river, .. } => {
            return look_at(session, &stage.rivers_table(), &[(route::RIVER, river)]).await;
        }
        Command::StartExperiment(Experiment { name, .. }) | Command::StopExperiment { name } => {
            return experiment::look(session, name).await;
        }
    };
    let keys = [Some(("Topic", topic)), river.map(|river| ("Subscriber", river))];
    let keys: Vec<_> = keys.into_iter().flatten().collect();
    look_at(session, &table, &keys).await
}

/// A row; a table that is not there yet has none.
async fn look_at(
    session: &Session,
    table: &str,
    key: &[(&str, &String)],
) -> anyhow::Result<Option<Row>> {
    let mut get = session.aws.dynamodb.get_item().table_name(table).consistent_read(true);
    for (name, value) in key {
        get = get.key(*name, AttributeValue::S((*value).clone()));
    }
    match get.send().await {
        Ok(found) => Ok(found.item),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(Resource::Table(table).refused(error)),
    }
}

/// What the row says about the command.
fn progress(command: &Command, row: Option<&Row>) -> Progress {
    let word = |name: &str| row.and_then(|row| row.get(name)).and_then(|value| value.as_s().ok());
    match (command, row) {
        (Command::Unsubscribe { .. }, None) | (Command::Advertise(_), Some(_)) => Progress::Applied,
        (Command::StartExperiment(experiment), Some(row)) => {
            match word("Status").map(String::as_str) {
                Some("running") if experiment::definition(row).as_ref() == Some(experiment) => {
                    Progress::Applied
                }
                Some("running") => Progress::Degraded(
                    "another experiment runs under its name: stop that first".to_owned(),
                ),
                _ => Progress::Waiting,
            }
        }
        (Command::StopExperiment { .. }, Some(_)) => match word("Status").map(String::as_str) {
            Some("stopped") => Progress::Applied,
            _ => Progress::Waiting,
        },
        (_, None) | (Command::Unsubscribe { .. }, Some(_)) => Progress::Waiting,
        (Command::Subscribe { .. }, Some(_)) => match word("Status").map(String::as_str) {
            Some("active") => Progress::Applied,
            Some("degraded") => {
                let reason = word("Reason").cloned();
                Progress::Degraded(reason.unwrap_or_else(|| "no reason is given".to_owned()))
            }
            _ => Progress::Pending(word("Reason").cloned()),
        },
        (Command::Route { .. } | Command::RemoveRiver { .. }, Some(_)) => {
            of_river(command, &|name| word(name).map(String::as_str))
        }
    }
}

/// What the row of a river says. A river that is drained may take days: that it is begun is all to wait for.
fn of_river<'a>(command: &Command, word: &dyn Fn(&str) -> Option<&'a str>) -> Progress {
    let is_written = match command {
        Command::Route { routing, .. } => word("Routing") == Some(routing.as_str()),
        _ => word("Removal").is_some(),
    };
    let is_as_told = match command {
        Command::Route { routing: Routing::Auto, .. } => true,
        Command::Route { routing, .. } => word("Route") == Some(routing.as_str()),
        Command::RemoveRiver { discard: true, .. } => false,
        _ => word("CheckedAt").is_some(),
    };
    match word("Problem") {
        Some(problem) if is_written => Progress::Pending(Some(problem.to_owned())),
        _ if is_written && is_as_told => Progress::Applied,
        _ if is_written => Progress::Pending(None),
        // Of a river that is gone no more is left than its last command.
        _ if matches!(command, Command::RemoveRiver { .. }) && word("CheckedAt").is_none() => {
            Progress::Applied
        }
        _ => Progress::Waiting,
    }
}

fn unapplied(session: &Session, command: &Command, limit: Duration, progress: &Progress) -> String {
    let seconds = limit.as_secs();
    let (what, look) = match command {
        Command::Subscribe { river, topic, .. } => {
            (format!("subscribe {river} {topic}"), format!("rapids listsubs {river}"))
        }
        Command::Unsubscribe { river, topic } => {
            (format!("unsubscribe {river} {topic}"), format!("rapids listsubs {river}"))
        }
        Command::Advertise(Advert { topic, .. }) => {
            (format!("advertise {topic}"), "rapids topics".to_owned())
        }
        Command::Route { river, routing } => (
            format!("rivers route {river} {}", routing.as_str()),
            format!("rapids rivers show {river}"),
        ),
        Command::RemoveRiver { river, .. } => {
            (format!("rivers remove {river}"), format!("rapids rivers show {river}"))
        }
        Command::StartExperiment(Experiment { name, .. }) => {
            (format!("experiment start {name}"), "rapids experiment list".to_owned())
        }
        Command::StopExperiment { name } => {
            (format!("experiment stop {name}"), "rapids experiment list".to_owned())
        }
    };
    let control = &session.names.control;
    match progress {
        Progress::Degraded(reason) => {
            format!("`{what}` is degraded: {reason} (once that is mended, give the command again)")
        }
        Progress::Pending(reason) => format!(
            "the control plane has begun but not finished `{what}` within {seconds} s{}: it goes on trying; \
             look later with `{look}`, or see the logs of the control plane",
            reason.as_ref().map_or(String::new(), |reason| format!(", because {reason}"))
        ),
        Progress::Applied | Progress::Waiting => format!(
            "the control plane has not applied `{what}` within {seconds} s: it lies on stream {control} and is \
             applied once a control plane of stage {} runs; look with `{look}`",
            session.names.stage
        ),
    }
}

#[cfg(test)]
mod tests {
    use event::experiment::Arm;
    use local_aws::LocalAws;

    use super::*;
    use crate::args::Options;
    use crate::output::Output;
    use crate::session::Names;

    fn row(words: &[(&str, &str)]) -> Row {
        let word = |(name, value): &(&str, &str)| {
            ((*name).to_owned(), AttributeValue::S((*value).to_owned()))
        };
        words.iter().map(word).collect()
    }

    fn subscribe() -> Command {
        Command::subscribe("r1", "ViewPage")
    }

    #[test]
    fn an_experiment_runs_once_its_own_definition_does() {
        let arm = |name: &str| Arm { name: name.into(), weight: 1, river: None };
        let experiment = Experiment {
            name: "ranking".into(),
            on: vec!["ViewPage".into()],
            unit: "/subject".into(),
            arms: vec![arm("control"), arm("bold")],
        };
        let start = Command::StartExperiment(experiment.clone());
        let of = |experiment: &Experiment, status: &str| {
            let definition = serde_json::to_string(experiment).unwrap();
            progress(&start, Some(&row(&[("Definition", &definition), ("Status", status)])))
        };
        assert_eq!(progress(&start, None), Progress::Waiting);
        assert_eq!(of(&experiment, "stopped"), Progress::Waiting);
        assert_eq!(of(&experiment, "running"), Progress::Applied);
        let other = Experiment { unit: "/payload/name".into(), ..experiment };
        assert!(matches!(of(&other, "running"), Progress::Degraded(_)));
        let stop = Command::StopExperiment { name: "ranking".into() };
        assert_eq!(progress(&stop, Some(&row(&[("Status", "running")]))), Progress::Waiting);
        assert_eq!(progress(&stop, Some(&row(&[("Status", "stopped")]))), Progress::Applied);
    }

    #[test]
    fn a_subscription_is_applied_once_its_row_is_active() {
        let seen = |words: &[(&str, &str)]| progress(&subscribe(), Some(&row(words)));
        assert_eq!(progress(&subscribe(), None), Progress::Waiting);
        assert_eq!(seen(&[("Topic", "ViewPage")]), Progress::Pending(None));
        assert_eq!(seen(&[("Status", "pending")]), Progress::Pending(None));
        assert_eq!(seen(&[("Status", "active")]), Progress::Applied);
        let degraded = seen(&[("Status", "degraded"), ("Reason", "150 values")]);
        assert_eq!(degraded, Progress::Degraded("150 values".into()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_degraded_subscription_is_told_with_its_reason() {
        let aws = LocalAws::new();
        let output = Output { json: true, terminal: false };
        let names = Names::of(&Options::default()).unwrap();
        let session = Session::embedded(names, &aws.sdk_config(), output);
        crate::bootstrap::ensure(&session, 1).await.unwrap();
        let words = [
            ("Subscriber", "r1"),
            ("Topic", "ViewPage"),
            ("Status", "degraded"),
            ("Reason", "the filter is full"),
        ];
        let put = session.aws.dynamodb.put_item().table_name("Subscriptions-dev");
        put.set_item(Some(row(&words))).send().await.unwrap();
        let error = wait(&session, &subscribe(), Duration::from_secs(10)).await.unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("`subscribe r1 ViewPage` is degraded: the filter is full"),
            "{error}"
        );
    }

    #[test]
    fn a_river_is_routed_once_it_is_fed_so_and_gone_once_nothing_is_said_of_it() {
        let river = || "r1".to_owned();
        let route = Command::Route { river: river(), routing: Routing::Direct };
        let seen = |command: &Command, words: &[(&str, &str)]| progress(command, Some(&row(words)));
        assert_eq!(seen(&route, &[("Routing", "auto"), ("Route", "direct")]), Progress::Waiting);
        assert_eq!(
            seen(&route, &[("Routing", "direct"), ("Route", "sns")]),
            Progress::Pending(None)
        );
        assert_eq!(seen(&route, &[("Routing", "direct"), ("Route", "direct")]), Progress::Applied);
        let hindered = [("Routing", "direct"), ("Problem", "no permission")];
        assert_eq!(seen(&route, &hindered), Progress::Pending(Some("no permission".into())));

        let remove = |discard| Command::RemoveRiver { river: river(), discard };
        let there = [("Route", "sns"), ("CheckedAt", "2026-11-23T00:00:00Z")];
        assert_eq!(seen(&remove(true), &there), Progress::Waiting);
        let going = [there[1], ("Removal", "drain")];
        assert_eq!(seen(&remove(false), &going), Progress::Applied);
        assert_eq!(seen(&remove(true), &going), Progress::Pending(None));
        assert_eq!(seen(&remove(true), &[("LastCommand", "1")]), Progress::Applied);
    }

    #[test]
    fn a_topic_is_applied_when_its_row_comes_and_an_unsubscription_when_it_goes() {
        let (river, topic) = ("r1".to_owned(), "ViewPage".to_owned());
        let advertise = Command::advertise(topic.clone());
        let unsubscribe = Command::Unsubscribe { river, topic };
        let there = row(&[("Topic", "ViewPage"), ("Status", "active")]);
        assert_eq!(progress(&advertise, None), Progress::Waiting);
        assert_eq!(progress(&advertise, Some(&there)), Progress::Applied);
        assert_eq!(progress(&unsubscribe, Some(&there)), Progress::Waiting);
        assert_eq!(progress(&unsubscribe, None), Progress::Applied);
    }
}
