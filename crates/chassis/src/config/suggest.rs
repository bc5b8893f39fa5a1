//! "Did you mean": the known key nearest to a mistyped one.

use figment::value::{Dict, Value};

/// Edits between what was written and what was meant; more is another word.
const EDITS_MAX: usize = 2;

/// The known key nearest to `key`, if one is near: the same last part elsewhere, or a few edits away.
pub(super) fn nearest(known: &Dict, key: &str) -> Option<String> {
    let mut keys = Vec::new();
    collect(known, "", &mut keys);
    let last = |key: &str| key.rsplit('.').next().map(str::to_owned);
    let typo = keys.iter().map(|known| (edits(known, key), known)).min();
    match typo {
        Some((distance, near)) if distance <= EDITS_MAX => Some(near.clone()),
        _ => keys.iter().find(|known| last(known) == last(key)).cloned(),
    }
}

/// All keys, sections and settings.
pub(super) fn collect(known: &Dict, prefix: &str, keys: &mut Vec<String>) {
    for (name, value) in known {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        keys.push(key.clone());
        if let Value::Dict(_, inner) = value {
            collect(inner, &key, keys);
        }
    }
}

/// Levenshtein distance.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        assert_eq!(edits("lease.duration", "lease.duration"), 0);
        assert_eq!(edits("lease.duration", "leas.durations"), 2);
        assert_eq!(edits("", "abc"), 3);
    }
}
