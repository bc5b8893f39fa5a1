//! Topics with those who listen, and what does not fit together.

use std::collections::{BTreeMap, BTreeSet};

use event::names;
use serde_json::{Value, json};

use super::census::Census;
use super::rows::Topic;
use crate::output::{Paint, cut};
use crate::watch::rows::Subscription;

/// Of the most letters of a topic, an owner and a list of rivers in a table.
const WIDTH_MAX: usize = 40;
/// Begin of the types that the platform itself emits, which nobody advertises.
const SYSTEM: &str = "system.";

/// All that is known of topics and rivers.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) topics: Vec<Topic>,
    pub(super) subscriptions: Vec<Subscription>,
    pub(super) census: Census,
    /// Types of events that were on the rapids, if that was looked at.
    pub(super) seen: Option<BTreeSet<String>>,
}

/// Whether some type belongs to both topics, each of which may be a pattern.
pub(super) fn meet(a: &str, b: &str) -> bool {
    let least = |topic: &str| topic.strip_suffix('*').unwrap_or(topic).to_owned();
    names::Topic::covers(a, &least(b)) || names::Topic::covers(b, &least(a))
}

impl Report {
    fn listeners(&self, topic: &str) -> impl Iterator<Item = &Subscription> {
        self.subscriptions.iter().filter(move |row| meet(&row.topic, topic))
    }

    /// Topics that are advertised for nobody.
    fn unused(&self) -> Vec<&str> {
        let names = self.topics.iter().map(|topic| topic.name.as_str());
        names.filter(|name| self.listeners(name).next().is_none()).collect()
    }

    /// Subscriptions to what nobody advertises, and that was not seen either.
    fn unadvertised(&self) -> Vec<&Subscription> {
        let is_known = |row: &&Subscription| {
            let advertised = self.topics.iter().any(|topic| meet(&row.topic, &topic.name));
            let seen = self.seen.iter().flatten().any(|kind| row.covers(kind));
            advertised || seen || row.topic.starts_with(SYSTEM)
        };
        self.subscriptions.iter().filter(|row| !is_known(row)).collect()
    }

    /// Types that are emitted and that nobody advertises.
    fn unlisted(&self) -> Vec<&str> {
        let seen = self.seen.iter().flatten().map(String::as_str);
        let is_known = |kind: &&str| {
            kind.starts_with(SYSTEM)
                || self.topics.iter().any(|topic| names::Topic::covers(&topic.name, kind))
        };
        seen.filter(|kind| !is_known(kind)).collect()
    }

    fn orphans(&self) -> Vec<(&str, &'static str)> {
        let subscribed = self.subscriptions.iter().map(|row| row.river.as_str()).collect();
        self.census.orphans(&subscribed)
    }

    /// Rivers that are subscribed and have no queue.
    fn without_queue(&self) -> BTreeSet<&str> {
        let has_queue = |river: &str| self.census.0.get(river).is_some_and(|it| it.queue);
        let rivers = self.subscriptions.iter().map(|row| row.river.as_str());
        rivers.filter(|river| !has_queue(river)).collect()
    }

    /// One object.
    pub(super) fn json(&self) -> Value {
        let row = |row: &Subscription| json!({"river": row.river, "topic": row.topic, "status": row.status});
        let topics = self.topics.iter().map(|topic| {
            let refused = topic.refused.as_ref();
            json!({
                "topic": topic.name,
                "advertisedAt": topic.advertised_at,
                "description": topic.entry.description,
                "owner": topic.entry.owner,
                "schema": topic.entry.schema,
                "schemaAt": topic.schema_at,
                "example": topic.entry.example,
                "rivers": self.listeners(&topic.name).map(row).collect::<Value>(),
                "refused": refused.map(|(at, reason)| json!({"at": at, "reason": reason})),
            })
        });
        let orphans = self.orphans().into_iter();
        json!({
            "topics": topics.collect::<Value>(),
            "unused": self.unused(),
            "unadvertised": self.unadvertised().into_iter().map(row).collect::<Value>(),
            "emittedUnadvertised": self.unlisted(),
            "orphanRivers": orphans.map(|(river, why)| json!({"river": river, "why": why})).collect::<Value>(),
            "withoutQueue": self.without_queue(),
        })
    }

    /// A table for people, and what is odd below it.
    pub(super) fn lines(&self, paint: Paint) -> Vec<String> {
        let mut rows =
            vec![["TOPIC", "OWNER", "SCHEMA", "RIVERS", "DESCRIPTION"].map(str::to_owned)];
        for topic in &self.topics {
            let rivers: Vec<_> = self.listeners(&topic.name).map(listener).collect();
            let or_dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
            rows.push([
                topic.name.clone(),
                or_dash(topic.entry.owner.clone().unwrap_or_default()),
                if topic.entry.schema.is_some() { "yes" } else { "-" }.to_owned(),
                or_dash(rivers.join(", ")),
                // Of several lines the first.
                topic
                    .entry
                    .description
                    .as_ref()
                    .map_or("", |text| text.lines().next().unwrap_or_default())
                    .to_owned(),
            ]);
        }
        let width = |column: usize| {
            let widths = rows.iter().map(|row| row[column].chars().count());
            widths.max().unwrap_or_default().min(WIDTH_MAX)
        };
        let widths = [0, 1, 2, 3].map(width);
        let lines = rows.iter().enumerate().map(|(index, row)| {
            let cells = row
                .iter()
                .zip(widths)
                .map(|(cell, width)| format!("{:<width$}  ", cut(cell, width)));
            let line = cells.collect::<String>() + &row[4];
            if index == 0 { paint.bold(&line) } else { line.trim_end().to_owned() }
        });
        let mut lines: Vec<_> = lines.collect();
        lines.extend(self.oddities());
        lines
    }

    fn oddities(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut tell = |what: &str, which: Vec<String>| {
            if !which.is_empty() {
                lines.push(format!("\n{what}: {}", which.join(", ")));
            }
        };
        let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect::<Vec<_>>();
        tell("advertised, but no river listens", owned(self.unused()));
        let mut waiting = BTreeMap::<&str, Vec<&str>>::new();
        for row in self.unadvertised() {
            waiting.entry(&row.topic).or_default().push(&row.river);
        }
        let waiting =
            waiting.into_iter().map(|(topic, rivers)| format!("{topic} ({})", rivers.join(", ")));
        let nobody = match self.seen {
            Some(_) => "rivers wait for what nobody advertises, and it did not come either",
            None => "rivers wait for what nobody advertises (--since 1h tells whether it comes)",
        };
        tell(nobody, waiting.collect());
        tell("emitted, but nobody advertises it", owned(self.unlisted()));
        let orphans = self.orphans().into_iter().map(|(river, why)| format!("{river} {why}"));
        tell("rivers that nothing flows into", orphans.collect());
        tell("subscribed, but without a queue", owned(self.without_queue().into_iter().collect()));
        for topic in &self.topics {
            if let Some((at, why)) = &topic.refused {
                tell(
                    &format!("the last change of {} was refused at {at}", topic.name),
                    vec![why.clone()],
                );
            }
        }
        lines
    }
}

fn listener(row: &Subscription) -> String {
    match row.status.as_str() {
        "active" => row.river.clone(),
        other => format!("{} ({other})", row.river),
    }
}

#[cfg(test)]
mod tests {
    use event::catalogue::Entry;

    use super::*;
    use crate::catalogue::census::Belongings;

    fn topic(name: &str) -> Topic {
        Topic { name: name.into(), ..Topic::default() }
    }

    fn row(river: &str, topic: &str, status: &str) -> Subscription {
        let (river, topic, status) = (river.into(), topic.into(), status.into());
        Subscription { river, topic, status, reason: None, rules: Vec::new() }
    }

    fn report() -> Report {
        let entry = Entry {
            schema: Some(json!({"type": "object"})),
            description: Some("Somebody looks at a page.\nNot a robot.".into()),
            owner: Some("web".into()),
            example: None,
        };
        let viewed = Topic { entry, ..topic("ViewPage") };
        let refused = Some(("2026-11-23T20:00:00Z".to_owned(), "incompatible".to_owned()));
        let both = Belongings { queue: true, dead_letter_queue: true, ..Belongings::default() };
        let census = Census([("location".to_owned(), both), ("old".to_owned(), both)].into());
        Report {
            topics: vec![topic("OfferProposed"), Topic { refused, ..topic("Unheard") }, viewed],
            subscriptions: vec![
                row("location", "ViewPage", "active"),
                row("location", "system.Ping", "active"),
                row("offers", "Missing", "active"),
                row("offers", "Offer*", "pending"),
            ],
            census,
            seen: None,
        }
    }

    #[test]
    fn patterns_meet_what_they_cover_and_each_other() {
        for (a, b) in [("Offer*", "OfferProposed"), ("OfferP*", "Offer*"), ("*", "A"), ("A*", "A")]
        {
            assert!(meet(a, b) && meet(b, a), "{a} {b}");
        }
        for (a, b) in [("Offer*", "View*"), ("Offer", "OfferProposed"), ("AB*", "A")] {
            assert!(!meet(a, b) && !meet(b, a), "{a} {b}");
        }
    }

    #[test]
    fn people_get_a_table_and_what_is_odd_below_it() {
        assert_eq!(
            report().lines(Paint::NONE),
            [
                "TOPIC          OWNER  SCHEMA  RIVERS            DESCRIPTION",
                "OfferProposed  -      -       offers (pending)",
                "Unheard        -      -       -",
                "ViewPage       web    yes     location          Somebody looks at a page.",
                "\nadvertised, but no river listens: Unheard",
                "\nrivers wait for what nobody advertises (--since 1h tells whether it comes): Missing (offers)",
                "\nrivers that nothing flows into: old has queues and no subscription",
                "\nsubscribed, but without a queue: offers",
                "\nthe last change of Unheard was refused at 2026-11-23T20:00:00Z: incompatible",
            ]
        );
    }

    #[test]
    fn what_was_on_the_rapids_is_emitted_whether_it_is_advertised_or_not() {
        let seen = ["Missing", "Secret", "system.ServiceUp", "ViewPage"].map(str::to_owned);
        let report = Report { seen: Some(seen.into()), ..report() };
        let json = report.json();
        assert_eq!(json["unadvertised"], json!([]));
        assert_eq!(json["emittedUnadvertised"], json!(["Missing", "Secret"]));
        assert_eq!(json["unused"], json!(["Unheard"]));
        assert_eq!(json["orphanRivers"][0]["river"], "old");
        assert_eq!(
            json["topics"][2]["rivers"][0],
            json!({"river": "location", "topic": "ViewPage", "status": "active"})
        );
    }
}
