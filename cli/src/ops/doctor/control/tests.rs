use control_plane::Step;

use super::super::finding::Level;
use super::*;
use crate::watch::rows::Subscription;

fn preview(steps: &[&str]) -> Preview {
    let step = |text: &&str| Step { action: "setQueue", text: (*text).to_owned() };
    Preview {
        river: "r1".into(),
        topics: vec!["A".into()],
        route: Some("sns"),
        reason: String::new(),
        steps: steps.iter().map(step).collect(),
        findings: Vec::new(),
        refused: None,
    }
}

fn river() -> River {
    let topics = vec![Subscription {
        river: "r1".into(),
        topic: "A".into(),
        status: "active".into(),
        reason: None,
        rules: Vec::new(),
    }];
    River { name: "r1".into(), topics, ..River::default() }
}

fn levels(river: &River, preview: &Preview, is_alive: bool) -> Vec<Level> {
    let found = of_river(river, preview, is_alive, Timestamp::UNIX_EPOCH);
    found.iter().map(|finding| finding.level).collect()
}

#[test]
fn a_river_in_order_is_one_line() {
    assert_eq!(levels(&river(), &preview(&[]), true), [Level::Ok]);
}

#[test]
fn what_was_changed_by_hand_is_bad_only_if_nobody_repairs_it() {
    assert_eq!(levels(&river(), &preview(&["set it"]), true), [Level::Warn]);
    assert_eq!(levels(&river(), &preview(&["set it"]), false), [Level::Fail]);
}

#[test]
fn everything_that_is_wrong_is_told() {
    let mut river = river();
    river.topics[0].status = "degraded".into();
    river.row.problem = Some("no permission".into());
    river.dead = Some(Count { visible: 1, hidden: 1 });
    let mut preview = preview(&[]);
    preview.refused = Some("too many topics".into());
    preview.findings = vec!["a key of others".into()];
    use Level::{Fail, Warn};
    assert_eq!(levels(&river, &preview, true), [Fail, Fail, Fail, Warn, Warn]);
}

#[test]
fn a_control_plane_is_late_after_three_rounds() {
    let at = |second| Timestamp::from_second(second).unwrap();
    let every = Duration::from_secs(60);
    let level = |last, now| of_rounds("control plane", last, every, now).map(|it| it.level);
    assert_eq!(level(None, at(0)), None);
    assert_eq!(level(Some(at(0)), at(180)), Some(Level::Ok));
    assert_eq!(level(Some(at(0)), at(181)), Some(Level::Fail));
    assert_eq!(level(Some(at(10)), at(0)), Some(Level::Ok), "a clock behind ours");
}

#[test]
fn a_topic_is_said_to_be_full_before_it_is() {
    assert_eq!(of_policies(179).level, Level::Ok);
    assert_eq!(of_policies(180).level, Level::Warn);
}

#[test]
fn a_key_that_aws_manages_keeps_sns_out() {
    let level = |key| judge_key("queue r1-dev".into(), key).map(|it| it.level);
    assert_eq!(level(""), None);
    assert_eq!(level("alias/aws/sqs"), Some(Level::Fail));
    assert_eq!(level("arn:aws:kms:eu-west-1:1:alias/aws/sqs"), Some(Level::Fail));
    assert_eq!(level("alias/ours"), Some(Level::Warn));
}
