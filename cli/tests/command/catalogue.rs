//! The catalogue as one-shot commands: exit codes, JSON, AsyncAPI.

use serde_json::{Value, json};

use crate::support::{Up, rapids_at, run};

const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts/view.schema.json");
const WIDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts/view-wider.schema.json");

#[test]
fn a_refusal_is_exit_code_1_with_each_reason_and_the_catalogue_keeps_what_it_had() {
    let (_up, endpoint) = Up::with("control-plane,rapids-reader");
    let rapids = |arguments: &[&str]| run(rapids_at(&endpoint).args(arguments));
    let done = |arguments: &[&str]| {
        let (stdout, stderr, code) = rapids(arguments);
        assert_eq!((stderr.as_str(), code), ("", 0), "{arguments:?}");
        stdout
    };
    let example = r#"{"name":"Sally"}"#;
    done(&["advertise", "ViewPage", "--schema", SCHEMA, "--owner", "web", "--example", example]);
    done(&["advertise", "Unheard"]);
    done(&["subscribe", "r1", "View*"]);
    done(&["subscribe", "r1", "Missing"]);
    rapids(&["send", "Secret", "web"]);

    let (stdout, stderr, code) = rapids(&["advertise", "ViewPage", "--schema", WIDER]);
    assert_eq!((stdout.as_str(), code), ("", 1), "{stderr}");
    for place in ["/required: ", "/properties/name/type: ", "/properties/tier/enum: ", "error: "] {
        assert!(stderr.lines().any(|line| line.starts_with(place)), "{stderr}");
    }
    let (stdout, _, code) =
        rapids(&["--json", "advertise", "ViewPage", "--schema", WIDER, "--dry-run"]);
    let told: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((told["taken"].as_bool(), code), (Some(false), 1), "{told}");
    let required = json!({"at": "/required", "rule": "required", "old": "name"});
    assert!(told["incompatibilities"].as_array().unwrap().contains(&required), "{told}");

    let report: Value = serde_json::from_str(&done(&["--json", "topics", "--details"])).unwrap();
    let view = &report["topics"][1];
    assert_eq!((view["topic"].as_str(), view["owner"].as_str()), (Some("ViewPage"), Some("web")));
    assert_eq!(view["schema"]["properties"]["name"], json!({"type": "string", "minLength": 1}));
    assert_eq!(view["rivers"], json!([{"river": "r1", "topic": "View*", "status": "active"}]));
    assert!(view["refused"]["reason"].as_str().unwrap().contains("/properties/tier/enum"));
    assert_eq!(report["unused"], json!(["Unheard"]));
    assert_eq!(report["unadvertised"][0]["topic"], "Missing");
    assert_eq!(report["orphanRivers"], json!([]));
    let since = done(&["--json", "catalogue", "--since", "1h"]);
    let since: Value = serde_json::from_str(&since).unwrap();
    assert_eq!(since["emittedUnadvertised"], json!(["Secret"]));

    done(&["unsubscribe", "r1", "View*"]);
    done(&["unsubscribe", "r1", "Missing"]);
    let report = done(&["catalogue"]);
    assert!(report.contains("rivers that nothing flows into: r1 has queues"), "{report}");
}

#[test]
fn the_catalogue_is_exported_as_asyncapi() {
    let (_up, endpoint) = Up::with("control-plane");
    let rapids = |arguments: &[&str]| run(rapids_at(&endpoint).args(arguments));
    rapids(&["advertise", "ViewPage", "--schema", SCHEMA]);
    rapids(&["subscribe", "r1", "*"]);
    let (stdout, stderr, code) = rapids(&["catalogue", "--asyncapi=json"]);
    assert_eq!(code, 0, "{stderr}");
    let document: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(document["asyncapi"], "3.0.0");
    assert_eq!(document["operations"]["r1.ViewPage"]["action"], "receive");
    let (yaml, _, _) = rapids(&["catalogue", "--asyncapi"]);
    assert!(yaml.starts_with("asyncapi: \"3.0.0\"\nchannels:\n  ViewPage:\n"), "{yaml}");
}
