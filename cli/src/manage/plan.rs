//! `plan`: what the control plane would do, told by its own code.

use std::collections::BTreeMap;

use control_plane::{Clients, Foresight, Preview, Wish};
use event::control::Command;
use event::names::{River, Topic};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::json;

use super::cost::{Costs, plural};
use super::diff::line;
use super::file::{File, RiverSpec};
use crate::args::manage::Plan;
use crate::failure::Result;
use crate::session::Session;

/// Rivers that are looked at side by side.
const SIDE_BY_SIDE: usize = 16;
/// Filter policies that a topic may have
/// (<https://docs.aws.amazon.com/sns/latest/dg/subscription-filter-policy-constraints.html>).
const POLICIES_MAX: usize = 200;

/// Looks, and says.
pub(super) async fn run(session: &Session, settings: &Plan) -> Result<()> {
    let stage = &session.names.stage;
    let file = settings.file.as_deref().map(|path| File::read(path, stage)).transpose()?;
    let commands = match &file {
        Some(file) => super::apply::changes(session, file, settings.prune).await?,
        None => Vec::new(),
    };
    let foresight = Foresight::open(clients(session), stage).await?;
    let previews = previews(session, &foresight, file.as_ref(), &commands).await?;
    let by = |route: &str| previews.iter().filter(|preview| preview.route == Some(route)).count();
    let costs = Costs::of(foresight.config.prices, by("sns"), by("direct"));
    let output = session.output;
    if output.json {
        let report = json!({
            "commands": commands,
            "rivers": previews,
            "subscriptions": { "now": foresight.subscriptions(), "max": POLICIES_MAX },
            "dollarsPerMillionEvents": costs,
        });
        return Ok(output.print(&report)?);
    }
    let mut lines: Vec<_> = commands.iter().map(line).collect();
    lines.extend(previews.iter().flat_map(tell));
    lines.push(summary(&previews, foresight.subscriptions(), file.is_some()));
    lines.extend(costs.lines());
    for line in lines {
        output.say(&line)?;
    }
    Ok(())
}

/// The clients of a session, as the control plane's code wants them.
pub(crate) fn clients(session: &Session) -> Clients {
    let aws = session.aws.clone();
    Clients { kinesis: aws.kinesis, sns: aws.sns, sqs: aws.sqs, dynamodb: aws.dynamodb }
}

async fn previews(
    session: &Session,
    foresight: &Foresight,
    file: Option<&File>,
    commands: &[Command],
) -> anyhow::Result<Vec<Preview>> {
    let now = session.now()?;
    let mut rivers: BTreeMap<River, Option<Wish>> =
        foresight.rivers().await?.into_iter().map(|river| (river, None)).collect();
    for (name, spec) in file.iter().flat_map(|file| &file.rivers) {
        // Names are checked when the file is read.
        if let Ok(river) = River::parse(name, &session.names.stage) {
            rivers.insert(river, Some(wish(spec)));
        }
    }
    for command in commands {
        if let Command::RemoveRiver { river, .. } = command
            && let Ok(river) = River::parse(river, &session.names.stage)
        {
            rivers.remove(&river);
        }
    }
    let looked = stream::iter(&rivers)
        .map(|(river, wish)| foresight.look(river, wish.as_ref(), now))
        .buffered(SIDE_BY_SIDE);
    looked.try_collect().await
}

fn wish(spec: &RiverSpec) -> Wish {
    let topic = |name: &String| Some((Topic::parse(name).ok()?, spec.rules.get(name).cloned()));
    Wish { topics: spec.topics.iter().filter_map(topic).collect(), routing: spec.routing }
}

/// A river of which there is something to tell.
fn tell(preview: &Preview) -> Vec<String> {
    let Preview { river, route, reason, steps, findings, refused, .. } = preview;
    let way = route.map_or_else(|| reason.clone(), |route| format!("{route}, {reason}"));
    let mut lines = vec![match refused {
        Some(refused) => format!("{river}: refused: {refused}"),
        None => format!("{river}: {way}"),
    }];
    lines.extend(steps.iter().map(|step| format!("  {}", step.text)));
    lines.extend(findings.iter().map(|finding| format!("  left as it is: {finding}")));
    lines
}

fn summary(previews: &[Preview], subscriptions: usize, is_wish: bool) -> String {
    let with_steps = previews.iter().filter(|preview| !preview.steps.is_empty()).count();
    let steps: usize = previews.iter().map(|preview| preview.steps.len()).sum();
    let refused = previews.iter().filter(|preview| preview.refused.is_some()).count();
    let rivers = plural(previews.len(), "river");
    let todo = match (steps, is_wish) {
        (0, _) => "nothing to do".to_owned(),
        (_, true) => format!("{} at {}", plural(steps, "step"), plural(with_steps, "river")),
        (_, false) => format!(
            "{} at {} that the control plane has not taken yet",
            plural(steps, "step"),
            plural(with_steps, "river")
        ),
    };
    let refused = if refused > 0 { format!(", {refused} refused") } else { String::new() };
    format!(
        "{rivers}: {todo}{refused}; the SNS topic has {subscriptions} of {POLICIES_MAX} filter policies"
    )
}

#[cfg(test)]
mod tests {
    use control_plane::Step;

    use super::*;

    fn preview(steps: &[&str], refused: Option<&str>) -> Preview {
        let step = |text: &&str| Step { action: "createQueue", text: (*text).to_owned() };
        Preview {
            river: "r1".into(),
            topics: vec!["A".into()],
            route: refused.is_none().then_some("sns"),
            reason: "as commanded".into(),
            steps: steps.iter().map(step).collect(),
            findings: Vec::new(),
            refused: refused.map(str::to_owned),
        }
    }

    #[test]
    fn a_river_is_told_with_its_way_and_its_steps() {
        let told = tell(&preview(&["create queue r1-dev"], None));
        assert_eq!(told, ["r1: sns, as commanded", "  create queue r1-dev"]);
        assert_eq!(tell(&preview(&[], Some("too many"))), ["r1: refused: too many"]);
    }

    #[test]
    fn the_last_line_sums_up() {
        let previews = [preview(&["a", "b"], None), preview(&[], None), preview(&[], Some("no"))];
        assert_eq!(
            summary(&previews, 7, true),
            "3 rivers: 2 steps at 1 river, 1 refused; the SNS topic has 7 of 200 filter policies"
        );
        assert!(summary(&previews[1..2], 0, false).starts_with("1 river: nothing to do;"));
    }
}
