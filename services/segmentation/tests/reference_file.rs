//! Segments from a file.

use std::path::Path;

use chassis::{Kit, embed};
use local_aws::LocalAws;
use pond::{Pond, Reference};
use tokio_util::sync::CancellationToken;

/// Starts the service on `aws` with the file, and stops it again.
async fn started(aws: &LocalAws, file: &Path, segments: &[(&str, &str)]) -> Result<(), String> {
    let kit = Kit::new("segmentation", aws.sdk_config());
    let owned = |(customer, segment): &(&str, &str)| (customer.to_string(), segment.to_string());
    let config = river::Config {
        subscribe: false,
        report: river::Report::OFF,
        handler: segmentation::Config {
            reference_file: Some(file.to_owned()),
            segments: segments.iter().map(owned).collect(),
        },
        ..river::Config::default()
    };
    let stop = CancellationToken::new();
    let embedded = embed::<segmentation::Service>(kit, config, None, stop.clone()).await;
    stop.cancel();
    embedded.map(drop).map_err(|error| format!("{error:#}"))
}

#[tokio::test(start_paused = true)]
async fn the_file_goes_over_what_comes_with_the_service_and_the_configuration_over_the_file() {
    let aws = LocalAws::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("segments.json");
    std::fs::write(&file, r#"{"Sally":"Explorer","Harry":"Explorer"}"#).unwrap();
    started(&aws, &file, &[("Harry", "Family")]).await.unwrap();
    let dynamodb = aws_sdk_dynamodb::Client::new(&aws.sdk_config());
    let time = || jiff::Timestamp::UNIX_EPOCH;
    let pond = Pond::open(dynamodb, "Pond-segmentation-dev", time).await.unwrap();
    let segments = Reference::new(&pond, "segments");
    for (customer, segment) in
        [("Sally", "Explorer"), ("Harry", "Family"), ("probe-sally", "RoadWarrior")]
    {
        assert_eq!(segments.get::<String>(customer).await.unwrap().as_deref(), Some(segment));
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_with_a_file_that_is_wrong_does_not_start_and_says_why() {
    let aws = LocalAws::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("segments.jsonl");
    std::fs::write(&file, "{\"key\":\"Harry\",\"value\":\"\"}\n").unwrap();
    let error = started(&aws, &file, &[]).await.unwrap_err();
    let place = format!("{} line 1: a segment has at least one letter", file.display());
    assert!(error.contains(&place), "{error}");
}
