//! A service inside this process, and what its admin server answers over a real socket.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

use std::net::SocketAddr;
use std::time::SystemTime;

use anyhow::bail;
use aws_config::{BehaviorVersion, Region};
use chassis::{Kit, Latch, Problems, Service, Validate, embed};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

#[derive(Default, Serialize, Deserialize)]
struct Config {
    ending: Ending,
    wrong: bool,
}

#[derive(Default, PartialEq, Serialize, Deserialize)]
enum Ending {
    #[default]
    WhenTold,
    Error,
    Panic,
    Build,
}

impl Validate for Config {
    fn validate(&self, problems: &mut Problems) {
        if self.wrong {
            problems.report("wrong", "must be false");
        }
    }
}

struct Probe {
    config: Config,
    first_shard: Latch,
    settled: Settled,
}

/// Holds the service in its settling phase until the test lets go.
#[derive(Clone)]
struct Settled(CancellationToken);

tokio::task_local! {
    static SETTLED: Settled;
}

impl Service for Probe {
    type Config = Config;

    async fn build(config: Config, kit: &Kit) -> anyhow::Result<Self> {
        if config.ending == Ending::Build {
            bail!("no such stream");
        }
        let settled = SETTLED.try_with(Settled::clone);
        let settled = settled.unwrap_or_else(|_| Settled(CancellationToken::new()));
        Ok(Self { config, first_shard: kit.readiness().latch("first shard"), settled })
    }

    async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        match self.config.ending {
            Ending::Error => bail!("the lease table is gone"),
            Ending::Panic => panic!("at the disco"),
            Ending::WhenTold | Ending::Build => {}
        }
        self.first_shard.release();
        stop.cancelled().await;
        self.settled.0.cancelled().await;
        Ok(())
    }
}

fn kit() -> Kit {
    let aws = aws_types::SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"));
    Kit::new("probe", aws.build())
}

fn any_port() -> Option<SocketAddr> {
    Some(SocketAddr::from(([127, 0, 0, 1], 0)))
}

async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

#[tokio::test]
async fn the_admin_server_answers_from_start_to_settled() {
    let (stop, settled) = (CancellationToken::new(), CancellationToken::new());
    let kit = kit();
    let tables = kit.readiness().latch("tables");
    let starting = embed::<Probe>(kit, Config::default(), any_port(), stop.clone());
    let embedded = SETTLED.scope(Settled(settled.clone()), starting).await.unwrap();
    let admin = embedded.admin_address().unwrap();

    assert_eq!(get(admin, "/livez").await, (200, "alive\n".into()));
    let (status, missing) = get(admin, "/readyz").await;
    assert_eq!(status, 503);
    assert!(missing.lines().any(|line| line == "tables"), "{missing}");
    drop(tables);
    assert!(embedded.readiness().ready().await);
    assert_eq!(get(admin, "/readyz").await, (200, "ready\n".into()));

    let (status, metrics) = get(admin, "/metrics").await;
    assert_eq!(status, 200);
    let build = format!(
        r#"rapids_build_info{{revision="unknown",service="probe",version="{}"}} 1"#,
        chassis::VERSION
    );
    assert!(metrics.contains(&build), "{metrics}");
    assert_eq!(get(admin, "/").await.0, 404);

    stop.cancel();
    while embedded.readiness().is_ready() {
        tokio::task::yield_now().await;
    }
    assert_eq!(get(admin, "/readyz").await, (503, "stopping\n".into()));
    assert_eq!(get(admin, "/livez").await.0, 200);
    settled.cancel();
    embedded.join().await.unwrap();
    assert!(TcpStream::connect(admin).await.is_err(), "the admin server outlived its service");
}

#[tokio::test]
async fn two_services_live_in_one_process_without_sharing_anything() {
    let stop = CancellationToken::new();
    let one = embed::<Probe>(kit(), Config::default(), any_port(), stop.clone()).await.unwrap();
    let two = embed::<Probe>(kit(), Config::default(), None, stop.clone()).await.unwrap();
    assert_eq!((one.name(), two.admin_address()), ("probe", None));
    assert!(one.readiness().ready().await && two.readiness().ready().await);
}

#[tokio::test]
async fn a_wrong_configuration_is_told_by_key() {
    let config = Config { wrong: true, ..Config::default() };
    let error = embed::<Probe>(kit(), config, None, CancellationToken::new()).await.unwrap_err();
    assert!(error.to_string().contains("wrong: must be false"), "{error}");
}

#[tokio::test]
async fn a_failed_build_frees_the_admin_port() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    let config = || Config { ending: Ending::Build, ..Config::default() };
    let taken = embed::<Probe>(kit(), config(), Some(address), CancellationToken::new()).await;
    let said = chassis::explain(taken.unwrap_err().as_ref());
    assert!(said.contains("admin.address") && said.contains("in use"), "{said}");
    drop(free);
    let failed = embed::<Probe>(kit(), config(), Some(address), CancellationToken::new()).await;
    assert_eq!(failed.unwrap_err().to_string(), "no such stream");
    // The server ends when its socket's task next runs: binding succeeds as soon as that happened.
    while tokio::net::TcpListener::bind(address).await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_end_of_a_run_is_told_by_join() {
    for (ending, said) in
        [(Ending::Error, "the lease table is gone"), (Ending::Panic, "probe panicked")]
    {
        let config = Config { ending, wrong: false };
        let embedded = embed::<Probe>(kit(), config, any_port(), CancellationToken::new()).await;
        let error = embedded.unwrap().join().await.unwrap_err();
        assert_eq!(error.to_string(), said);
    }
}

#[tokio::test]
async fn a_kit_on_a_chosen_clock_tells_that_time() {
    let kit = kit().with_clock(chassis::Clock::starting_at(SystemTime::UNIX_EPOCH));
    assert!(kit.clock().now_ms() < 60_000);
}
