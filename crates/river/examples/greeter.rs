//! greeter: a whole service. It greets whoever looks at a page.

use river::{Context, Draft, Event, Failure, Handler, NoConfig, Outcome};
use serde_json::json;

struct Greeter;

impl Handler for Greeter {
    const RIVER: &'static str = "greeter";
    const LISTENS_TO: &'static [&'static str] = &["ViewPage"];
    const EMITS: &'static [&'static str] = &["Greeted"];
    const DOMAIN: &'static str = "hospitality";
    type Config = NoConfig;

    async fn build(_: NoConfig, _: &Context) -> anyhow::Result<Self> {
        Ok(Self)
    }

    async fn handle(&self, event: &Event) -> Result<Outcome, Failure> {
        let text = format!("Hello, {}", event.payload["name"].as_str().unwrap_or("stranger"));
        Ok(Outcome::answer(Draft::new("Greeted", "greet", json!({"text": text}))))
    }
}

fn main() -> std::process::ExitCode {
    chassis::run::<river::Service<Greeter>>("greeter")
}
