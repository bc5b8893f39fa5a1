//! Reference data from files.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

mod world;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use local_aws::{Fault, Service};
use pond::{LoadError, Reference};
use tempfile::TempDir;
use world::World;

const ROWS: usize = 10_000;

/// A file in a folder that goes with it.
struct Written {
    _folder: TempDir,
    path: PathBuf,
}

fn written(name: &str, text: &str) -> Written {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    Written { _folder: folder, path }
}

fn lines(rows: usize) -> String {
    (0..rows).fold(String::new(), |mut text, row| {
        writeln!(text, r#"{{"key":"customer-{row}","value":"tier-{row}"}}"#).unwrap();
        text
    })
}

async fn load(tiers: &Reference, path: &Path) -> Result<usize, LoadError> {
    tiers.load(path, |_, _: &String| Ok(())).await
}

async fn stored(world: &World) -> usize {
    let mut rows = 0;
    let scan = world.dynamodb().scan().table_name("Pond-test-dev").into_paginator();
    let mut pages = scan.send();
    while let Some(page) = pages.next().await {
        rows += page.unwrap().items().len();
    }
    rows
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_rows_are_loaded_in_batches_and_twice_is_harmless() {
    let world = World::new().await;
    let file = written("tiers.jsonl", &lines(ROWS));
    let tiers = Reference::new(&world.pond, "tiers");
    tiers.seed("customer-7", &"of old").await.unwrap();
    tiers.seed("Sally", &"Platinum").await.unwrap();
    for time in 1..=2 {
        assert_eq!(load(&tiers, &file.path).await.unwrap(), ROWS);
        let requests = world.aws.calls(Service::DynamoDb, "BatchWriteItem");
        assert_eq!(requests, time * ROWS.div_ceil(25) as u64);
        assert_eq!(stored(&world).await, ROWS + 1);
    }
    for row in [0, 7, ROWS - 1] {
        let tier: Option<String> = tiers.get(&format!("customer-{row}")).await.unwrap();
        assert_eq!(tier, Some(format!("tier-{row}")));
    }
    assert_eq!(tiers.get("Sally").await.unwrap(), Some("Platinum".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_bad_line_in_the_middle_is_told_and_nothing_is_written() {
    let world = World::new().await;
    let tiers = Reference::new(&world.pond, "tiers");
    let half = lines(ROWS / 2);
    let bad = [
        (r#"{"key":"Harry","value":7}"#, "invalid type: integer `7`, expected a string"),
        (r#"{"key":"Harry","value":""}"#, "empty"),
        (r#"{"key":"customer-1","value":"x"}"#, "the key \"customer-1\" is on line 2 already"),
    ];
    let check = |_: &str, tier: &String| {
        if tier.is_empty() { Err("empty".to_owned()) } else { Ok(()) }
    };
    for (line, cause) in bad {
        let file = written("tiers.jsonl", &format!("{half}{line}\n{}", lines(3)));
        let error = tiers.load(&file.path, check).await.unwrap_err();
        let place = format!("{} line {}: {cause}; no row was written", file.path.display(), 5001);
        assert!(error.to_string().starts_with(&place), "{error}");
    }
    assert_eq!(stored(&world).await, 0);
    assert_eq!(world.aws.calls(Service::DynamoDb, "BatchWriteItem"), 0);
}

#[tokio::test(start_paused = true)]
async fn an_object_is_loaded_as_well_and_other_files_are_refused() {
    let world = World::new().await;
    let tiers = Reference::new(&world.pond, "tiers");
    let file = written("tiers.json", r#"{"Sally": "Platinum", "Harry": "Gold"}"#);
    assert_eq!(load(&tiers, &file.path).await.unwrap(), 2);
    assert_eq!(tiers.get("Harry").await.unwrap(), Some("Gold".to_owned()));
    let odd = load(&tiers, &file.path.with_extension("csv")).await.unwrap_err();
    assert!(matches!(odd, LoadError::Format { .. }), "{odd}");
    let missing = load(&tiers, &file.path.with_extension("jsonl")).await.unwrap_err();
    assert!(matches!(missing, LoadError::Unreadable { .. }), "{missing}");
}

#[tokio::test(start_paused = true)]
async fn what_dynamodb_leaves_over_or_throttles_is_written_in_the_end() {
    let world = World::new().await;
    let fault = || Fault::on(Service::DynamoDb, "BatchWriteItem");
    let faults = world.aws.faults();
    faults.add(fault().fail_entries(&[0, 3, 24], "").times(3));
    faults.add(fault().fail_entries(&(0..25).collect::<Vec<_>>(), "").times(2));
    faults.add(fault().throttle().times(8));
    let file = written("tiers.jsonl", &lines(100));
    let tiers = Reference::new(&world.pond, "tiers");
    assert_eq!(load(&tiers, &file.path).await.unwrap(), 100);
    assert_eq!(stored(&world).await, 100);
    assert!(world.aws.calls(Service::DynamoDb, "BatchWriteItem") > 4 + 3 + 2);
}

#[tokio::test(start_paused = true)]
async fn a_table_that_takes_nothing_is_told_and_no_more_is_read() {
    let world = World::new().await;
    let file = written("tiers.jsonl", &lines(ROWS));
    let tiers = Reference::new(&world.pond, "tiers");
    let always = Fault::on(Service::DynamoDb, "BatchWriteItem").throttle().always();
    world.aws.faults().add(always);
    let error = load(&tiers, &file.path).await.unwrap_err();
    let LoadError::Pond { source, .. } = &error else { panic!("{error}") };
    assert_eq!(
        source.to_string(),
        "table Pond-test-dev left 25 rows of a batch over at each of 10 attempts"
    );
}
