//! The configuration as text: the effective one as TOML, the known keys for `--help`.

use figment::value::{Dict, Value};

use super::source::variable;

/// The effective settings as TOML; what is unset stays out. Given back with `--config` it means the same.
pub(crate) fn effective(tree: &Dict) -> String {
    toml::to_string(tree).unwrap_or_default()
}

/// A line for each setting: key, default, variable.
pub(crate) fn keys_help(defaults: &Dict) -> String {
    let mut settings = Vec::new();
    collect(defaults, "", &mut settings);
    let width = settings.iter().map(|(setting, _)| setting.chars().count()).max().unwrap_or(0);
    let line = |(setting, variable): (String, String)| {
        let padding = width - setting.chars().count();
        format!("  {setting}{:padding$}  {variable}", "")
    };
    let title = "Settings (key = default, variable):".to_owned();
    [title].into_iter().chain(settings.into_iter().map(line)).collect::<Vec<_>>().join("\n")
}

fn collect(tree: &Dict, prefix: &str, settings: &mut Vec<(String, String)>) {
    for (name, value) in tree {
        let key = format!("{prefix}{name}");
        match value {
            Value::Dict(_, inner) if !inner.is_empty() => {
                collect(inner, &format!("{key}."), settings);
            }
            value => settings.push((format!("{key} = {}", inline(value)), variable(&key))),
        }
    }
}

/// A value as it would stand in a file.
pub(super) fn inline(value: &Value) -> String {
    let written = toml::Value::try_from(value);
    written.map_or_else(|_| "(unset)".to_owned(), |value| value.to_string())
}
