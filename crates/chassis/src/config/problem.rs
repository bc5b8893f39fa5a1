//! Mistakes in a configuration, collected rather than thrown.

use std::fmt;

/// Settings that know their own rules.
pub trait Validate {
    /// Reports every broken rule; says nothing when all is well.
    fn validate(&self, problems: &mut Problems);
}

/// Every problem of a configuration, each with its key.
#[derive(Clone, Debug, Default)]
pub struct Problems {
    found: Vec<Problem>,
    /// Sections that validation is in.
    within: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    /// Dotted path of the setting; empty when the problem belongs to none.
    pub(super) key: String,
    /// The value and where it came from, as text; empty when not known.
    pub(super) given: String,
    pub(super) message: String,
}

impl Problems {
    /// What `settings` find wrong with themselves.
    #[must_use]
    pub fn of(settings: &impl Validate) -> Self {
        let mut problems = Self::default();
        settings.validate(&mut problems);
        problems
    }

    /// Adds a problem of the setting `key`, which is relative to the section being validated.
    pub fn report(&mut self, key: &str, message: impl Into<String>) {
        let key = self.within.iter().map(String::as_str).chain([key]).collect::<Vec<_>>().join(".");
        self.add(Problem { key, given: String::new(), message: message.into() });
    }

    /// Validates a section, so that what it reports gets the section's name before its keys.
    pub fn section(&mut self, name: &str, section: &impl Validate) {
        self.within.push(name.to_owned());
        section.validate(self);
        self.within.pop();
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// How many problems there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.found.len()
    }

    pub(super) fn add(&mut self, problem: Problem) {
        self.found.push(problem);
    }

    /// Whether `key` was reported.
    pub(super) fn mentions(&self, key: &str) -> bool {
        self.found.iter().any(|problem| problem.key == key)
    }

    pub(super) fn into_vec(self) -> Vec<Problem> {
        self.found
    }
}

/// A line each: `lease.duration = "2s" (RAPIDS_LEASE__DURATION): must be at least 3s`.
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.found.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            write!(f, "  {problem}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, given, message } = self;
        match (key.is_empty(), given.is_empty()) {
            (true, true) => write!(f, "{message}"),
            (true, false) => write!(f, "{given}: {message}"),
            (false, true) => write!(f, "{key}: {message}"),
            (false, false) => write!(f, "{key} {given}: {message}"),
        }
    }
}
