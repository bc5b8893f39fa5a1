//! Compares schemas and judges values, for whoever wants a second opinion: JSON lines in, JSON lines out.
//!
//! `{"old":…,"new":…,"values":[…]}` comes to `{"incompatibilities":[…],"old":[…],"new":[…]}`, where a value is `true`
//! (as the schema says), `false`, or `null` (not for certain). What is no schema comes to `{"malformed":…}`.

use std::io::{self, Write as _};

use event::schema::{Malformed, Schema, incompatibilities};
use serde_json::{Value, json};

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for line in io::stdin().lines() {
        let asked: Value = serde_json::from_str(&line?)?;
        let answer = answer(&asked).unwrap_or_else(|why| json!({"malformed": why.to_string()}));
        writeln!(out, "{answer}")?;
    }
    Ok(())
}

fn answer(asked: &Value) -> Result<Value, Malformed> {
    let schema = |name: &str| Schema::parse(asked[name].clone());
    let (old, new) = (schema("old")?, schema("new")?);
    let values = asked["values"].as_array().map_or(&[][..], Vec::as_slice);
    let judged =
        |schema: &Schema| values.iter().map(|value| verdict(schema, value)).collect::<Value>();
    let found = incompatibilities(&old, &new);
    Ok(json!({"incompatibilities": found, "old": judged(&old), "new": judged(&new)}))
}

fn verdict(schema: &Schema, value: &Value) -> Option<bool> {
    let judgement = schema.judge(value);
    judgement.unchecked.is_empty().then_some(judgement.misfits.is_empty())
}
