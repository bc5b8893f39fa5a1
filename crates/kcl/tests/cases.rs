//! `CASES.md` tells the truth about what is tested.

use std::collections::BTreeSet;
use std::path::Path;

const CASES: &str = include_str!("../CASES.md");

/// What stands between backticks and looks like `path::name`.
fn named_tests() -> impl Iterator<Item = (&'static str, &'static str)> {
    CASES.split('`').skip(1).step_by(2).filter_map(|code| code.split_once(".rs::"))
}

#[test]
fn every_test_that_is_named_exists() {
    let crate_root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut checked = BTreeSet::new();
    for (file, name) in named_tests() {
        let source = std::fs::read_to_string(crate_root.join(format!("{file}.rs")));
        let source = source.unwrap_or_else(|error| panic!("{file}.rs: {error}"));
        assert!(source.contains(&format!("fn {name}(")), "{file}.rs has no {name}");
        checked.insert(name);
    }
    assert!(checked.len() > 90, "only {} tests are named", checked.len());
}

#[test]
fn each_of_the_92_cases_has_one_line() {
    let numbers = CASES.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
    let mut found = Vec::new();
    for number in numbers {
        let (first, last) = number.split_once('–').unwrap_or((number, number));
        let parse = |text: &str| text.trim().parse::<u32>().ok();
        let (Some(first), Some(last)) = (parse(first), parse(last)) else { continue };
        found.extend(first..=last);
    }
    assert_eq!(found, (1..=92).collect::<Vec<_>>());
}
