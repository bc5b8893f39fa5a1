//! Numbers and values as JSON Schema compares them: by what they are worth, so that `1.0` is `1` and an integer.

use std::cmp::Ordering;

use serde_json::{Number, Value};

/// Up to here a double is an integer that fits into 128 bits.
const WHOLE_MAX: f64 = 1e38;

/// The number as an integer, if it is one that fits.
pub(super) fn whole(number: &Number) -> Option<i128> {
    if let Some(whole) = number.as_i128() {
        return Some(whole);
    }
    let real = number.as_f64()?;
    #[expect(clippy::cast_possible_truncation, reason = "it is whole and within the bounds")]
    (real.fract() == 0.0 && real.abs() <= WHOLE_MAX).then_some(real as i128)
}

/// Whether it is an integer, of whatever size.
pub(super) fn is_whole(number: &Number) -> bool {
    whole(number).is_some() || number.as_f64().is_some_and(|real| real.fract() == 0.0)
}

/// Which of two numbers is greater, exactly. A double with a fraction is far smaller than those that lose digits.
pub(super) fn compare(a: &Number, b: &Number) -> Ordering {
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => {
            let (a, b) = (a.as_f64().unwrap_or_default(), b.as_f64().unwrap_or_default());
            a.total_cmp(&b)
        }
    }
}

/// Whether a number is a multiple of a step above zero.
pub(super) fn is_multiple(number: &Number, step: &Number) -> bool {
    match (whole(number), whole(step)) {
        (Some(number), Some(step)) => step != 0 && number % step == 0,
        _ => match (number.as_f64(), step.as_f64()) {
            (Some(number), Some(step)) => (number / step).fract() == 0.0,
            _ => false,
        },
    }
}

/// Whether two values are equal, numbers by their worth.
pub(super) fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => compare(a, b) == Ordering::Equal,
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| equal(a, b)))
        }
        (a, b) => a == b,
    }
}

/// A length or a count, as keywords give it.
pub(super) fn count(value: &Value) -> Option<u64> {
    value.as_number().and_then(whole).and_then(|count| count.try_into().ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_compared_by_their_worth_to_the_last_digit() {
        assert!(equal(&json!({"a": [1, 2]}), &json!({"a": [1.0, 2.0]})));
        assert!(!equal(&json!(i64::MAX), &json!(9_223_372_036_854_775_808_u64)));
        assert!(!equal(&json!({"a": 1}), &json!({"a": 1, "b": 1})));
        let number = |value: Value| value.as_number().unwrap().clone();
        assert_eq!(compare(&number(json!(1.5)), &number(json!(2))), Ordering::Less);
        assert_eq!(compare(&number(json!(0)), &number(json!(-0.0))), Ordering::Equal);
        assert!(is_whole(&number(json!(1e300))) && !is_whole(&number(json!(0.5))));
        assert!(is_multiple(&number(json!(4.5)), &number(json!(1.5))));
        assert!(!is_multiple(&number(json!(5)), &number(json!(2))));
        assert_eq!((count(&json!(2.0)), count(&json!(-1))), (Some(2), None));
    }
}
