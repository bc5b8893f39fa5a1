//! Faults that a test scripts, per operation.

mod partial;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::StatusCode;

pub(crate) use partial::cut;

use crate::Service;
use crate::wire::AwsError;

/// What goes wrong, where, and how often.
///
/// ```
/// use local_aws::{Fault, Service};
///
/// let fault = Fault::on(Service::Sns, "PublishBatch").after(2).times(3).throttle();
/// ```
#[derive(Clone, Debug)]
pub struct Fault {
    service: Service,
    operation: String,
    matching: Option<String>,
    skip: u64,
    left: u64,
    effect: Effect,
}

/// What a fault does to a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Effect {
    /// Wait before anything else.
    pub(crate) delay: Duration,
    /// Answer this instead of serving the request.
    pub(crate) error: Option<AwsError>,
    /// Serve the request and break the connection instead of answering.
    pub(crate) lose_reply: bool,
    /// Entries of a batch that fail unserved, and the code that they fail with.
    pub(crate) fail_entries: Option<(Vec<usize>, String)>,
}

/// The faults that are to come. Cheap to clone; all clones share the script.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<Vec<Fault>>>);

impl Fault {
    /// A fault of an operation, which does nothing as yet and happens once.
    #[must_use]
    pub fn on(service: Service, operation: &str) -> Self {
        let operation = operation.to_owned();
        Self { service, operation, matching: None, skip: 0, left: 1, effect: Effect::default() }
    }

    /// Only requests whose body holds `text`.
    #[must_use]
    pub fn matching(mut self, text: &str) -> Self {
        self.matching = Some(text.to_owned());
        self
    }

    /// Lets the first `requests` pass.
    #[must_use]
    pub fn after(mut self, requests: u64) -> Self {
        self.skip = requests;
        self
    }

    /// Happens `times` times, then no more.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.left = times;
        self
    }

    /// Happens until [`Faults::clear`].
    #[must_use]
    pub fn always(self) -> Self {
        self.times(u64::MAX)
    }

    /// The service throttles, in its own words.
    #[must_use]
    pub fn throttle(mut self) -> Self {
        self.effect.error = Some(self.service.throttled());
        self
    }

    /// The service answers late.
    #[must_use]
    pub fn delay(mut self, by: Duration) -> Self {
        self.effect.delay = by;
        self
    }

    /// The service answers with an error, and does nothing.
    ///
    /// # Panics
    /// When `status` is no HTTP status.
    #[must_use]
    pub fn error(mut self, status: u16, code: &str, message: &str) -> Self {
        let status = StatusCode::from_u16(status).expect("an HTTP status");
        self.effect.error = Some(AwsError { status, code: code.into(), message: message.into() });
        self
    }

    /// The service does as it was asked, and the connection breaks before the answer.
    #[must_use]
    pub fn lose_reply(mut self) -> Self {
        self.effect.lose_reply = true;
        self
    }

    /// The entries at `indexes` of a batch fail with `code`, the others are served: `PutRecords` of Kinesis,
    /// `PublishBatch` of SNS, the batch operations of SQS, and `BatchWriteItem` of DynamoDB, which gives them back
    /// as unprocessed and without a code.
    #[must_use]
    pub fn fail_entries(mut self, indexes: &[usize], code: &str) -> Self {
        self.effect.fail_entries = Some((indexes.to_vec(), code.to_owned()));
        self
    }

    fn meets(&self, service: Service, operation: &str, body: &[u8]) -> bool {
        let holds = |text: &String| body.windows(text.len().max(1)).any(|at| at == text.as_bytes());
        self.service == service
            && self.operation == operation
            && self.left > 0
            && self.matching.as_ref().is_none_or(holds)
    }
}

impl Faults {
    /// Adds a fault. Where several meet a request, the one that was added first happens.
    pub fn add(&self, fault: Fault) {
        self.lock().push(fault);
    }

    /// Forgets all faults.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// What happens to a request, and what is left of the script after it.
    pub(crate) fn decide(&self, service: Service, operation: &str, body: &[u8]) -> Effect {
        for fault in self.lock().iter_mut().filter(|fault| fault.meets(service, operation, body)) {
            if fault.skip > 0 {
                fault.skip -= 1;
                continue;
            }
            fault.left -= 1;
            return fault.effect.clone();
        }
        Effect::default()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Fault>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_happens_after_and_as_often_as_scripted() {
        let faults = Faults::default();
        faults.add(Fault::on(Service::Sqs, "SendMessage").after(1).times(2).lose_reply());
        let lost = |_| faults.decide(Service::Sqs, "SendMessage", b"").lose_reply;
        let lost: Vec<_> = (0..5).map(lost).collect();
        assert_eq!(lost, [false, true, true, false, false]);
    }

    #[test]
    fn a_fault_meets_only_what_it_names() {
        let faults = Faults::default();
        faults.add(Fault::on(Service::Sqs, "SendMessage").matching("r1").always().throttle());
        let hit = |service, operation, body: &[u8]| {
            faults.decide(service, operation, body).error.is_some()
        };
        assert!(hit(Service::Sqs, "SendMessage", b"{river: r1}"));
        assert!(!hit(Service::Sqs, "SendMessage", b"{river: r2}"));
        assert!(!hit(Service::Sqs, "DeleteMessage", b"r1"));
        assert!(!hit(Service::Sns, "SendMessage", b"r1"));
        faults.clear();
        assert!(!hit(Service::Sqs, "SendMessage", b"r1"));
    }
}
