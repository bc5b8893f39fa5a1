//! Completion of verbs, rivers and topics, derived from the grammar of a line.

use std::time::Duration;

use clap::Command;
use rustyline::completion::Completer;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::{Context, Helper};

use crate::args::line_grammar;

/// Longest look-up of names for one press of the tab key.
pub(super) const LOOK_UP_MAX: Duration = Duration::from_secs(1);

/// Names that only AWS knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Rivers that are subscribed to something.
    River,
    /// Advertised topics.
    Topic,
}

/// Completes what is typed; `look_up` finds names.
pub(super) struct Completion<L> {
    grammar: Command,
    look_up: L,
}

impl<L: Fn(Wanted) -> Vec<String>> Completion<L> {
    pub(super) fn new(look_up: L) -> Self {
        let mut grammar = line_grammar();
        grammar.build();
        Self { grammar, look_up }
    }

    /// Where the word before the cursor begins, and what it may become.
    fn candidates(&self, typed: &str) -> (usize, Vec<String>) {
        let start = typed.rfind(char::is_whitespace).map_or(0, |blank| blank + 1);
        let mut before = typed[..start].split_whitespace();
        let all = match before.next() {
            None | Some("help") => self.verbs(),
            Some(verb) => self.argument(verb, before.count()),
        };
        let fits = |name: &String| name.starts_with(&typed[start..]);
        (start, all.into_iter().filter(fits).collect())
    }

    fn verbs(&self) -> Vec<String> {
        self.grammar.get_subcommands().map(|verb| verb.get_name().to_owned()).collect()
    }

    fn argument(&self, verb: &str, index: usize) -> Vec<String> {
        let verb = self.grammar.find_subcommand(verb);
        let argument = verb.and_then(|verb| verb.get_positionals().nth(index));
        match argument.map(|argument| argument.get_id().as_str()) {
            Some("river") => (self.look_up)(Wanted::River),
            Some("topic" | "event") => (self.look_up)(Wanted::Topic),
            _ => Vec::new(),
        }
    }
}

impl<L: Fn(Wanted) -> Vec<String>> Completer for Completion<L> {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        cursor: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(self.candidates(&line[..cursor]))
    }
}

impl<L> Hinter for Completion<L> {
    type Hint = String;
}

impl<L> Highlighter for Completion<L> {}
impl<L> Validator for Completion<L> {}
impl<L: Fn(Wanted) -> Vec<String>> Helper for Completion<L> {}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(typed: &str) -> (usize, Vec<String>) {
        let names = |wanted| match wanted {
            Wanted::River => vec!["location".to_owned(), "offers".to_owned()],
            Wanted::Topic => vec!["OfferProposed".to_owned(), "ViewPage".to_owned()],
        };
        Completion::new(names).candidates(typed)
    }

    #[test]
    fn the_first_word_is_a_verb() {
        assert_eq!(completed("s"), (0, vec!["send".to_owned(), "subscribe".to_owned()]));
        assert_eq!(completed("help unsub"), (5, vec!["unsubscribe".to_owned()]));
        assert!(completed("").1.contains(&"exit".to_owned()));
    }

    #[test]
    fn the_words_after_it_are_what_the_grammar_says() {
        assert_eq!(completed("subscribe lo"), (10, vec!["location".to_owned()]));
        assert_eq!(completed("subscribe r1 Vi"), (13, vec!["ViewPage".to_owned()]));
        assert_eq!(completed("send Of"), (5, vec!["OfferProposed".to_owned()]));
        assert_eq!(completed("readfrom ").1.len(), 2);
        for nothing in ["topics ", "send ViewPage ", "fly ", "readfrom r1 "] {
            assert!(completed(nothing).1.is_empty(), "{nothing:?}");
        }
    }
}
