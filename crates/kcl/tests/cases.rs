//! `CASES.md` tells the truth about what is tested.

use std::collections::BTreeSet;
use std::path::Path;

const CASES: &str = include_str!("../CASES.md");

/// What stands between backticks and looks like `path::name`.
fn named_tests() -> impl Iterator<Item = (&'static str, &'static str)> {
    CASES.split('`').skip(1).step_by(2).filter_map(|code| code.split_once(".rs::"))
}

/// Whether the source has a test of that name, that is not ignored: a function with the attribute of one, or
/// one that a macro of the file makes into one by its name.
fn has_test(source: &str, name: &str) -> bool {
    let Some((before, _)) = source.split_once(&format!("fn {name}(")) else { return false };
    let before = before.trim_end_matches("async ").trim_end();
    let attributes = before.lines().rev().take_while(|line| !line.trim().is_empty());
    let attributes: Vec<_> =
        attributes.map(str::trim).take_while(|line| line.starts_with("#[")).collect();
    let is_test = |line: &&str| line.starts_with("#[test]") || line.starts_with("#[tokio::test");
    let is_ignored = attributes.iter().any(|line| line.starts_with("#[ignore"));
    let is_made = || source.lines().any(|line| line.trim() == name);
    !is_ignored && (attributes.iter().any(is_test) || is_made())
}

#[test]
fn every_test_that_is_named_exists() {
    let crate_root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut checked = BTreeSet::new();
    for (file, name) in named_tests() {
        let source = std::fs::read_to_string(crate_root.join(format!("{file}.rs")));
        let source = source.unwrap_or_else(|error| panic!("{file}.rs: {error}"));
        assert!(has_test(&source, name), "{file}.rs has no test {name}");
        checked.insert(name);
    }
    assert!(checked.len() > 90, "only {} tests are named", checked.len());
}

#[test]
fn what_is_no_test_is_not_taken_for_one() {
    let source = "#[test]\n#[ignore = \"slow\"]\nfn a() {}\n\nfn b() {}\n\n#[tokio::test(start_paused = true)]\nasync fn c() {}\n\nasync fn d(mode: Mode) {}\nin_both! {\n    d\n}";
    let tests = ["a", "b", "c", "d", "e"].map(|name| has_test(source, name));
    assert_eq!(tests, [false, false, true, true, false]);
}

/// The lines of the tables: the number, and the other cells.
fn lines() -> impl Iterator<Item = (&'static str, Vec<&'static str>)> {
    let cells = |line: &'static str| {
        let cells = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ");
        let mut cells = cells.map(str::trim);
        let number = cells.next()?;
        number.starts_with(|first: char| first.is_ascii_digit()).then(|| (number, cells.collect()))
    };
    CASES.lines().filter_map(cells)
}

#[test]
fn each_of_the_92_cases_has_one_line_with_what_holds_it_or_why_nothing_does() {
    let mut found = Vec::new();
    for (number, cells) in lines() {
        let (first, last) = number.split_once('–').unwrap_or((number, number));
        let parse = |text: &str| text.trim().parse::<u32>().expect("a number");
        found.extend(parse(first)..=parse(last));
        let [_, held_by] = cells[..] else { panic!("{number}: {cells:?}") };
        let says_why = ["None: ", "By hand", "simulator"].iter().any(|why| held_by.contains(why));
        assert!(held_by.contains(".rs::") || says_why, "{number}: {held_by}");
    }
    assert_eq!(found, (1..=92).collect::<Vec<_>>());
}
