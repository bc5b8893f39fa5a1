//! One condition on one value.

use std::net::IpAddr;

use serde_json::{Map, Value};

/// An element of a policy's list.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Condition {
    Exact(Value),
    Prefix(String),
    Suffix(String),
    IgnoringCase(String),
    /// None of these; the value must be there.
    Not(Vec<Condition>),
    Exists(bool),
    Numeric(Vec<(Comparison, f64)>),
    Cidr(IpAddr, u8),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Condition {
    pub(super) fn parse(condition: &Value) -> Result<Self, String> {
        match condition {
            Value::Object(operator) => Self::operator(operator),
            Value::Array(_) => Err("a list within a list of conditions".to_owned()),
            scalar => Ok(Self::Exact(scalar.clone())),
        }
    }

    fn operator(operator: &Map<String, Value>) -> Result<Self, String> {
        let mut entries = operator.iter();
        let (Some((name, operand)), None) = (entries.next(), entries.next()) else {
            return Err("a condition object has one operator".to_owned());
        };
        let refused = || format!("operator {name:?} does not take {operand}");
        let text = || operand.as_str().map(str::to_owned).ok_or_else(refused);
        match name.as_str() {
            "prefix" => Ok(Self::Prefix(text()?)),
            "suffix" => Ok(Self::Suffix(text()?)),
            "equals-ignore-case" => Ok(Self::IgnoringCase(text()?)),
            "exists" => operand.as_bool().map(Self::Exists).ok_or_else(refused),
            "anything-but" => {
                let excluded = match operand {
                    Value::Array(all) => all.iter().map(Self::parse).collect::<Result<_, _>>()?,
                    one => vec![Self::parse(one)?],
                };
                Ok(Self::Not(excluded))
            }
            "numeric" => operand.as_array().and_then(|list| numeric(list)).ok_or_else(refused),
            "cidr" => operand.as_str().and_then(cidr).ok_or_else(refused),
            _ => Err(format!("unknown operator {name:?}")),
        }
    }

    /// `values` is `None` when the key is absent; of several values one must do.
    pub(super) fn holds(&self, values: Option<&[&Value]>) -> bool {
        match (self, values) {
            (Self::Exists(wanted), values) => *wanted == values.is_some(),
            (_, None) => false,
            (condition, Some(values)) => values.iter().any(|value| condition.holds_for(value)),
        }
    }

    fn holds_for(&self, value: &Value) -> bool {
        let text = value.as_str();
        match self {
            Self::Exact(wanted) => same(wanted, value),
            Self::Prefix(prefix) => text.is_some_and(|text| text.starts_with(prefix.as_str())),
            Self::Suffix(suffix) => text.is_some_and(|text| text.ends_with(suffix.as_str())),
            Self::IgnoringCase(wanted) => {
                text.is_some_and(|text| text.to_lowercase() == wanted.to_lowercase())
            }
            Self::Not(excluded) => !excluded.iter().any(|condition| condition.holds_for(value)),
            Self::Exists(wanted) => *wanted,
            Self::Numeric(comparisons) => value.as_f64().is_some_and(|number| {
                comparisons.iter().all(|(comparison, bound)| comparison.holds(number, *bound))
            }),
            Self::Cidr(network, bits) => text
                .and_then(|text| text.parse().ok())
                .is_some_and(|address| in_network(address, *network, *bits)),
        }
    }
}

impl Comparison {
    fn parse(sign: &Value) -> Option<Self> {
        Some(match sign.as_str()? {
            "=" => Self::Equal,
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            ">" => Self::Greater,
            ">=" => Self::GreaterOrEqual,
            _ => return None,
        })
    }

    #[expect(clippy::float_cmp, reason = "the policy asks for equality")]
    fn holds(self, number: f64, bound: f64) -> bool {
        match self {
            Self::Equal => number == bound,
            Self::Less => number < bound,
            Self::LessOrEqual => number <= bound,
            Self::Greater => number > bound,
            Self::GreaterOrEqual => number >= bound,
        }
    }
}

/// Numbers are compared as numbers: 1 and 1.0 are the same.
fn same(wanted: &Value, value: &Value) -> bool {
    match (wanted.as_f64(), value.as_f64()) {
        (Some(wanted), Some(value)) => Comparison::Equal.holds(value, wanted),
        _ => wanted == value,
    }
}

/// One comparison, or two that bound a range.
fn numeric(list: &[Value]) -> Option<Condition> {
    let (pairs, rest) = list.as_chunks::<2>();
    if !rest.is_empty() || !(1..=2).contains(&pairs.len()) {
        return None;
    }
    let comparison = |[sign, bound]: &[Value; 2]| Some((Comparison::parse(sign)?, bound.as_f64()?));
    pairs.iter().map(comparison).collect::<Option<_>>().map(Condition::Numeric)
}

fn cidr(text: &str) -> Option<Condition> {
    let (network, bits) = text.split_once('/')?;
    let (network, bits): (IpAddr, u8) = (network.parse().ok()?, bits.parse().ok()?);
    let most = if network.is_ipv4() { 32 } else { 128 };
    (bits <= most).then_some(Condition::Cidr(network, bits))
}

fn in_network(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    let differ = match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(n)) => u128::from(a.to_bits() ^ n.to_bits()) << 96,
        (IpAddr::V6(a), IpAddr::V6(n)) => a.to_bits() ^ n.to_bits(),
        _ => return false,
    };
    differ.leading_zeros() >= u32::from(bits)
}
