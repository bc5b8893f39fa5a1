//! `advertise`: a topic, and what is said of it.

use std::path::Path;
use std::time::Duration;
use std::{fs, io};

use anyhow::{anyhow, bail};
use event::Advert;
use event::catalogue::{Entry, Unfit};
use event::control::{Command, place};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::rows::{self, Topic};
use crate::args::catalogue::Advertise;
use crate::failure::{Failure, Result};
use crate::session::Session;
use crate::verbs::control;

/// Time between two looks at the table: ten reads a second of one item.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Gives the command and waits for what comes of it.
///
/// # Errors
/// What cannot be read, is no schema or no example of it: then nothing was done. What the control plane refuses, with
/// every incompatibility.
pub(crate) async fn run(session: &Session, settings: Advertise) -> Result<()> {
    let (limit, dry_run) = (settings.patience.limit(), settings.dry_run);
    let advert = advert(settings)?;
    let command = Command::Advertise(advert.clone());
    if dry_run {
        command.validate(&session.names.stage)?;
        return rehearse(session, &advert).await;
    }
    if advert.is_plain() {
        return control::run(session, &command, limit).await;
    }
    command.validate(&session.names.stage)?;
    let sequence_number = control::put(session, &command).await?;
    let Some(limit) = limit else { return Ok(()) };
    Ok(wait(session, &advert, &place(&sequence_number, 0), limit).await?)
}

/// What the settings come to, checked as far as that goes without the catalogue.
fn advert(settings: Advertise) -> Result<Advert> {
    let Advertise { topic, schema, description, owner, example, force, .. } = settings;
    let schema = schema.map(|file| {
        let text = read(&file).map_err(|error| unreadable(&file, &error))?;
        serde_json::from_str(&text).map_err(|error| not_json(&file.display().to_string(), &error))
    });
    let advert = Advert {
        topic,
        schema: schema.transpose()?,
        description,
        owner,
        example: example.map(|given| self::example(&given)).transpose()?,
        force,
    };
    match Entry::default().with(&advert) {
        Ok(_) => Ok(advert),
        Err(unfit) => Err(Failure::Usage(format!("{unfit}; nothing was sent"))),
    }
}

/// An example as it was given: JSON, or a file with it.
fn example(given: &str) -> Result<Value> {
    let file = Path::new(given);
    let is_json = given.trim_start().starts_with(['{', '[', '"']);
    match serde_json::from_str(given) {
        Ok(json) => Ok(json),
        Err(error) if is_json => Err(not_json("the example", &error)),
        Err(_) => {
            let text = read(file).map_err(|error| unreadable(file, &error))?;
            serde_json::from_str(&text).map_err(|error| not_json(given, &error))
        }
    }
}

fn read(file: &Path) -> io::Result<String> {
    fs::read_to_string(file)
}

fn unreadable(file: &Path, error: &io::Error) -> Failure {
    Failure::Usage(format!("cannot read {}: {error}; nothing was sent", file.display()))
}

fn not_json(what: &str, error: &serde_json::Error) -> Failure {
    Failure::Usage(format!("{what} is not JSON: {error}; nothing was sent"))
}

/// Says whether the catalogue as it is now would take it.
async fn rehearse(session: &Session, advert: &Advert) -> Result<()> {
    let row = rows::topic(session, &advert.topic).await?;
    let entry = row.map(|row| row.entry).unwrap_or_default();
    let verdict = entry.with(advert);
    let output = session.output;
    if output.json {
        let found = match &verdict {
            Err(Unfit::Incompatible(found)) => json!(found),
            _ => json!([]),
        };
        let taken = verdict.is_ok();
        output
            .print(&json!({"topic": advert.topic, "taken": taken, "incompatibilities": found}))?;
    }
    match verdict {
        Ok(_) if output.json => Ok(()),
        Ok(_) => Ok(output.say(&format!("advertise {} would be taken", advert.topic))?),
        Err(unfit) => Err(refused(session, &advert.topic, &unfit).into()),
    }
}

/// Waits until the control plane has settled the command at `place`.
///
/// # Errors
/// Its refusal with every reason, or that it has not settled it within `limit`.
pub(crate) async fn wait(
    session: &Session,
    advert: &Advert,
    place: &str,
    limit: Duration,
) -> anyhow::Result<()> {
    let give_up = Instant::now() + limit;
    loop {
        let row = rows::topic(session, &advert.topic).await?;
        match outcome(advert, place, row.as_ref()) {
            Outcome::Taken => return Ok(()),
            Outcome::Refused(why) => {
                let entry = row.map(|row| row.entry).unwrap_or_default();
                // The row has the beginning of the reason; the reason itself follows from what is in it.
                return Err(match entry.with(advert) {
                    Err(unfit) => refused(session, &advert.topic, &unfit),
                    Ok(_) => anyhow!("advertise {} is refused: {why}", advert.topic),
                });
            }
            Outcome::Overtaken => bail!(
                "another command about {0} came after this one: look with `rapids topics --details`",
                advert.topic
            ),
            Outcome::Waiting if Instant::now() >= give_up => bail!(
                "the control plane has not applied `advertise {}` within {} s: it lies on stream {} and is applied \
                 once a control plane of stage {} runs, unless that refuses it: look with `rapids topics --details` \
                 and `rapids dlq show control`",
                advert.topic,
                limit.as_secs(),
                session.names.control,
                session.names.stage,
            ),
            Outcome::Waiting => sleep(LOOK_INTERVAL).await,
        }
    }
}

/// What became of a command.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Waiting,
    Taken,
    Refused(String),
    /// Settled, but what came of it can no more be seen.
    Overtaken,
}

fn outcome(advert: &Advert, place: &str, row: Option<&Topic>) -> Outcome {
    let Some(row) = row else { return Outcome::Waiting };
    let Some(last) = row.last_command.as_deref() else { return Outcome::Waiting };
    match (last.cmp(place), &row.refused) {
        (std::cmp::Ordering::Less, _) => Outcome::Waiting,
        (std::cmp::Ordering::Equal, Some((_, why))) => Outcome::Refused(why.clone()),
        (std::cmp::Ordering::Equal, None) => Outcome::Taken,
        (std::cmp::Ordering::Greater, _) if row.says(advert) => Outcome::Taken,
        (std::cmp::Ordering::Greater, _) => Outcome::Overtaken,
    }
}

/// The refusal; of incompatibilities each was told before, on a line of its own.
fn refused(session: &Session, topic: &str, unfit: &Unfit) -> anyhow::Error {
    let Unfit::Incompatible(found) = unfit else {
        return anyhow!("advertise {topic} is refused: {unfit}");
    };
    found.iter().for_each(|one| session.output.note(&one.to_string()));
    anyhow!(
        "advertise {topic} is refused, for consumers written against the schema in the catalogue could not read every \
         new event: {} told above; keep to the old schema, advertise a topic of another name, or --force it",
        match found.len() {
            1 => "the reason was".to_owned(),
            count => format!("{count} reasons were"),
        }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_settled_once_the_row_has_its_place_or_a_later_one() {
        let advert = Advert { owner: Some("web".into()), ..Advert::of("ViewPage") };
        let row = |last: Option<&str>| Topic {
            name: "ViewPage".into(),
            last_command: last.map(str::to_owned),
            ..Topic::default()
        };
        let seen = |row: Topic| outcome(&advert, "2", Some(&row));
        assert_eq!(outcome(&advert, "2", None), Outcome::Waiting);
        assert_eq!(seen(row(None)), Outcome::Waiting);
        assert_eq!(seen(row(Some("1"))), Outcome::Waiting);
        assert_eq!(seen(row(Some("2"))), Outcome::Taken);
        let refused = Topic { refused: Some(("now".into(), "no".into())), ..row(Some("2")) };
        assert_eq!(seen(refused.clone()), Outcome::Refused("no".into()));
        // The refusal of an earlier one says nothing about this.
        assert_eq!(seen(Topic { last_command: Some("1".into()), ..refused }), Outcome::Waiting);
        assert_eq!(seen(row(Some("3"))), Outcome::Overtaken);
        let mut later = row(Some("3"));
        later.entry.owner = advert.owner.clone();
        assert_eq!(seen(later), Outcome::Taken);
    }

    #[test]
    fn an_example_is_json_or_a_file_with_it() {
        assert_eq!(example(r#"{"a":1}"#).unwrap(), json!({"a": 1}));
        assert_eq!(example("7").unwrap(), json!(7));
        let line = |given: &str| example(given).unwrap_err().line();
        assert!(line("{\"a\":").contains("not JSON"), "{}", line("{\"a\":"));
        assert!(line("/nowhere/a.json").contains("cannot read /nowhere/a.json"));
    }
}
