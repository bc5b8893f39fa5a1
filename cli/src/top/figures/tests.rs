use std::time::Duration;

use crate::output::Paint;
use crate::top::{exposition, picture};

use super::*;

const READER: &str = r#"rapids_build_info{service="rapids-reader",version="1"} 1
rapids_reader_records_total{outcome="published"} 100
kcl_shard_behind_seconds{shard="shardId-000000000000"} 0.25
"#;

fn monitor(views: u32, handled: u32) -> String {
    format!(
        r#"rapids_build_info{{service="monitor",version="1"}} 1
offers_page_views_total{{synthetic="false"}} {views}
offers_page_views_total{{synthetic="true"}} 1000
offers_views_judged_total{{result="offered",synthetic="false"}} 3
offers_views_judged_total{{result="missing",synthetic="false"}} 1
rapids_river_messages_total{{river="monitor",event="*",outcome="ok"}} {handled}
rapids_river_messages_total{{river="monitor",event="*",outcome="poison"}} 2
rapids_river_handle_seconds_bucket{{river="monitor",event="*",le="0.01"}} 94
rapids_river_handle_seconds_bucket{{river="monitor",event="*",le="0.1"}} 99
rapids_river_handle_seconds_bucket{{river="monitor",event="*",le="+Inf"}} 100
rapids_river_depth{{river="brand",state="visible"}} 7
rapids_dlq_depth{{river="brand"}} 1
rapids_probe_runs_total{{probe="sally",outcome="passed"}} 4
rapids_self_check_status 1
"#
    )
}

/// Two looks, ten seconds apart.
fn looks(texts: [&[(&str, Result<&str, &str>)]; 2]) -> Figures {
    let start = Instant::now();
    let [before, now] = [0, 1].map(|index| {
        let at = start + Duration::from_secs(10) * index;
        let mut reading = Reading::new(at, Timestamp::UNIX_EPOCH);
        for (source, text) in texts[index as usize] {
            let parsed = text.map_err(str::to_owned).and_then(exposition::parse);
            reading.add(source, parsed);
        }
        reading
    });
    of(&before, &now)
}

#[test]
fn rates_come_from_two_looks_and_the_rest_from_the_last() {
    let (before, now) = (monitor(10, 50), monitor(20, 150));
    let figures =
        looks([&[("m", Ok(&before)), ("r", Ok(READER))], &[("m", Ok(&now)), ("r", Ok(READER))]]);
    let offers = figures.offers.as_ref().unwrap();
    assert!((offers.views_per_minute - 60.0).abs() < 0.1, "{offers:?}");
    assert_eq!(offers.covered, Some(0.75));
    let [monitor, reader] = &figures.services[..] else { panic!("{figures:?}") };
    assert_eq!(
        (&*monitor.service, monitor.quarantined, monitor.handle_seconds_p95),
        ("monitor", 2.0, Some(0.1))
    );
    assert!((monitor.handled_per_second - 10.0).abs() < 0.1);
    assert_eq!((&*reader.service, reader.handled_per_second), ("rapids-reader", 0.0));
    assert_eq!(figures.shards[0].service, "rapids-reader");
    let rivers: Vec<_> =
        figures.rivers.iter().map(|it| (&*it.river, it.visible, it.dead)).collect();
    assert_eq!(rivers, [("brand", Some(7.0), Some(1.0)), ("monitor", None, None)]);
}

#[test]
fn a_process_that_began_anew_or_went_away_makes_no_negative_rate() {
    let (before, now) = (monitor(1_000, 5_000), monitor(10, 20));
    let figures =
        looks([&[("m", Ok(&before))], &[("m", Ok(&now)), ("r", Err("connection refused"))]]);
    assert!((figures.offers.as_ref().unwrap().views_per_minute - 60.0).abs() < 0.1);
    assert_eq!(figures.down["r"], "connection refused");
    let lines = picture::lines(&figures, Paint::NONE);
    assert!(lines.contains(&"down r: connection refused".to_owned()), "{lines:#?}");
    assert!(looks([&[("m", Ok(&before))], &[]]).offers.is_none());
}

#[test]
fn a_prometheus_tells_of_several_processes() {
    let one = READER.replace("{s", "{instance=\"a:1\",s").replace("{o", "{instance=\"a:1\",o");
    let both = format!("{one}{}", one.replace("a:1", "b:1"));
    let figures = looks([&[("p", Ok(&both))], &[("p", Ok(&both))]]);
    assert_eq!(figures.services[0].processes, 2);
    let at: Vec<_> = figures.shards.iter().map(|it| &*it.process).collect();
    assert_eq!(at, ["a:1", "b:1"]);
}

#[test]
fn of_several_namespaces_one_is_to_be_chosen() {
    let of = |namespace: &str| {
        let label =
            |name: &str| format!("{{instance=\"{namespace}:1\",namespace=\"{namespace}\",{name}");
        READER.replace("{s", &label("s")).replace("{o", &label("o"))
    };
    let reading = || {
        let mut reading = Reading::new(Instant::now(), Timestamp::UNIX_EPOCH);
        reading.add("p", exposition::parse(&(of("prod") + &of("staging"))));
        reading
    };
    assert_eq!(reading().of_namespace(None).unwrap_err(), ["prod", "staging"]);
    let chosen = reading().of_namespace(Some("prod")).unwrap();
    assert_eq!(chosen.processes.keys().collect::<Vec<_>>(), ["prod:1"]);
}

#[test]
fn the_picture_is_a_table_for_each_kind() {
    let now = monitor(20, 150);
    let figures =
        looks([&[("m", Ok(&now)), ("r", Ok(READER))], &[("m", Ok(&now)), ("r", Ok(READER))]]);
    let expected = "\
views 0/min   selections 0/min   covered 75.0 %   time to offer p95 -   probes 4 of 4, none passed yet   events missing 0

SERVICE        VERSION  UP  SELF-CHECK  HANDLED/S  FAILED/S  QUARANTINED  IN FLIGHT     P95
monitor              1   1  well              0.0       0.0            2          0  100 ms
rapids-reader        1   1  well              0.0       0.0            0          0       -

RIVER    WAITING  IN FLIGHT  DELAYED  DEAD LETTERS  SETTLED/S  WAITED P95
brand          7          -        -             1        0.0           -
monitor        -          -        -             -        0.0           -

SHARD                 READ BY        AT  BEHIND  CHECKPOINT AGE
shardId-000000000000  rapids-reader  r   250 ms               -";
    assert_eq!(picture::lines(&figures, Paint::NONE).join("\n"), expected);
}

#[test]
fn a_counter_that_is_born_has_risen_and_one_of_a_new_process_has_not() {
    let born = r#"rapids_build_info{service="rapids-reader",version="1"} 1
rapids_reader_records_total{outcome="published"} 100
rapids_reader_records_total{outcome="quarantined"} 20
"#;
    let figures = looks([&[("r", Ok(READER))], &[("r", Ok(born)), ("new", Ok(born))]]);
    let [reader] = &figures.services[..] else { panic!("{figures:?}") };
    assert!((reader.handled_per_second - 2.0).abs() < 0.01, "{reader:?}");
}
