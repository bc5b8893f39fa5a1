//! Where settings come from: one TOML file and the `RAPIDS_` variables, split into leaves.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use figment::error::Result;
use figment::providers::{Format as _, Toml};
use figment::util::nest;
use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider};

use super::problem::{Problem, Problems};
use super::suggest;

/// What the variables of the configuration start with.
const PREFIX: &str = "RAPIDS_";
/// Names the file itself, so it is no setting.
pub(crate) const FILE_VARIABLE: &str = "RAPIDS_CONFIG";
/// Variables of the command line, which may be exported where a daemon is started that knows nothing of them: where the
/// archive is (to the archive itself a setting), and where `rapids top` finds figures.
const COMMAND_LINE_VARIABLES: [&str; 2] = ["RAPIDS_ARCHIVE", "RAPIDS_METRICS"];
/// Separates the parts of a key in a variable's name.
const NEST: &str = "__";

/// What was given, before anybody looked at it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    /// Path and text of the file.
    pub(crate) file: Option<(PathBuf, String)>,
    /// The process's environment; what does not start with `RAPIDS_` is passed over.
    pub(crate) variables: Vec<(String, String)>,
}

impl Sources {
    /// Reads the file and the environment of this process.
    pub(crate) fn of_this_process(file: Option<PathBuf>) -> std::result::Result<Self, Problems> {
        let file = file.map(read).transpose()?;
        let text = |os: OsString| os.to_string_lossy().into_owned();
        let variables =
            std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect();
        Ok(Self { file, variables })
    }

    /// Every setting that was given, weakest source first; what no setting is called goes to `problems`.
    pub(super) fn leaves(&self, known: &Dict, problems: &mut Problems) -> Vec<Leaf> {
        let mut leaves = Vec::new();
        if let Some((path, text)) = &self.file {
            let mut split =
                Split { known, origin: Origin::File(path.clone()), raw: None, problems };
            match Toml::from_str::<Dict>(text) {
                Ok(given) => split.section(known, given, &mut Vec::new(), &mut leaves),
                Err(error) => split.refuse("", error.to_string()),
            }
        }
        let ours = self.variables.iter().filter(|(name, value)| is_setting(name, value));
        for (name, value) in ours {
            let key = name[PREFIX.len()..].to_ascii_lowercase().replace(NEST, ".");
            let origin = Origin::Variable(name.clone());
            let mut split = Split { known, origin, raw: Some(value), problems };
            if COMMAND_LINE_VARIABLES.contains(&name.as_str()) && !known.contains_key(&key) {
                continue;
            }
            if key.split('.').any(str::is_empty) {
                split.refuse_unknown(&key);
                continue;
            }
            // Numbers, booleans, "[a, b]" and "{a = 1}" are read as such, all else is a string.
            let Ok(parsed) = value.parse::<Value>();
            if let Some(given) = nest(&key, parsed).into_dict() {
                split.section(known, given, &mut Vec::new(), &mut leaves);
            }
        }
        leaves
    }
}

fn read(path: PathBuf) -> std::result::Result<(PathBuf, String), Problems> {
    fs::read_to_string(&path).map(|text| (path.clone(), text)).map_err(|error| {
        let mut problems = Problems::default();
        let message = format!("{} cannot be read: {error}", path.display());
        problems.add(Problem { key: String::new(), given: String::new(), message });
        problems
    })
}

fn is_setting(name: &str, value: &str) -> bool {
    name.starts_with(PREFIX) && name != FILE_VARIABLE && !is_service_link(name, value)
}

/// Kubernetes puts the address of every service of the namespace into the environment: a service called
/// `rapids-x` makes `RAPIDS_X_SERVICE_HOST` and the like, which nobody wrote and nobody can correct here.
/// <https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables>
fn is_service_link(name: &str, value: &str) -> bool {
    let address = value.starts_with("tcp://") || value.starts_with("udp://");
    let port = name.split_once("_PORT_").map(|(_, rest)| rest);
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || (name.ends_with("_PORT") && address)
        || port.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// Where a setting came from.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    File(PathBuf),
    Variable(String),
}

impl Origin {
    /// How the key is written in this kind of source.
    fn spell(&self, key: &str) -> String {
        match self {
            Self::File(_) => key.to_owned(),
            Self::Variable(_) => variable(key),
        }
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => Path::display(path).fmt(f),
            Self::Variable(name) => f.write_str(name),
        }
    }
}

/// Name of the variable that gives `key`.
pub(super) fn variable(key: &str) -> String {
    PREFIX.to_owned() + &key.to_ascii_uppercase().replace('.', NEST)
}

/// One setting as one source gave it.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    pub(super) key: String,
    pub(super) value: Value,
    /// The text of a variable: a stage called `007` is no number.
    pub(super) raw: Option<String>,
    pub(super) origin: Origin,
}

impl Leaf {
    /// `= "2s" (RAPIDS_LEASE__DURATION)`.
    pub(super) fn given(&self) -> String {
        format!("= {} ({})", super::show::inline(&self.value), self.origin)
    }
}

impl Provider for Leaf {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.origin.to_string())
    }

    fn data(&self) -> Result<Map<Profile, Dict>> {
        let nested = nest(&self.key, self.value.clone()).into_dict().unwrap_or_default();
        Ok(Profile::Default.collect(nested))
    }
}

/// Cuts what one source gave into leaves, along the tree of known keys.
struct Split<'a> {
    known: &'a Dict,
    origin: Origin,
    raw: Option<&'a str>,
    problems: &'a mut Problems,
}

impl Split<'_> {
    fn section(&mut self, known: &Dict, given: Dict, at: &mut Vec<String>, to: &mut Vec<Leaf>) {
        for (name, value) in given {
            at.push(name);
            let key = at.join(".");
            match (at.last().and_then(|name| known.get(name)), value) {
                (None, _) => self.refuse_unknown(&key),
                // An empty section is a map with keys of the user's choice: a leaf.
                (Some(Value::Dict(_, known)), Value::Dict(_, given)) if !known.is_empty() => {
                    self.section(known, given, at, to);
                }
                (Some(_), value) => {
                    let raw = self.raw.map(str::to_owned);
                    to.push(Leaf { key, value, raw, origin: self.origin.clone() });
                }
            }
            at.pop();
        }
    }

    fn refuse_unknown(&mut self, key: &str) {
        let message = match suggest::nearest(self.known, key) {
            Some(near) => format!("unknown key; did you mean {}?", self.origin.spell(&near)),
            None => "unknown key; --help lists the known ones".to_owned(),
        };
        self.refuse(key, message);
    }

    fn refuse(&mut self, key: &str, message: String) {
        let given = format!("({})", self.origin);
        self.problems.add(Problem { key: key.to_owned(), given, message });
    }
}
