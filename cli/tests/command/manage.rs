//! The commands about the desired state.

use serde_json::Value;

use crate::screen::{folder, play};
use crate::support::{Up, rapids_at, run};

#[test]
fn a_stage_is_planned_applied_looked_at_and_pruned() {
    let (_up, endpoint) = Up::with("control-plane");
    play("manage", &endpoint);
}

#[test]
fn a_stage_nobody_made_is_told_to_be_made() {
    let (_up, endpoint) = Up::with("none");
    play("nobody", &endpoint);
}

#[test]
fn what_machines_are_told_holds_the_same() {
    let (_up, endpoint) = Up::with("control-plane");
    let ask = |line: &str| {
        let mut command = rapids_at(&endpoint);
        command.args(line.split_whitespace()).current_dir(folder());
        let (out, err, code) = run(&mut command);
        assert_eq!(code, 0, "{line}: {err}");
        serde_json::from_str::<Value>(&out).unwrap()
    };
    let planned = ask("plan -f stage.yaml --json");
    let applied = ask("apply -f stage.yaml --json");
    assert_eq!(planned["commands"][0]["command"], "advertise");
    assert_eq!(planned["commands"][0]["commandArgs"]["owner"], "offers");
    assert_eq!(applied["commands"].as_array().unwrap().len(), 8);
    assert!(applied["commands"].as_array().unwrap().iter().all(|it| it["failed"].is_null()));
    assert_eq!(planned["rivers"][0]["steps"][0]["action"], "createQueue");
    assert_eq!(planned["dollarsPerMillionEvents"]["publish"]["single"], 0.5);

    let rivers = ask("rivers --json");
    let river = |name: &str| {
        let mut rivers = rivers["rivers"].as_array().unwrap().iter();
        rivers.find(|river| river["river"] == name).unwrap().clone()
    };
    assert_eq!(river("audit")["route"], "direct");
    assert_eq!(river("offer-engine")["topics"][1]["topic"], "ViewPage");
    assert_eq!(ask("rivers show audit --json")["state"], "active");
    let status = ask("status --json");
    assert_eq!(status["rivers"]["active"], 3);
    assert_eq!(status["problems"], Value::Array(Vec::new()));
}
