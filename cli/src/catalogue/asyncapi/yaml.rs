//! JSON as YAML 1.2, of which it is a part: blocks for people, and quotes as JSON has them.

use std::fmt::Write as _;

use serde_json::Value;

/// Words that YAML 1.1 reads as something else than texts.
const WORDS: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];

/// The value as a document.
pub(crate) fn yaml(value: &Value) -> String {
    let mut text = String::new();
    write_value(&mut text, value, 0);
    text
}

/// Writes what stands behind a key or a dash: in the same line, or in lines of its own below it.
fn write_value(text: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (index, (key, value)) in map.iter().enumerate() {
                if index > 0 || depth > 0 {
                    indent(text, depth);
                }
                text.push_str(&word(key));
                text.push(':');
                below(text, value, depth + 1);
            }
        }
        Value::Array(list) if !list.is_empty() => {
            for (index, value) in list.iter().enumerate() {
                if index > 0 || depth > 0 {
                    indent(text, depth);
                }
                text.push('-');
                below(text, value, depth + 1);
            }
        }
        // Writing to a text does not fail.
        Value::String(one) => write!(text, "{}", word(one)).unwrap_or_default(),
        other => write!(text, "{other}").unwrap_or_default(),
    }
}

fn below(text: &mut String, value: &Value, depth: usize) {
    let is_block = match value {
        Value::Object(map) => !map.is_empty(),
        Value::Array(list) => !list.is_empty(),
        _ => false,
    };
    if !is_block {
        text.push(' ');
    }
    write_value(text, value, depth);
}

fn indent(text: &mut String, depth: usize) {
    text.push('\n');
    (0..depth).for_each(|_| text.push_str("  "));
}

/// A text, without quotes where every YAML takes it for that text.
fn word(text: &str) -> String {
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-/.$".contains(c))
        && !WORDS.contains(&text.to_ascii_lowercase().as_str());
    if is_plain { text.to_owned() } else { Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn blocks_are_indented_and_what_is_not_plain_is_quoted() {
        let value = json!({
            "a": {"b": [1, "yes", {"c": null, "d": []}, [true, "x y"]], "e": {}},
            "1": "line\nbreak: \"quoted\"", "$ref": "#/a", "z": "3.0.0", "plain": "application/json",
        });
        let expected = [
            r##""$ref": "#/a""##,
            r#""1": "line\nbreak: \"quoted\"""#,
            "a:",
            "  b:",
            "    - 1",
            r#"    - "yes""#,
            "    -",
            "      c: null",
            "      d: []",
            "    -",
            "      - true",
            r#"      - "x y""#,
            "  e: {}",
            "plain: application/json",
            r#"z: "3.0.0""#,
        ];
        assert_eq!(yaml(&value), expected.join("\n"));
    }
}
