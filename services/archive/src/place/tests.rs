use std::collections::BTreeMap;
use std::sync::Mutex;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State as Shared};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use tokio::net::TcpListener;

use super::*;
use crate::entry::Entry;
use crate::log::{Commit, Log};
use crate::name;
use crate::state::State;
use crate::testing::{appender, batch, later, once, rows_by_id};

#[test]
fn a_place_is_a_folder_or_a_url_of_one() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("a/b");
    let folder = folder.to_str().unwrap();
    assert!(open(folder, Missing::Refuse).unwrap_err().to_string().contains("RAPIDS_ARCHIVE="));
    open(&format!("file://{folder}"), Missing::Make).unwrap();
    open(folder, Missing::Refuse).unwrap();
}

#[test]
fn a_bucket_is_opened_without_a_call() {
    for place in ["s3://bucket", "s3://bucket/a/prefix/"] {
        open(place, Missing::Refuse).unwrap();
    }
}

#[test]
fn anything_else_is_refused() {
    for place in ["http://somewhere", "s3:///prefix", "file://relative", "gs://bucket"] {
        assert!(matches!(open(place, Missing::Make), Err(NoPlace::Scheme(_))), "{place}");
    }
}

/// Objects by the path in the URL, as it came.
type Objects = Arc<Mutex<BTreeMap<String, Bytes>>>;

/// Answers as S3 does, as far as the archive asks it.
async fn answer(Shared(objects): Shared<Objects>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let key = parts.uri.path().to_owned();
    let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let about = [("etag", "\"1\""), ("last-modified", "Mon, 23 Nov 2026 14:00:00 GMT")];
    if parts.method == Method::PUT {
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let mut objects = objects.lock().unwrap();
        if header("if-none-match") == Some("*") && objects.contains_key(&key) {
            return StatusCode::PRECONDITION_FAILED.into_response();
        }
        objects.insert(key, body);
        return about.into_response();
    }
    assert_eq!(parts.method, Method::GET, "{key}");
    let Some(object) = objects.lock().unwrap().get(&key).cloned() else {
        return StatusCode::NOT_FOUND.into_response();
    };
    match header("range").and_then(|range| range.strip_prefix("bytes=")?.split_once('-')) {
        Some((from, to)) => {
            let (from, to): (usize, usize) = (from.parse().unwrap(), to.parse().unwrap());
            let range = format!("bytes {from}-{to}/{}", object.len());
            let part = object.slice(from..=to);
            (StatusCode::PARTIAL_CONTENT, about, [("content-range", range)], part).into_response()
        }
        None => (about, object).into_response(),
    }
}

/// An archive in a bucket of such a store, which lives as long as the test's runtime; and its objects.
async fn bucket() -> (Arc<dyn ObjectStore>, Objects) {
    let objects = Objects::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(answer).with_state(Arc::clone(&objects));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let s3 = AmazonS3Builder::new()
        .with_endpoint(endpoint)
        .with_region("us-east-1")
        .with_access_key_id("local")
        .with_secret_access_key("local");
    (in_s3(s3, "bucket/a/prefix").unwrap(), objects)
}

#[tokio::test]
async fn an_archive_in_s3_keeps_each_event_once_whoever_writes() {
    let (store, objects) = bucket().await;
    let mut odd = batch(0..6);
    odd[1].0.event_type = "was/ist das? 100%".to_owned();
    // The second has opened the archive before the first commit: its number is taken, and it reads.
    let mut writers = [appender(&store).await.unwrap(), appender(&store).await.unwrap()];
    for writer in &mut writers {
        writer.append(&odd, later()).await.unwrap();
    }
    assert_eq!(rows_by_id(&store).await, once(0..6));
    let log = Log::new(Arc::clone(&store));
    let mut late = State::default();
    let entry = Entry::append(name(), later(), Vec::new());
    assert_eq!(log.commit(&mut late, &entry).await.unwrap(), Commit::Lost);
    let first = "/bucket/a/prefix/log/00000000000000000000.json";
    assert!(objects.lock().unwrap().contains_key(first));
}
