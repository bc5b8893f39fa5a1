//! The smallest service: greets whoever looks at a page.
//!
//! With `rapids up` running and the exports that it printed:
//! `RAPIDS_ADMIN__ADDRESS=127.0.0.1:0 cargo run -p river --example greeter`

use river::{Context, Draft, Event, Failure, Handler, NoConfig, Outcome, Packet};
use serde_json::json;

struct Greeter;

impl Handler for Greeter {
    const RIVER: &'static str = "greeter";
    const EMITS: &'static [&'static str] = &["Greeted"];
    const DOMAIN: &'static str = "hospitality";
    type Config = NoConfig;

    fn listens_to() -> Vec<Packet> {
        vec![Packet::of("ViewPage")]
    }

    async fn build(_: NoConfig, _: &Context) -> anyhow::Result<Self> {
        Ok(Self)
    }

    async fn handle(&self, event: &Event) -> Result<Outcome, Failure> {
        let name = event.payload["name"].as_str().unwrap_or("stranger");
        let greeting = json!({ "text": format!("Hello, {name}") });
        Ok(Outcome::answer(Draft::new("Greeted", "greet", greeting)))
    }
}

fn main() -> std::process::ExitCode {
    chassis::run::<river::Service<Greeter>>("greeter")
}
