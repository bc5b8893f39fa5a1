//! Questions to an archive in memory.

use std::sync::Arc;

use archive::Log;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::prelude::SessionContext;
use event::Event;
use jiff::Timestamp;
use object_store::ObjectStore;
use object_store::memory::InMemory;
use serde_json::json;

use crate::args::Format;
use crate::events::Events;
use crate::{print, session};

/// Two hours of views, and an offer with an odd name for a type.
fn events() -> Vec<Event> {
    let event = |event_type: &str, number: i64| {
        let at = Timestamp::from_second(number * 1_800).unwrap();
        let payload =
            json!({"name": "Sally", "n": number, "location": {"city": "Köln, \"am Rhein\""}});
        Event {
            event_id: format!("e{number}").as_str().into(),
            ..Event::root(event_type, "web", payload, at)
        }
    };
    vec![event("ViewPage", 0), event("ViewPage", 1), event("ViewPage", 2), event("offer/made", 3)]
}

async fn store() -> Arc<dyn ObjectStore> {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    assert_eq!(archive::import(&store, &events(), Timestamp::UNIX_EPOCH).await.unwrap(), 4);
    store
}

async fn session() -> SessionContext {
    let store = store().await;
    let state = Log::new(Arc::clone(&store)).open().await.unwrap();
    session::on(store, &state).await.unwrap()
}

async fn ask(sql: &str, format: Format) -> anyhow::Result<String> {
    let mut out = Vec::new();
    print::run(&session().await, sql, format, &mut out).await?;
    Ok(String::from_utf8(out)?)
}

async fn csv(sql: &str) -> String {
    ask(sql, Format::Csv).await.unwrap()
}

#[tokio::test]
async fn all_events_are_in_one_table_and_those_of_a_type_in_its_own() {
    let counted = csv("select event_type, count(*) n from events group by 1 order by 1").await;
    assert_eq!(counted, "event_type,n\nViewPage,3\noffer/made,1\n");
    assert_eq!(csv("select count(*) n from events").await, "n\n4\n");
    for table in ["ViewPage", "viewpage", "\"ViewPage\""] {
        assert_eq!(
            csv(&format!("select event_id from {table} order by 1")).await,
            "event_id\ne0\ne1\ne2\n"
        );
    }
    assert_eq!(csv("select event_id from \"offer/made\"").await, "event_id\ne3\n");
}

#[tokio::test]
async fn json_looks_into_payloads() {
    let sql = "select json(payload, 'location/city') city, cast(json(payload, 'n') as int) * 2 twice, \
               json(payload, 'none') none from events where json(payload, 'n') = '2'";
    let said = ask(sql, Format::Json).await.unwrap();
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said, json!({"city": "Köln, \"am Rhein\"", "twice": 4}));
    assert_eq!(csv("select json('{\"a\":1}', 'a') a").await, "a\n1\n");
}

#[tokio::test]
async fn the_whole_event_is_there() {
    let said = ask("select event from events where event_id = 'e1'", Format::Json).await.unwrap();
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    let event = Event::parse(said["event"].as_str().unwrap().as_bytes()).unwrap();
    assert_eq!(event, events()[1]);
}

#[tokio::test]
async fn times_are_times() {
    let sql = "select event_id from events where timestamp >= '1970-01-01T00:30:00Z' and \
               timestamp < timestamp '1970-01-01T00:30:00Z' + interval '1 hour' order by 1";
    assert_eq!(csv(sql).await, "event_id\ne1\ne2\n");
    let sql =
        "select date_trunc('hour', timestamp) hour, count(*) n from events group by 1 order by 1";
    assert_eq!(csv(sql).await, "hour,n\n1970-01-01T00:00:00Z,2\n1970-01-01T01:00:00Z,2\n");
}

#[tokio::test]
async fn type_and_time_decide_which_files_are_read() {
    let (session, store) = (session().await, store().await);
    let state = Log::new(store).open().await.unwrap();
    let events = Events::of(&state, ObjectStoreUrl::parse("archive://files").unwrap());
    let schema = session.table("events").await.unwrap().schema().clone();
    let read = |filter: &str| {
        let filter = session.parse_sql_expr(filter, &schema).unwrap();
        let filter: Arc<dyn PhysicalExpr> = session.create_physical_expr(filter, &schema).unwrap();
        events.files_for(Some(&filter)).unwrap().len()
    };
    assert_eq!(events.files_for(None).unwrap().len(), 3);
    assert_eq!(read("event_type = 'ViewPage'"), 2);
    assert_eq!(read("event_type in ('offer/made', 'x')"), 1);
    assert_eq!(read("event_type = 'nothing'"), 0);
    assert_eq!(read("timestamp < to_timestamp_micros(3600000000)"), 1);
    assert_eq!(read("timestamp >= to_timestamp_micros(3599999999)"), 3);
    assert_eq!(read("event_type = 'ViewPage' and timestamp >= to_timestamp_micros(3600000000)"), 1);
    assert_eq!(read("event_id = 'e1'"), 3);
}

#[tokio::test]
async fn no_rows_have_a_header() {
    let none = "select event_id from events where event_type = 'nothing'";
    assert_eq!(csv(none).await, "event_id\n");
    assert!(ask(none, Format::Table).await.unwrap().contains("event_id"));
    assert_eq!(ask(none, Format::Json).await.unwrap(), "");
}

#[tokio::test]
async fn what_does_not_read_or_is_no_sql_is_refused() {
    for sql in [
        "drop table events",
        "copy events to '/tmp/x.csv'",
        "create table t as select 1",
        "set a = 1",
    ] {
        ask(sql, Format::Table).await.unwrap_err();
    }
    let wrong = ask("select evnt_id from events", Format::Table).await.unwrap_err();
    let wrong = chassis::explain(wrong.as_ref());
    assert!(wrong.contains("evnt_id") && wrong.contains("events.event_id"), "{wrong}");
}

#[tokio::test]
async fn an_archive_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("a");
    let said = session::open(missing.to_str().unwrap()).await.err().unwrap().to_string();
    assert!(said.contains("there is no archive") && said.contains("RAPIDS_ARCHIVE"), "{said}");
    let said = session::open(folder.path().to_str().unwrap()).await.err().unwrap().to_string();
    assert!(said.contains("is empty"), "{said}");
}
