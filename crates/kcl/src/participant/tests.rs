//! Against the embedded DynamoDB on a paused clock, and against rows of the KCL.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType,
};
use local_aws::{Fault, LocalAws, Service};

use super::coordinator::{metrics_home, regime};
use super::*;

#[expect(dead_code, reason = "the tests of compatibility use the rest")]
#[path = "../../tests/compatibility/items.rs"]
mod items;

const LEASES: &str = "app";
const COORDINATOR: &str = "app-CoordinatorState";
const METRICS: &str = "app-WorkerMetricStats";
const NOW: SystemTime = UNIX_EPOCH;

struct World {
    aws: LocalAws,
    dynamodb: Client,
}

fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn n(number: u64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

impl World {
    async fn with_lease_table(index: bool) -> Self {
        let aws = LocalAws::new();
        let dynamodb = Client::new(&aws.sdk_config());
        let world = Self { aws, dynamodb };
        world.table(LEASES, LEASE_KEY, index).await;
        world
    }

    async fn table(&self, name: &str, key: &str, index: bool) {
        let attribute = |name: &str| {
            let attribute = AttributeDefinition::builder().attribute_name(name);
            attribute.attribute_type(ScalarAttributeType::S).build().unwrap()
        };
        let part = |name: &str, kind| {
            KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap()
        };
        let mut create = self.dynamodb.create_table().table_name(name);
        create = create.billing_mode(BillingMode::PayPerRequest);
        create = create.attribute_definitions(attribute(key)).key_schema(part(key, KeyType::Hash));
        if index {
            let keys_only = Projection::builder().projection_type(ProjectionType::KeysOnly);
            let index = GlobalSecondaryIndex::builder()
                .index_name(OWNER_INDEX)
                .key_schema(part(LEASE_OWNER, KeyType::Hash))
                .key_schema(part(LEASE_KEY, KeyType::Range))
                .projection(keys_only.build())
                .build();
            create = create.attribute_definitions(attribute(LEASE_OWNER));
            create = create.global_secondary_indexes(index.unwrap());
        }
        create.send().await.unwrap();
    }

    /// The tables of KCL 3.0 to 3.4.
    async fn with_three_tables() -> Self {
        let world = Self::with_lease_table(true).await;
        world.table(COORDINATOR, COORDINATOR_KEY, false).await;
        world.table(METRICS, WORKER_ID, false).await;
        world
    }

    async fn put(&self, table: &str, row: &[(&str, AttributeValue)]) {
        let row = row.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        self.dynamodb.put_item().table_name(table).set_item(Some(row)).send().await.unwrap();
    }

    async fn version(&self, table: &str, version: &str) {
        let key = if table == LEASES { LEASE_KEY } else { COORDINATOR_KEY };
        let kind = s("CLIENT_VERSION_MIGRATION");
        let row = [(key, s(MIGRATION)), (ENTITY_TYPE, kind), ("cv", s(version))];
        self.put(table, &row).await;
    }

    async fn migration(&self, table: &str, status: &str) {
        let key = if table == LEASES { LEASE_KEY } else { COORDINATOR_KEY };
        let status = s(&format!("TABLE_MIGRATION_STATUS_{status}"));
        let row = [(key, s(TABLE_MIGRATION)), (ENTITY_TYPE, s("TABLE_MIGRATION")), ("tm", status)];
        self.put(table, &row).await;
    }

    async fn rows(&self, table: &str) -> Vec<Item> {
        let scan = self.dynamodb.scan().table_name(table).consistent_read(true).send().await;
        scan.unwrap().items.unwrap_or_default()
    }

    /// When each worker last reported, by the rows of a table.
    async fn reports(&self, table: &str) -> BTreeMap<String, u64> {
        let rows = self.rows(table).await;
        let rows = rows.iter().filter_map(MetricStats::decode);
        rows.map(|stats| (stats.worker, stats.updated)).collect()
    }

    fn participant(&self, worker: &str) -> Participant {
        Participant::new(self.dynamodb.clone(), LEASES, worker)
    }
}

fn reported(worker: &str, at: u64) -> BTreeMap<String, u64> {
    BTreeMap::from([(worker.to_owned(), at)])
}

#[tokio::test(start_paused = true)]
async fn a_flip_of_the_version_stops_the_taker_at_the_next_look_and_a_rollback_starts_it_again() {
    let world = World::with_lease_table(true).await;
    let mut me = world.participant("me");
    assert_eq!(me.look().await.unwrap(), Regime::Taker, "nobody plays by the rules of 3.x yet");
    for (version, expected) in [
        ("CLIENT_VERSION_UPGRADE_FROM_2X", Regime::Taker),
        ("CLIENT_VERSION_3X_WITH_ROLLBACK", Regime::Assigned),
        ("CLIENT_VERSION_2X", Regime::Taker),
        ("CLIENT_VERSION_UPGRADE_FROM_2X", Regime::Taker),
        ("CLIENT_VERSION_3X_WITH_ROLLBACK", Regime::Assigned),
        ("CLIENT_VERSION_3X", Regime::Assigned),
        ("CLIENT_VERSION_4X", Regime::Assigned),
    ] {
        world.version(LEASES, version).await;
        assert_eq!(me.look().await.unwrap(), expected, "{version}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_no_permission_to_take() {
    let world = World::with_lease_table(true).await;
    let mut me = world.participant("me");
    world.aws.faults().add(Fault::on(Service::DynamoDb, "GetItem").always().throttle());
    assert!(me.look().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn no_row_but_leases_is_written_while_workers_of_2x_may_read_the_table() {
    let world = World::with_lease_table(true).await;
    let mut me = world.participant("me");
    me.look().await.unwrap();
    me.report(NOW, 1.0).await.unwrap();
    assert_eq!(world.rows(LEASES).await.len(), 0, "no version row: the fleet may be one of 2.x");
    world.version(LEASES, "CLIENT_VERSION_2X").await;
    me.look().await.unwrap();
    me.report(NOW, 1.0).await.unwrap();
    me.withdraw().await.unwrap();
    assert_eq!(world.rows(LEASES).await.len(), 1, "the version row alone");
    world.version(LEASES, "CLIENT_VERSION_UPGRADE_FROM_2X").await;
    me.look().await.unwrap();
    me.report(at(30), 1.0).await.unwrap();
    assert_eq!(world.reports(LEASES).await, reported("me", 30));
}

#[tokio::test(start_paused = true)]
async fn the_row_of_metrics_follows_the_migration_of_the_tables_and_comes_back_with_it() {
    let world = World::with_three_tables().await;
    world.version(COORDINATOR, "CLIENT_VERSION_3X").await;
    let mut me = world.participant("me");
    let mut clock = 0;
    for (status, in_lease_table) in [
        ("INIT", false),
        ("DEPLOYED", false),
        ("PENDING", true),
        ("DEPLOYED", false),
        ("PENDING", true),
        ("COMPLETE", true),
    ] {
        world.migration(COORDINATOR, status).await;
        clock += 30;
        assert_eq!(me.look().await.unwrap(), Regime::Assigned, "{status}");
        me.report(at(clock), 1.0).await.unwrap();
        let table = if in_lease_table { LEASES } else { METRICS };
        assert_eq!(world.reports(table).await, reported("me", clock), "{status}");
    }
    // The leader has moved everything: only the lease table counts.
    world.migration(LEASES, "COMPLETE").await;
    world.version(LEASES, "CLIENT_VERSION_3X").await;
    world.version(COORDINATOR, "CLIENT_VERSION_2X").await;
    assert_eq!(me.look().await.unwrap(), Regime::Assigned);
    me.report(at(clock + 30), 1.0).await.unwrap();
    assert_eq!(world.reports(LEASES).await, reported("me", clock + 30));
}

#[tokio::test(start_paused = true)]
async fn a_fleet_in_three_tables_without_a_state_of_migration_keeps_its_lease_table_clean() {
    let world = World::with_three_tables().await;
    world.version(COORDINATOR, "CLIENT_VERSION_3X").await;
    let mut me = world.participant("me");
    assert_eq!(me.look().await.unwrap(), Regime::Assigned);
    me.report(at(30), 1.0).await.unwrap();
    assert_eq!(world.reports(METRICS).await, reported("me", 30));
    assert_eq!(world.rows(LEASES).await.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn once_deployed_the_row_goes_where_the_java_workers_put_theirs() {
    let world = World::with_three_tables().await;
    world.version(COORDINATOR, "CLIENT_VERSION_3X").await;
    world.migration(COORDINATOR, "DEPLOYED").await;
    let mut me = world.participant("me");
    me.look().await.unwrap();
    // Another worker of ours must not talk this one into moving, or the two would keep each other there.
    let mut ours = MetricStats::of("ours", at(100), 1.0).attributes();
    ours.push((LEASE_KEY, s("ours")));
    world.put(LEASES, &ours).await;
    me.report(at(100), 1.0).await.unwrap();
    assert_eq!(world.reports(METRICS).await, reported("me", 100));
    let java = |at| {
        let kind = (ENTITY_TYPE, s(WORKER_METRIC_STATS));
        [(LEASE_KEY, s("java")), kind, (UPDATED, n(at))]
    };
    world.put(LEASES, &java(100)).await;
    me.report(at(130), 1.0).await.unwrap();
    assert_eq!(world.reports(METRICS).await, reported("me", 100), "it grows old here");
    assert_eq!(world.reports(LEASES).await["me"], 130);
    // Rolled back: nobody of Java writes there any more.
    me.report(at(200), 1.0).await.unwrap();
    assert_eq!(world.reports(METRICS).await, reported("me", 200));
}

#[tokio::test(start_paused = true)]
async fn an_assigned_lease_is_found_by_the_index_and_its_lack_is_told() {
    let world = World::with_lease_table(false).await;
    assert_eq!(world.participant("me").assigned().await.unwrap(), None);
    let world = World::with_lease_table(true).await;
    assert_eq!(world.participant("me").assigned().await.unwrap(), Some(vec![]));
    for (key, owner) in [("shardId-2", "me"), ("shardId-1", "me"), ("shardId-0", "other")] {
        world.put(LEASES, &[(LEASE_KEY, s(key)), (LEASE_OWNER, s(owner))]).await;
    }
    let assigned = world.participant("me").assigned().await.unwrap();
    assert_eq!(assigned, Some(vec!["shardId-1".to_owned(), "shardId-2".to_owned()]));
    let fault = Fault::on(Service::DynamoDb, "Query").always().throttle();
    world.aws.faults().add(fault);
    assert!(world.participant("me").assigned().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_stops_takes_its_row_along_and_no_lease() {
    let world = World::with_lease_table(true).await;
    world.version(LEASES, "CLIENT_VERSION_3X").await;
    let mut me = world.participant("me");
    me.look().await.unwrap();
    me.report(at(30), 1.0).await.unwrap();
    me.withdraw().await.unwrap();
    assert!(world.reports(LEASES).await.is_empty());
    me.withdraw().await.unwrap();
    // Whoever calls a worker like a shard loses its metrics, not the lease.
    let mut odd = world.participant("shardId-0");
    odd.look().await.unwrap();
    world.put(LEASES, &[(LEASE_KEY, s("shardId-0")), ("leaseCounter", n(1))]).await;
    odd.withdraw().await.unwrap();
    assert_eq!(world.rows(LEASES).await.len(), 2, "the version and the lease");
}

#[test]
fn a_row_of_metrics_survives_a_round_trip_in_either_table() {
    let mut stats = MetricStats::of("me", at(1_795_412_753), 12.5);
    stats.samples.insert("C".to_owned(), vec![12.25, -1.0]);
    stats.limits.insert("C".to_owned(), vec![80]);
    for key in [LEASE_KEY, WORKER_ID] {
        let attributes = stats.attributes().into_iter();
        let mut row: Item = attributes.map(|(name, value)| (name.to_owned(), value)).collect();
        row.insert(key.to_owned(), s("me"));
        assert_eq!(MetricStats::decode(&row), Some(stats.clone()));
    }
}

/// `WorkerMetricStats.isValidWorkerMetric`, `isUsingDefaultWorkerMetric` and `isAnyWorkerMetricFailing`.
fn is_given_leases(stats: &MetricStats) -> bool {
    if stats.samples.is_empty() && stats.limits.is_empty() {
        return true;
    }
    let failing = stats.samples.values().any(|samples| samples.last() == Some(&-1.0));
    let limited = stats.samples.keys().all(|name| stats.limits.contains_key(name));
    let limits =
        stats.limits.values().all(|limits| limits.first().is_some_and(|&limit| limit != 0));
    limited && limits && !failing
}

#[test]
fn a_row_without_resource_metrics_is_one_that_the_leader_gives_leases() {
    let stats = MetricStats::of("me", at(1_000), 0.0);
    assert!(is_given_leases(&stats));
    assert!(stats.is_fresh(at(1_060)) && !stats.is_fresh(at(1_061)));
    let row = stats.attributes().into_iter().collect::<std::collections::HashMap<_, _>>();
    assert_eq!(row["sts"], AttributeValue::M([].into()), "there, though it is empty");
    assert_eq!(row["opr"], AttributeValue::M([].into()));
    assert_eq!((&row["lut"], &row["slu"], &row["sup"]), (&n(1_000), &n(1_000), &n(1)));
}

#[test]
fn the_rules_and_the_home_of_metrics_are_those_of_the_kcl() {
    use ClientVersion::{Only2x, Only3x, Only3xWithRollback, Unknown, UpgradeFrom2x};
    use TableMigration::{Complete, Deployed, Init, Pending};
    let of = |version, migration, own_table| Coordination { version, migration, own_table };
    for migration in [None, Some(Init), Some(Deployed), Some(Pending), Some(Complete)] {
        for own_table in [false, true] {
            for version in [None, Some(Only2x), Some(Unknown)] {
                assert_eq!(metrics_home(&of(version, migration, own_table)), None);
            }
            for version in [None, Some(Only2x), Some(UpgradeFrom2x)] {
                assert_eq!(regime(&of(version, migration, own_table)), Regime::Taker);
            }
            for version in [Only3x, Only3xWithRollback, Unknown] {
                assert_eq!(regime(&of(Some(version), migration, own_table)), Regime::Assigned);
            }
        }
        for version in [UpgradeFrom2x, Only3x, Only3xWithRollback] {
            let home = |own_table| metrics_home(&of(Some(version), migration, own_table));
            assert_eq!(home(false), Some(Home::LeaseTable));
            let expected = match migration {
                None | Some(Init) => Home::OwnTable,
                Some(Deployed) => Home::WithTheOthers,
                Some(Pending | Complete) => Home::LeaseTable,
            };
            assert_eq!(home(true), Some(expected));
        }
    }
}

fn fixture(name: &str) -> Item {
    let row = items::rows(items::BY_SOURCE).into_iter().find(|(of, _)| of == name);
    row.unwrap_or_else(|| panic!("no row {name}")).1
}

#[test]
fn rows_of_metrics_of_every_version_are_read() {
    for (name, worker) in [
        ("3.0 to 3.4: table of worker metrics", "worker-a"),
        ("3.5: worker metrics", "worker-a"),
        ("3.5: worker metrics on a platform that gives none", "worker-b"),
    ] {
        let stats = MetricStats::decode(&fixture(name)).unwrap();
        assert_eq!((stats.worker.as_str(), stats.updated), (worker, 1_795_412_753), "{name}");
        assert!(is_given_leases(&stats) && !stats.is_ours(), "{name}");
    }
    let stats = MetricStats::decode(&fixture("3.5: worker metrics")).unwrap();
    assert_eq!(stats.samples["C"], [12.5, 13.25]);
    assert_eq!((&stats.limits["C"][..], stats.support), (&[80][..], Some((1, 1_795_412_753))));
    assert_eq!(MetricStats::decode(&fixture("3.5: leader")), None);
    assert_eq!(MetricStats::decode(&fixture("3.5: lease")), None);
}

#[test]
fn rows_of_the_coordinator_are_read() {
    let version = ClientVersion::decode(&fixture("3.5: client version"));
    assert_eq!(version, ClientVersion::Only3x);
    let migration = TableMigration::decode(&fixture("3.5: table migration"));
    assert_eq!(migration, TableMigration::Complete);
}

#[test]
fn our_row_of_metrics_has_the_attributes_and_types_of_the_kcl() {
    let theirs = fixture("3.5: worker metrics on a platform that gives none");
    let ours = MetricStats::of("worker-b", at(1_795_412_753), 0.0).attributes();
    for (name, value) in &ours {
        let expected = theirs.get(*name);
        assert!(expected == Some(value) || *name == "properties", "{name}: {value:?}");
    }
    let named = |name: &String| ours.iter().any(|(ours, _)| ours == name) || name == LEASE_KEY;
    assert!(theirs.keys().all(named));
}
