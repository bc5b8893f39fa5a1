use super::*;

fn cli(line: &str) -> Cli {
    Cli::try_parse_from(shell_words::split(line).unwrap()).unwrap()
}

fn refusal(line: &str) -> String {
    match parse_line(line) {
        Err(Failure::Usage(refusal)) => refusal,
        other => panic!("{line:?} was not refused: {other:?}"),
    }
}

fn help(line: &str) -> String {
    match parse_line(line) {
        Ok(Line::Help(text)) => text,
        other => panic!("{line:?} gave no help: {other:?}"),
    }
}

#[test]
fn the_grammar_is_consistent() {
    grammar().debug_assert();
    line_grammar().debug_assert();
}

#[test]
fn the_originals_command_line_is_understood() {
    let cli = cli("rapids --rapids Rapids-dev --control-stream Control-dev");
    assert_eq!(cli.options.rapids.as_deref(), Some("Rapids-dev"));
    assert_eq!(cli.options.control_stream.as_deref(), Some("Control-dev"));
    assert!(cli.command.is_none());
}

#[test]
fn options_stand_before_or_after_the_command() {
    for line in ["rapids --stage prod --json topics", "rapids topics --json --stage prod"] {
        let cli = cli(line);
        assert!(cli.options.json);
        assert_eq!(cli.options.stage.as_deref(), Some("prod"));
        assert!(matches!(cli.command, Some(Command::Verb(Verb::Topics(_)))));
    }
}

#[test]
fn quotes_keep_json_in_one_word() {
    let line = parse_line(r#"send ViewPage TheSource '{"name": "Sally"}'"#).unwrap();
    let data = r#"{"name": "Sally"}"#.to_owned();
    let (event, source) = ("ViewPage".to_owned(), "TheSource".to_owned());
    assert_eq!(line, Line::Verb(Verb::Send { event, source, data }));
}

#[test]
fn data_is_an_empty_object_unless_given() {
    let Line::Verb(Verb::Send { data, .. }) = parse_line("send ViewPage TheSource").unwrap() else {
        panic!("not a send")
    };
    assert_eq!(data, "{}");
}

#[test]
fn the_wait_for_the_control_plane_is_bounded_or_left_out() {
    let limit = |line: &str| match parse_line(line).unwrap() {
        Line::Verb(Verb::Subscribe { patience, .. }) => patience.limit(),
        other => panic!("not a subscribe: {other:?}"),
    };
    assert_eq!(limit("subscribe r1 ViewPage"), Some(Duration::from_secs(10)));
    assert_eq!(limit("subscribe r1 ViewPage --wait 3"), Some(Duration::from_secs(3)));
    assert_eq!(limit("subscribe r1 ViewPage --no-wait"), None);
    assert!(refusal("subscribe r1 ViewPage --no-wait --wait 3").contains("--no-wait"));
}

#[test]
fn blank_lines_and_comments_are_nothing() {
    for line in ["", "   ", "# readfrom r1", "  # 'unclosed"] {
        assert_eq!(parse_line(line).unwrap(), Line::Nothing, "{line:?}");
    }
    assert_eq!(parse_line("exit").unwrap(), Line::Exit);
}

#[test]
fn help_lists_the_verbs_and_explains_one() {
    let all = help("help");
    for verb in ["send", "subscribe", "readfrom", "listsubs", "unsubscribe", "topics", "advertise"]
    {
        assert!(all.contains(verb), "{verb} is missing in: {all}");
    }
    assert!(all.contains("exit") && all.contains("help"), "{all}");
    let one = help("help readfrom");
    assert!(one.contains("Get a batch of messages") && one.contains("<RIVER>"), "{one}");
}

#[test]
fn a_refusal_is_one_line() {
    for line in ["fly", "subscribe r1", "readfrom r1 --wait 99", "topics now", "send 'open"] {
        let refusal = refusal(line);
        assert!(!refusal.contains('\n') && !refusal.starts_with("error"), "{refusal}");
    }
    assert!(refusal("subscribe r1").contains("<TOPIC>"));
    assert!(refusal("topic").contains("topics"), "{}", refusal("topic"));
}

#[test]
fn whatever_follows_query_is_for_the_program_that_answers_it() {
    for (line, expected) in [
        ("rapids query --help", vec!["--help"]),
        ("rapids query 'select 1'", vec!["select 1"]),
        ("rapids query --format csv 'select 1'", vec!["--format", "csv", "select 1"]),
        ("rapids query 'select 1' --archive s3://b/p", vec!["select 1", "--archive", "s3://b/p"]),
        ("rapids query", vec![]),
    ] {
        let Some(Command::Query { arguments }) = cli(line).command else { panic!("{line}") };
        assert_eq!(arguments, expected, "{line}");
    }
    assert!(cli("rapids --json query 'select 1'").options.json);
}
