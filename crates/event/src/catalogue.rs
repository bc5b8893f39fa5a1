//! The catalogue: what is said of a topic beside its name, and which changes of that are refused.
//!
//! The table [`Stage::topics_table`](crate::names::Stage::topics_table) has a row for each advertised topic, with the
//! hash key [`TOPIC`]. One that was advertised by name alone has the time ([`ADVERTISED_AT`]) and no more, as the
//! original's. Schemas and examples are of payloads; around each is the same envelope.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::schema::{Incompatibility, Malformed, Misfit, Schema, incompatibilities};

/// Hash key of the table, a text.
pub const TOPIC: &str = "Topic";
/// When the topic was advertised first, a text: RFC 3339.
pub const ADVERTISED_AT: &str = "AdvertisedAt";
/// The schema, as JSON text.
pub const SCHEMA: &str = "Schema";
/// When the schema became what it is, as [`ADVERTISED_AT`].
pub const SCHEMA_AT: &str = "SchemaAt";
/// What events of the topic say, for people: a text.
pub const DESCRIPTION: &str = "Description";
/// Whom to ask about it: a text.
pub const OWNER: &str = "Owner";
/// A payload, as JSON text.
pub const EXAMPLE: &str = "Example";
/// Why the last command about it was refused: a text; missing, if it was not.
pub const REFUSED: &str = "Refused";
/// When, as [`ADVERTISED_AT`].
pub const REFUSED_AT: &str = "RefusedAt";
/// The place of that command in the control stream ([`crate::control::place`]): commands before it are settled.
pub const LAST_COMMAND: &str = "LastCommand";

/// Bytes of a schema. With all that is below it fits into an item of DynamoDB, 400 KB with the names of attributes
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>).
pub const SCHEMA_MAX: usize = 300 * 1024;
/// Bytes of an example.
pub const EXAMPLE_MAX: usize = 48 * 1024;
/// Bytes of a description.
pub const DESCRIPTION_MAX: usize = 8 * 1024;
/// Bytes of an owner.
pub const OWNER_MAX: usize = 256;
/// Bytes of a refusal that are kept in the row; the quarantine has fewer.
pub const REFUSED_MAX: usize = 16 * 1024;

// All at once leave room for names and times.
const _: () =
    assert!(SCHEMA_MAX + EXAMPLE_MAX + DESCRIPTION_MAX + OWNER_MAX + REFUSED_MAX < 390 * 1024);

/// What a command `advertise` says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advert {
    /// The event type.
    pub topic: String,
    /// JSON Schema of the payload; left out, the topic keeps the one that it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// What such an event says; left out, the topic keeps what it has, and so on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whom to ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// A payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub example: Option<Value>,
    /// Take a schema that breaks consumers.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}

impl Advert {
    /// The topic by name alone.
    #[must_use]
    pub fn of(topic: impl Into<String>) -> Self {
        Self { topic: topic.into(), ..Self::default() }
    }

    /// Whether it says nothing but the name: the command of the original.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.schema.is_none()
            && self.description.is_none()
            && self.owner.is_none()
            && self.example.is_none()
    }
}

/// What the catalogue says of a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// JSON Schema of the payload.
    pub schema: Option<Value>,
    /// What such an event says.
    pub description: Option<String>,
    /// Whom to ask.
    pub owner: Option<String>,
    /// A payload.
    pub example: Option<Value>,
}

/// Why an advertisement is not taken into the catalogue. Trying again cannot help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It would not fit into the table, or not leave room for the rest.
    #[error("the {what} has {bytes} bytes, and the catalogue takes {most}")]
    TooLarge {
        /// What of it.
        what: &'static str,
        /// How large it is.
        bytes: usize,
        /// How large it may be.
        most: usize,
    },
    /// The schema is none.
    #[error("not a JSON Schema (2020-12): {0}")]
    Malformed(#[from] Malformed),
    /// The example, given or kept, is not as the schema says.
    #[error("the example is not as the schema says: {}", list(.0))]
    Example(Vec<Misfit>),
    /// The schema lets through what consumers of the one before do not expect.
    #[error(
        "the schema is incompatible: consumers written against the one in the catalogue could not read every new event: {} \
         (force takes it all the same; a topic of another name breaks nobody)",
        list(.0)
    )]
    Incompatible(Vec<Incompatibility>),
}

fn list(reasons: &[impl ToString]) -> String {
    reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl Entry {
    /// What the entry becomes by an advertisement.
    ///
    /// # Errors
    /// Why it stays what it is.
    pub fn with(&self, advert: &Advert) -> Result<Self, Unfit> {
        check_sizes(advert)?;
        let given = advert.schema.clone().map(Schema::parse).transpose()?;
        // One that was put there by other hands and is none compares with nothing.
        let kept = self.schema.clone().and_then(|schema| Schema::parse(schema).ok());
        if let (Some(new), Some(old), false) = (&given, &kept, advert.force) {
            let found = incompatibilities(old, new);
            if !found.is_empty() {
                return Err(Unfit::Incompatible(found));
            }
        }
        let example = advert.example.clone().or_else(|| self.example.clone());
        if let (Some(schema), Some(example)) = (given.as_ref().or(kept.as_ref()), &example) {
            let misfits = schema.judge(example).misfits;
            if !misfits.is_empty() {
                return Err(Unfit::Example(misfits));
            }
        }
        Ok(Self {
            schema: advert.schema.clone().or_else(|| self.schema.clone()),
            description: advert.description.clone().or_else(|| self.description.clone()),
            owner: advert.owner.clone().or_else(|| self.owner.clone()),
            example,
        })
    }
}

fn check_sizes(advert: &Advert) -> Result<(), Unfit> {
    let json = |value: &Option<Value>| value.as_ref().map_or(0, |value| value.to_string().len());
    let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let sizes = [
        ("schema", json(&advert.schema), SCHEMA_MAX),
        ("example", json(&advert.example), EXAMPLE_MAX),
        ("description", text(&advert.description), DESCRIPTION_MAX),
        ("owner", text(&advert.owner), OWNER_MAX),
    ];
    match sizes.into_iter().find(|(_, bytes, most)| bytes > most) {
        Some((what, bytes, most)) => Err(Unfit::TooLarge { what, bytes, most }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn advert() -> Advert {
        let schema = json!({"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}});
        Advert {
            schema: Some(schema),
            description: Some("Somebody looks at a page.".into()),
            owner: Some("web".into()),
            example: Some(json!({"name": "Sally"})),
            ..Advert::of("ViewPage")
        }
    }

    #[test]
    fn what_is_left_out_stays_as_it_is() {
        let entry = Entry::default().with(&advert()).unwrap();
        assert_eq!(entry.schema, advert().schema);
        let renamed = Advert { owner: Some("shop".into()), ..Advert::of("ViewPage") };
        let after = entry.with(&renamed).unwrap();
        assert_eq!(after, Entry { owner: Some("shop".into()), ..entry.clone() });
        assert_eq!(entry.with(&Advert::of("ViewPage")).unwrap(), entry);
    }

    #[test]
    fn an_incompatible_schema_is_refused_unless_forced() {
        let entry = Entry::default().with(&advert()).unwrap();
        let wider = Advert { schema: Some(json!({"type": "object"})), ..Advert::of("ViewPage") };
        let told = entry.with(&wider).unwrap_err().to_string();
        assert!(told.contains("/required") && told.contains("/properties/name"), "{told}");
        let forced = entry.with(&Advert { force: true, ..wider }).unwrap();
        assert_eq!(forced.schema, Some(json!({"type": "object"})));
        assert_eq!(forced.example, entry.example);
    }

    #[test]
    fn an_example_has_to_be_as_the_schema_says_whichever_of_the_two_is_new() {
        let wrong = Advert { example: Some(json!({"name": 7})), ..advert() };
        let told = Entry::default().with(&wrong).unwrap_err().to_string();
        assert_eq!(told, r#"the example is not as the schema says: /name: expected type "string""#);
        let entry = Entry::default().with(&advert()).unwrap();
        let example = Advert { example: Some(json!({})), ..Advert::of("ViewPage") };
        assert!(matches!(entry.with(&example), Err(Unfit::Example(_))));
        let narrower = json!({"type": "object", "required": ["name", "age"], "properties": {"name": {"type": "string"}}});
        let schema = Advert { schema: Some(narrower), ..Advert::of("ViewPage") };
        assert!(matches!(entry.with(&schema), Err(Unfit::Example(_))));
    }

    #[test]
    fn what_the_table_could_not_keep_is_refused_with_both_sizes() {
        let large = json!({"description": "x".repeat(SCHEMA_MAX)});
        let told = Entry::default().with(&Advert { schema: Some(large), ..advert() }).unwrap_err();
        assert_eq!(told.to_string(), "the schema has 307218 bytes, and the catalogue takes 307200");
    }

    #[test]
    fn a_schema_that_is_none_is_refused_and_force_does_not_help() {
        let none = Advert { schema: Some(json!({"type": "strng"})), force: true, ..advert() };
        let told = Entry::default().with(&none).unwrap_err().to_string();
        assert!(told.contains(r#""/type" of the schema is to be a type"#), "{told}");
    }
}
