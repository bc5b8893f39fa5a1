//! From sources to checked settings, or to every problem.

use figment::Figment;
use figment::providers::Serialized;
use figment::value::{Dict, Value};

use super::Settings;
use super::problem::{Problem, Problems};
use super::show;
use super::source::{Leaf, Sources};
use crate::service::ServiceConfig;

/// Settings, and the tree they came from.
#[derive(Debug)]
pub(crate) struct Loaded<C> {
    pub(crate) settings: Settings<C>,
    /// What `--print-config` shows.
    pub(crate) tree: Dict,
}

/// The defaults as a tree: every known key.
pub(crate) fn defaults<C: ServiceConfig>() -> Dict {
    Value::serialize(Settings::<C>::default())
        .ok()
        .and_then(Value::into_dict)
        .expect("the defaults of a configuration are a struct that can be written")
}

/// Reads the settings.
///
/// Each given leaf is tried alone upon the defaults: that is how all mistakes are found, and not only the first.
/// The rules of [`Validate`] are then checked on what remains.
pub(crate) fn load<C: ServiceConfig>(sources: &Sources) -> Result<Loaded<C>, Problems> {
    let known = defaults::<C>();
    let base = Figment::from(Serialized::defaults(&known));
    let mut problems = Problems::default();
    let mut good = Vec::new();
    for leaf in sources.leaves(&known, &mut problems) {
        match fitting::<C>(&base, leaf) {
            Ok(leaf) => good.push(leaf),
            Err(problem) => problems.add(problem),
        }
    }
    let merged = good.iter().cloned().fold(base, Figment::merge);
    let (settings, tree) = match (merged.extract::<Settings<C>>(), merged.extract::<Dict>()) {
        (Ok(settings), Ok(tree)) => (settings, tree),
        // Leaves that are right one by one and wrong together: two variants of one enum.
        (Err(error), _) | (_, Err(error)) => {
            problems.report(&error.path.join("."), error.kind.to_string());
            return Err(problems);
        }
    };
    for broken in Problems::of(&settings).into_vec() {
        // A rule that fails on a default because the given value was refused would only confuse.
        if !problems.mentions(&broken.key) {
            let given = given(&good, &tree, &broken.key);
            problems.add(Problem { given, ..broken });
        }
    }
    if problems.is_empty() { Ok(Loaded { settings, tree }) } else { Err(problems) }
}

/// The leaf with a value that fits its setting, or why none does.
fn fitting<C: ServiceConfig>(base: &Figment, leaf: Leaf) -> Result<Leaf, Problem> {
    let refusal = |leaf: &Leaf| {
        let tried = base.clone().merge(leaf.clone()).extract::<Settings<C>>();
        tried.err().map(|error| error.kind.to_string())
    };
    let Some(message) = refusal(&leaf) else { return Ok(leaf) };
    if let Some(raw) = &leaf.raw {
        let as_text = Leaf { value: Value::from(raw.as_str()), ..leaf.clone() };
        if refusal(&as_text).is_none() {
            return Ok(as_text);
        }
    }
    Err(Problem { given: leaf.given(), key: leaf.key, message })
}

/// Value and source of a setting, for a problem of its own.
fn given(leaves: &[Leaf], tree: &Dict, key: &str) -> String {
    if let Some(leaf) = leaves.iter().rev().find(|leaf| leaf.key == key) {
        return leaf.given();
    }
    let mut parts = key.split('.');
    let first = parts.next().and_then(|part| tree.get(part));
    let value = parts.fold(first, |value, part| value?.as_dict()?.get(part));
    value.map_or_else(String::new, |value| format!("= {} (default)", show::inline(value)))
}
