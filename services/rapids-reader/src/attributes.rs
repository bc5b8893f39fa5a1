//! The attributes beside an event: what the filter policies of rivers look at.

use std::borrow::Cow;

use event::packet::{self, ARM_ATTRIBUTE, SYNTHETIC_ATTRIBUTE};
use event::{EVENT_TYPE_ATTRIBUTE, Header};

/// One attribute. Few of them: a queue with raw delivery loses a message with more than ten
/// (<https://docs.aws.amazon.com/sns/latest/dg/sns-message-attributes.html>).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attribute<'a> {
    pub(crate) name: &'static str,
    pub(crate) data_type: &'static str,
    pub(crate) value: Cow<'a, str>,
}

/// The attributes of an event.
pub(crate) fn of<'a>(header: &'a Header<'_>) -> impl Iterator<Item = Attribute<'a>> {
    let text = |name, value: &'a str| Attribute { name, data_type: "String", value: value.into() };
    let arms = (!header.experiments.is_empty()).then(|| {
        let arms = header.experiments.iter().map(|(experiment, arm)| packet::arm(experiment, arm));
        let value = serde_json::Value::from_iter(arms).to_string().into();
        Attribute { name: ARM_ATTRIBUTE, data_type: "String.Array", value }
    });
    [text(EVENT_TYPE_ATTRIBUTE, &header.event_type)]
        .into_iter()
        .chain(header.synthetic.then(|| text(SYNTHETIC_ATTRIBUTE, "true")))
        .chain(arms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: &str) -> Vec<(&'static str, String)> {
        let header = Header::parse(json.as_bytes()).unwrap();
        super::of(&header).map(|one| (one.name, one.value.into_owned())).collect()
    }

    #[test]
    fn an_event_has_the_attributes_that_it_has_values_for() {
        let event_type = ("event_type", "A".to_owned());
        let plain = r#"{"eventType":"A","eventDomain":"web","synthetic":false,"experiments":{}}"#;
        assert_eq!(of(plain), std::slice::from_ref(&event_type));
        let full = r#"{"eventType":"A","synthetic":true,"experiments":{"r":"\"b","s":"c"}}"#;
        let arms = r#"["r:\"b","s:c"]"#.to_owned();
        assert_eq!(of(full), [event_type, ("synthetic", "true".to_owned()), ("arm", arms)]);
    }
}
