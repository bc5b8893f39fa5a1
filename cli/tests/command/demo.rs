//! `rapids demo`: the travel scenario as a machine and as a person see it.

use serde_json::Value;

use crate::support::{rapids, run};

#[test]
fn it_comes_out_right_and_reports_one_json_object() {
    let (stdout, stderr, code) = run(rapids().args(["demo", "--json"]));
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(stdout.lines().count(), 1, "{stdout}");
    let report: Value = serde_json::from_str(&stdout).unwrap();

    let correlation = report["correlationId"].as_str().unwrap();
    let events = report["events"].as_array().unwrap();
    for event in events {
        for field in ["eventType", "eventId"] {
            assert!(event[field].is_string(), "{field} of {event}");
        }
        assert!(event["producer"]["service"].is_string(), "{event}");
        assert!(event["payload"].is_object(), "{event}");
        assert_eq!(event["correlationId"], correlation);
        let caused = event["causationId"].as_str();
        let is_there = |id| events.iter().any(|event| event["eventId"] == id);
        let is_root = event["eventType"] == "ViewPage";
        assert!(caused.map_or(is_root, is_there), "the cause of {event}");
    }

    let offers = report["offers"].as_array().unwrap();
    let first = offers[0]["offerId"].as_str().unwrap();
    let proposed = events.iter().find(|event| event["payload"]["offerId"] == first).unwrap();
    assert_eq!(proposed["producer"]["service"], "location");
    assert_eq!(proposed["payload"]["basis"], "segment+tier");
    assert!(report["elapsedMs"].as_u64().unwrap() < 30_000);
}

#[test]
fn it_prints_a_tree_and_the_offers() {
    let (stdout, stderr, code) = run(rapids().arg("demo"));
    assert_eq!(code, 0, "{stderr}");
    assert!(!stdout.contains('\x1b'), "colours in a pipe: {stdout}");
    let lines: Vec<&str> = stdout.lines().filter(|line| line.starts_with('+')).collect();
    assert!(lines[0].ends_with("ViewPage            Sally"), "{stdout}");
    let combined = lines.iter().find(|line| line.contains("segment+tier")).unwrap();
    for cause in ["CustomerSegmented", "MembershipResolved"] {
        assert!(combined.contains(cause), "{combined}");
    }
    let first = stdout.lines().find(|line| line.starts_with("  1. ")).unwrap();
    assert!(first.contains("location") && first.contains("segment+tier"), "{first}");
}
