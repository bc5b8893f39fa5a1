//! The way from a worker's SDK clients to the services: counted, delayed, broken, and watched.

use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient as _, HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector,
    http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::DateTime;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::date_time::Format;
use tokio::time::sleep;

use crate::history::{Death, What};
use crate::life::Life;
use crate::table::{Table, written};
use crate::weather::{Fate, Weather};
use crate::world::START_MS;

/// What all requests of a process pass through. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Wire {
    pub(crate) life: Arc<Life>,
    pub(crate) weather: Weather,
    pub(crate) table: Table,
}

#[derive(Clone)]
struct Line {
    wire: Wire,
    way: SharedHttpConnector,
    read_timeout: Option<Duration>,
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Line")
    }
}

impl Wire {
    /// The HTTP client for the process's SDK clients; `services` is the real way to them.
    pub(crate) fn http_client(self, services: SharedHttpClient) -> SharedHttpClient {
        http_client_fn(move |settings, components| {
            let way = services.http_connector(settings, components);
            let read_timeout = settings.read_timeout();
            SharedHttpConnector::new(Line { wire: self.clone(), way, read_timeout })
        })
    }
}

impl HttpConnector for Line {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let line = self.clone();
        HttpConnectorFuture::new(async move {
            let Some(limit) = line.read_timeout else { return line.carry(request).await };
            let late = tokio::time::timeout(limit, line.carry(request)).await;
            late.unwrap_or_else(|late| Err(ConnectorError::timeout(late.into())))
        })
    }
}

impl Line {
    async fn carry(&self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let Wire { life, weather, .. } = &self.wire;
        life.alive().await;
        let number = life.next_request();
        let sent_ms = life.local_ms();
        let target = request.headers().get("x-amz-target").unwrap_or_default().to_owned();
        let operation = target.split_once('.').map_or(&*target, |(_, name)| name).to_owned();
        let tell = |fate| {
            let operation = operation.clone();
            life.record(What::Request { who: life.who, number, operation, fate });
        };
        let forecast = life.dice(|dice| weather.forecast(dice));
        sleep(forecast.before).await;
        life.alive().await;
        let crash = life.crash_at(number);
        if crash == Some(Death::BeforeRequest) {
            life.die(Death::BeforeRequest);
            life.alive().await;
        }
        if let Some(rest) = weather.cut_off(life.who, &target, life.recorder.now_ms()) {
            tell("cut off");
            sleep(rest).await;
            return Err(broken("the network was cut"));
        }
        tell(forecast.fate.name());
        match forecast.fate {
            Fate::Throttled => return answer(400, "ProvisionedThroughputExceededException"),
            Fate::Failed => return answer(500, "InternalServerError"),
            Fate::Expired if operation == "GetRecords" => {
                return answer(400, "ExpiredIteratorException");
            }
            Fate::LostRequest => return Err(broken("the request was lost")),
            Fate::Served | Fate::Expired | Fate::LostReply => {}
        }
        let reply = self.serve(request, &operation, sent_ms).await;
        if crash == Some(Death::BeforeReply) {
            life.die(Death::BeforeReply);
        }
        life.alive().await;
        sleep(forecast.after).await;
        life.alive().await;
        if let Some(rest) = weather.cut_off(life.who, &target, life.recorder.now_ms()) {
            sleep(rest).await;
            return Err(broken("the network was cut before the reply"));
        }
        if forecast.fate == Fate::LostReply { Err(broken("the reply was lost")) } else { reply }
    }

    /// Has the service act, and writes down what that did to the lease table. Nothing comes in between: all
    /// of it happens at one moment of virtual time.
    async fn serve(
        &self,
        request: HttpRequest,
        operation: &str,
        sent_ms: u64,
    ) -> Result<HttpResponse, ConnectorError> {
        let body = request.body().bytes().unwrap_or_default().to_vec();
        let mut reply = self.way.call(request).await?;
        let date = self.wire.life.recorder.now_ms() + START_MS;
        let date = DateTime::from_millis(i64::try_from(date).unwrap_or_default());
        let date =
            date.fmt(Format::HttpDate).map_err(|error| ConnectorError::user(error.into()))?;
        reply.headers_mut().insert("date", date);
        if reply.status().is_success() {
            for shard in written(operation, &body) {
                self.wire.table.look(&self.way, &self.wire.life, &shard, sent_ms).await?;
            }
        }
        Ok(reply)
    }
}

fn answer(status: u16, code: &str) -> Result<HttpResponse, ConnectorError> {
    let body = SdkBody::from(format!(r#"{{"__type":"{code}","message":"simulated"}}"#));
    let reply =
        http::Response::builder().status(status).header("x-amzn-errortype", code).body(body);
    let reply = reply.map_err(|error| ConnectorError::user(error.into()))?;
    HttpResponse::try_from(reply).map_err(|error| ConnectorError::user(error.into()))
}

fn broken(why: &str) -> ConnectorError {
    let error = std::io::Error::new(std::io::ErrorKind::ConnectionReset, why);
    ConnectorError::io(error.into())
}
