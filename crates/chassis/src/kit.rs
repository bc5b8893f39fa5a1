//! What a service is given to work with.

use std::fs;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use aws_types::SdkConfig;
use prometheus::process_collector::ProcessCollector;
use prometheus::{IntGaugeVec, Opts, Registry};
use tokio::sync::mpsc::Receiver;

use crate::warnings::Warning;
use crate::{Clock, REVISION, Readiness, VERSION};

/// Clients, clock, metrics and readiness of one service. Cheap to clone; two kits share nothing.
#[derive(Clone, Debug)]
pub struct Kit(Arc<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    service: &'static str,
    instance: String,
    kinesis: aws_sdk_kinesis::Client,
    sns: aws_sdk_sns::Client,
    sqs: aws_sdk_sqs::Client,
    dynamodb: aws_sdk_dynamodb::Client,
    registry: Registry,
    readiness: Readiness,
    clock: Clock,
    warnings: Arc<Mutex<Option<Receiver<Warning>>>>,
}

impl Kit {
    /// A kit on the machine's clock, with a registry and readiness of its own.
    ///
    /// # Panics
    /// When `aws` has no behaviour version, as all SDK clients do; [`crate::aws_config`] sets it.
    #[must_use]
    pub fn new(service: &'static str, aws: SdkConfig) -> Self {
        Self(Arc::new(Inner {
            service,
            instance: unique_instance(),
            kinesis: aws_sdk_kinesis::Client::new(&aws),
            sns: aws_sdk_sns::Client::new(&aws),
            sqs: aws_sdk_sqs::Client::new(&aws),
            dynamodb: aws_sdk_dynamodb::Client::new(&aws),
            registry: registry_of(service),
            readiness: Readiness::new(),
            clock: Clock::system(),
            warnings: Arc::default(),
        }))
    }

    /// The same kit on another clock, for tests.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        Arc::make_mut(&mut self.0).clock = clock;
        self
    }

    /// The same kit with a chosen instance, for tests that must repeat exactly.
    #[must_use]
    pub fn with_instance(mut self, instance: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.0).instance = instance.into();
        self
    }

    /// The same kit with what the process logs as warnings and errors.
    #[must_use]
    pub fn with_warnings(mut self, warnings: Receiver<Warning>) -> Self {
        Arc::make_mut(&mut self.0).warnings = Arc::new(Mutex::new(Some(warnings)));
        self
    }

    /// What the process logs as warnings and errors, for the first who asks; none where several services share a
    /// process.
    #[must_use]
    pub fn take_warnings(&self) -> Option<Receiver<Warning>> {
        self.0.warnings.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Name of the service, as its container is called.
    #[must_use]
    pub fn service(&self) -> &'static str {
        self.0.service
    }

    /// Which of the service's processes this is: unlike any other, a predecessor on the same host included.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.0.instance
    }

    /// Version of the build.
    #[must_use]
    pub fn version(&self) -> &'static str {
        VERSION
    }

    /// The Kinesis client.
    #[must_use]
    pub fn kinesis(&self) -> aws_sdk_kinesis::Client {
        self.0.kinesis.clone()
    }

    /// The SNS client.
    #[must_use]
    pub fn sns(&self) -> aws_sdk_sns::Client {
        self.0.sns.clone()
    }

    /// The SQS client.
    #[must_use]
    pub fn sqs(&self) -> aws_sdk_sqs::Client {
        self.0.sqs.clone()
    }

    /// The DynamoDB client.
    #[must_use]
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        self.0.dynamodb.clone()
    }

    /// Where the service's metrics are registered; `/metrics` shows this registry.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.0.registry
    }

    /// What `/readyz` tells.
    #[must_use]
    pub fn readiness(&self) -> &Readiness {
        &self.0.readiness
    }

    /// The wall clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }
}

/// A registry that already says which build this is.
fn registry_of(service: &str) -> Registry {
    let registry = Registry::new();
    let about = Opts::new("rapids_build_info", "Which build of which service this is; always 1.");
    let labels = ["service", "version", "revision"];
    let build_info = IntGaugeVec::new(about, &labels).expect("a legal metric name");
    build_info.with_label_values(&[service, VERSION, REVISION]).set(1);
    registry.register(Box::new(build_info)).expect("the first metric of its registry");
    // CPU, memory, open files and start of the whole process, whoever else is in it.
    registry.register(Box::new(ProcessCollector::for_self())).expect("names of nobody else");
    registry
}

/// Host name, for people, and a random part: a restarted container keeps its host name and its process id, and
/// must still not be taken for the one before it.
fn unique_instance() -> String {
    // Linux keeps it here; in a container it is the container's, in a pod the pod's.
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "unknown-host" } else { host.trim() };
    // The seed of std's hash maps is the randomness at hand; each `RandomState` has its own.
    let random = RandomState::new().build_hasher().finish();
    format!("{host}-{:08x}", random >> 32)
}

#[cfg(test)]
mod tests {
    use aws_config::{BehaviorVersion, Region};

    use super::*;

    fn offline() -> SdkConfig {
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("us-east-1"))
            .build()
    }

    #[test]
    fn two_kits_share_neither_name_nor_metrics() {
        let (a, b) = (Kit::new("a", offline()), Kit::new("a", offline()));
        assert_ne!(a.instance(), b.instance());
        let counter = prometheus::IntCounter::new("x_total", "x").unwrap();
        a.registry().register(Box::new(counter.clone())).unwrap();
        b.registry().register(Box::new(counter)).unwrap();
    }

    #[test]
    fn a_chosen_instance_keeps_everything_else() {
        let kit = Kit::new("a", offline());
        let latch = kit.readiness().latch("x");
        let kit = kit.with_instance("a-1");
        assert_eq!(kit.instance(), "a-1");
        assert_eq!(kit.readiness().missing(), ["x"]);
        drop(latch);
    }
}
