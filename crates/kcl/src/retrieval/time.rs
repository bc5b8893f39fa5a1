//! What time it is for Kinesis.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_kinesis::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_kinesis::error::BoxError;
use aws_sdk_kinesis::primitives::{DateTime, DateTimeFormat};

use super::calls::call;
use crate::error::Error;
use crate::metrics::{Api, Metrics};

/// Notes the `Date` of an answer.
#[derive(Clone, Debug, Default)]
struct Date(Arc<Mutex<Option<SystemTime>>>);

impl Date {
    fn take(&self) -> Option<SystemTime> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Intercept for Date {
    fn name(&self) -> &'static str {
        "Date"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        let date = date.and_then(|date| DateTime::from_str(date, DateTimeFormat::HttpDate).ok());
        let date = date.and_then(|date| SystemTime::try_from(date).ok());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = date;
        Ok(())
    }
}

/// The time by the clock that stamps the records, rounded down to a second. `None` where answers do not say.
///
/// Where reading is to begin now is told to Kinesis as a time. By a clock of this machine that is ahead, all that
/// comes until that time would be passed over, and nobody would ever know.
pub(crate) async fn time(
    kinesis: &Client,
    stream: &str,
    metrics: &dyn Metrics,
) -> Result<Option<SystemTime>, Error> {
    let date = Date::default();
    let list = kinesis.list_shards().stream_name(stream).max_results(1);
    let list = list.customize().interceptor(date.clone());
    let answer = call(metrics, stream, Api::ListShards, list.send()).await;
    answer.map_err(|refused| refused.error)?;
    Ok(date.take())
}
