use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::*;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Polling,
    Pushing,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Lease {
    #[serde(with = "crate::duration")]
    duration: Duration,
    #[serde(with = "crate::duration")]
    renew: Duration,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Example {
    stage: String,
    kms_key: Option<String>,
    batch: u16,
    ratio: f64,
    mode: Mode,
    rivers: Vec<String>,
    weights: BTreeMap<String, u32>,
    lease: Lease,
}

impl Default for Example {
    fn default() -> Self {
        Self {
            stage: "dev".into(),
            kms_key: None,
            batch: 10,
            ratio: 0.5,
            mode: Mode::Polling,
            rivers: Vec::new(),
            weights: BTreeMap::new(),
            lease: Lease { duration: Duration::from_secs(10), renew: Duration::from_secs(3) },
        }
    }
}

impl Validate for Lease {
    fn validate(&self, problems: &mut Problems) {
        if self.duration < 3 * self.renew {
            problems.report("duration", "must be at least 3 × lease.renew");
        }
    }
}

impl Validate for Example {
    fn validate(&self, problems: &mut Problems) {
        if self.stage.is_empty() {
            problems.report("stage", "must be given");
        }
        problems.section("lease", &self.lease);
    }
}

fn sources(file: &str, variables: &[(&str, &str)]) -> Sources {
    let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
    let file = (!file.is_empty()).then(|| (PathBuf::from("x.toml"), file.to_owned()));
    Sources { file, variables: variables.collect() }
}

fn loaded(file: &str, variables: &[(&str, &str)]) -> Settings<Example> {
    load(&sources(file, variables)).unwrap_or_else(|problems| panic!("{problems}")).settings
}

fn refused(file: &str, variables: &[(&str, &str)]) -> Vec<String> {
    let problems = load::<Example>(&sources(file, variables)).unwrap_err();
    problems.to_string().lines().map(|line| line.trim().to_owned()).collect()
}

#[test]
fn nothing_given_means_the_defaults() {
    let settings = loaded("", &[("PATH", "/bin"), ("AWS_REGION", "eu-west-1")]);
    assert_eq!(settings.service, Example::default());
    assert_eq!(settings.shutdown, Shutdown::default());
}

#[test]
fn a_variable_wins_over_the_file_and_the_file_over_the_default() {
    let file =
        "stage = \"eu\"\nbatch = 5\n[lease]\nduration = \"1m\"\n[admin]\naddress = \"127.0.0.1:1\"";
    let settings = loaded(file, &[("RAPIDS_BATCH", "7"), ("RAPIDS_LEASE__RENEW", "5s")]);
    assert_eq!(settings.service.stage, "eu");
    assert_eq!(settings.service.batch, 7);
    let lease = Lease { duration: Duration::from_secs(60), renew: Duration::from_secs(5) };
    assert_eq!(settings.service.lease, lease);
    assert_eq!(settings.admin.address.port(), 1);
}

#[test]
fn every_kind_of_value_can_come_from_a_variable() {
    let settings = loaded(
        "",
        &[
            ("RAPIDS_STAGE", "007"),
            ("RAPIDS_KMS_KEY", "true"),
            ("RAPIDS_RATIO", "0.25"),
            ("RAPIDS_MODE", "pushing"),
            ("RAPIDS_RIVERS", "[a, b]"),
            ("RAPIDS_WEIGHTS", "{a=1, b=2}"),
            ("RAPIDS_SHUTDOWN__GRACE", "90s"),
        ],
    );
    assert_eq!(settings.service.stage, "007");
    assert_eq!(settings.service.kms_key.as_deref(), Some("true"));
    assert!((settings.service.ratio - 0.25).abs() < f64::EPSILON);
    assert_eq!(settings.service.mode, Mode::Pushing);
    assert_eq!(settings.service.rivers, ["a", "b"]);
    assert_eq!(settings.service.weights, BTreeMap::from([("a".into(), 1), ("b".into(), 2)]));
    assert_eq!(settings.shutdown.grace, Duration::from_secs(90));
}

#[test]
fn all_problems_are_told_at_once_with_key_value_and_source() {
    let problems = refused(
        "batch = \"many\"\nlease.renew = \"5s\"\n[leese]\nduration = \"1s\"\n[log]\nfilter = \"kcl=loud\"",
        &[
            ("RAPIDS_STAGE", ""),
            ("RAPIDS_LEASE__DURATION", "2 s"),
            ("RAPIDS_ADMIN__PORT", "80"),
            ("RAPIDS_MODE", "pulling"),
        ],
    );
    assert_eq!(problems.len(), 7, "{problems:#?}");
    let has = |parts: &[&str]| {
        let found = problems.iter().any(|problem| parts.iter().all(|part| problem.contains(part)));
        assert!(found, "{parts:?} is not in {problems:#?}");
    };
    has(&["batch = \"many\" (x.toml): invalid type", "expected u16"]);
    has(&["leese (x.toml): unknown key; did you mean lease?"]);
    has(&["log.filter = \"kcl=loud\" (x.toml): "]);
    has(&["stage = \"\" (RAPIDS_STAGE): must be given"]);
    has(&["lease.duration = \"2 s\" (RAPIDS_LEASE__DURATION): \"2 s\" is not a duration", "250ms"]);
    has(&["admin.port (RAPIDS_ADMIN__PORT): unknown key"]);
    has(&["mode = \"pulling\" (RAPIDS_MODE): ", "polling"]);
}

#[test]
fn a_broken_rule_names_the_default_that_breaks_it() {
    assert_eq!(
        refused("[lease]\nrenew = \"5s\"", &[]),
        ["lease.duration = \"10s\" (default): must be at least 3 × lease.renew"]
    );
}

#[test]
fn a_mistyped_variable_is_told_as_a_variable() {
    assert_eq!(
        refused("", &[("RAPIDS_LEASE_DURATION", "1s")]),
        [
            "lease_duration (RAPIDS_LEASE_DURATION): unknown key; did you mean RAPIDS_LEASE__DURATION?"
        ]
    );
    assert!(refused("", &[("RAPIDS___X", "1")])[0].contains("unknown key"));
    assert!(refused("", &[("RAPIDS_ARCHIVES", "events")])[0].contains("unknown key"));
}

#[test]
fn variables_of_the_command_line_may_be_exported_for_every_program() {
    let exported =
        [("RAPIDS_ARCHIVE", "./events"), ("RAPIDS_METRICS", "http://127.0.0.1:9464/metrics")];
    let settings = loaded("", &exported);
    assert_eq!(settings.service, Example::default());
}

#[test]
fn a_bare_number_is_no_duration() {
    let expected =
        "\"10\" is not a duration: expected a whole number with its unit, ms, s, m, h or d";
    let from_variable = refused("", &[("RAPIDS_LEASE__DURATION", "10")]);
    assert!(from_variable[0].contains(expected), "{from_variable:?}");
    let from_file = refused("lease.duration = 10", &[]);
    assert!(from_file[0].contains(expected), "{from_file:?}");
}

#[test]
fn a_file_that_is_not_toml_is_told_with_its_line() {
    let problems = refused("stage = \"a\"\nbatch = = 1", &[("RAPIDS_BATCH", "x")]).join("\n");
    assert!(problems.contains("x.toml") && problems.contains("line 2"), "{problems}");
    assert!(problems.contains("RAPIDS_BATCH"), "{problems}");
}

#[test]
fn what_kubernetes_adds_by_itself_is_not_taken_for_settings() {
    let links = [
        ("RAPIDS_READER_SERVICE_HOST", "10.0.0.1"),
        ("RAPIDS_READER_SERVICE_PORT", "9464"),
        ("RAPIDS_READER_SERVICE_PORT_ADMIN", "9464"),
        ("RAPIDS_READER_PORT", "tcp://10.0.0.1:9464"),
        ("RAPIDS_READER_PORT_9464_TCP", "tcp://10.0.0.1:9464"),
        ("RAPIDS_READER_PORT_9464_TCP_ADDR", "10.0.0.1"),
    ];
    assert_eq!(loaded("", &links).service, Example::default());
    assert!(!refused("", &[("RAPIDS_READER_PORT", "9464")]).is_empty());
}

#[test]
fn the_variable_that_names_the_file_is_no_setting() {
    assert_eq!(loaded("", &[("RAPIDS_CONFIG", "x.toml")]).service, Example::default());
}

#[test]
fn what_is_printed_can_be_given_back() {
    let given = sources("rivers = [\"a\"]", &[("RAPIDS_STAGE", "eu"), ("RAPIDS_WEIGHTS", "{a=1}")]);
    let first = load::<Example>(&given).unwrap();
    let text = effective(&first.tree);
    assert!(text.contains("stage = \"eu\"") && text.contains("duration = \"10s\""), "{text}");
    assert!(!text.contains("kms_key"), "{text}");
    assert_eq!(loaded(&text, &[]).service, first.settings.service, "{text}");
}

#[test]
fn help_lists_every_setting_with_default_and_variable() {
    let help = keys_help(&defaults::<Example>());
    assert!(help.contains("lease.duration = \"10s\""), "{help}");
    assert!(help.contains("RAPIDS_LEASE__DURATION"), "{help}");
    assert!(help.contains("kms_key = (unset)"), "{help}");
    assert!(help.contains("RAPIDS_LOG__FORMAT"), "{help}");
}
