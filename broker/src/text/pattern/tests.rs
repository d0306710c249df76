use super::*;
use proptest::prelude::*;

/// The longest name.
const NAME: usize = 255;

fn compile(pattern: &str) -> Expression {
    Expression::compile(pattern).unwrap()
}

fn refused(pattern: &str) -> String {
    Expression::compile(pattern).unwrap_err().reason
}

/// Returns how long a match of the slowest of some names takes, at the best of three attempts.
fn cost(expression: &Expression) -> Duration {
    let names = [
        "a".repeat(NAME),
        "ab".repeat(NAME / 2),
        "xa1.".repeat(NAME / 4),
        "\u{e4}".repeat(NAME / 2),
    ];
    let cost = |name: &String| {
        let attempt = |_| {
            let before = Instant::now();
            let _ = expression.find(name);
            before.elapsed()
        };
        (0..3).map(attempt).min().unwrap()
    };
    names.iter().map(cost).max().unwrap()
}

#[test]
fn patterns_look_around_and_back_as_pcre_does() {
    let matches = |pattern: &str, name: &str| compile(pattern).matches(name);
    assert!(matches(r"^(?!amq\.).*", "jobs"));
    assert!(!matches(r"^(?!amq\.).*", "amq.topic"));
    assert!(matches(r"(?<=jobs)\.high$", "jobs.high"));
    assert!(matches(r"^(.)\1$", "aa") && !matches(r"^(.)\1$", "ab"));
    assert!(matches(r"^((?!dead).)*$", &"x".repeat(NAME)));
    assert!(!matches(
        r"^((?!dead).)*$",
        &"dea".repeat(NAME / 3).replace("deadea", "dead")
    ));
    // A pattern that would backtrack without end matches nothing, and stops soon.
    assert!(!matches(r"^(?=(a+)+$)b", &"a".repeat(NAME)));
    assert!(!matches(r"^((a|aa)+)+\1b$", &"a".repeat(NAME)));
}

#[test]
fn a_long_list_of_names_is_no_complex_pattern() {
    let names: Vec<String> = (0..300).map(|n| format!("queue{n:03}")).collect();
    let pattern = format!("^(?!({})$).*", names.join("|"));
    assert!(pattern.len() < LENGTH_MAX);
    let expression = compile(&pattern);
    assert!(matches!(expression, Expression::Backtracking(_)));
    assert!(expression.matches("queue300") && !expression.matches("queue299"));
}

#[test]
fn a_match_takes_few_steps_whatever_the_pattern() {
    let copies = |text: &str| text.repeat(LENGTH_MAX / text.len());
    let some = |text: &str, count: usize| text.repeat(count);
    for pattern in [
        copies("(?=a)"),
        copies("(?=.*x)"),
        copies(r"(?<=a)"),
        copies("(?>a?)"),
        some("(?=a)", 70) + "b",
        some("(?=.*a)", 12) + "q",
        some("(?=.*x)", 19),
        some("(?=.*x)", 15) + "b",
        some("(?<=a*)", 3) + "b",
        some("(?!b)", 40),
        some("(?>a?)", 40) + "b",
        r"(a*)*\1b".to_owned(),
        r"((a|aa)+)+\1b".to_owned(),
        r"(?:(?=a)b?){60}c".to_owned(),
        r"(?:(?=a)){4000000000}".to_owned(),
        r"(?:(?:(?=a)){100}){100}".to_owned(),
        r"(?:(?:^){1000}){1000}(?=a)".to_owned(),
        r"(?:(?=(?:(?=(?:(?=a).)*).)*).)*b".to_owned(),
        r"((?=a)|b\2)(c)(?1){1000}".to_owned(),
        r"(?<=(a|aa)*\1)b".to_owned(),
        r"(.+)(.+)(.+)\1\2\3b".to_owned(),
        r"(?i)(a*)(a*)\1\2b".to_owned(),
        r"(?=\w{60}b)".to_owned() + &some(r"(?=\w{50}b)", 5),
        r"((?!b).)*b".to_owned(),
    ] {
        let Ok(expression) = Expression::compile(&pattern) else {
            continue;
        };
        let cost = cost(&expression);
        // A debug build takes ten times as long.
        let limit = Duration::from_millis(if cfg!(debug_assertions) { 50 } else { 5 });
        println!("{cost:?} {}", shortened(&pattern, 60));
        assert!(cost < limit, "{cost:?} for {pattern}");
    }
}

#[test]
fn what_could_take_too_many_steps_is_refused() {
    let too_complex = "it is too complex (a match could take too many steps)";
    for pattern in [
        "(?=a)".repeat(800),
        "(?:(?=a)b?){1000}".to_owned(),
        "(?:(?:^b?){1000}){1000}(?=a)".to_owned(),
    ] {
        assert_eq!(refused(&pattern), too_complex, "{pattern}");
    }
    assert_eq!(
        refused(r"(?=a)(b)\g<1>"),
        "it calls a group, which is not supported"
    );
    assert!(refused(r"\w{1000}{1000}").contains("it would take over"));
    // Where look-around is all that the first library lacks, the second one says what is wrong.
    for wrong in ["(?:(?=a)){4000000000}", "(?=a)("] {
        let reason = refused(wrong);
        assert!(!reason.contains("not supported"), "{reason}");
    }
}

#[test]
fn a_pattern_has_a_length_that_the_error_names() {
    assert!(compile(&"a".repeat(LENGTH_MAX)).matches(&"a".repeat(LENGTH_MAX)));
    let error = Expression::compile(&"a".repeat(60_000)).unwrap_err();
    assert_eq!(error.reason, "it has 60000 bytes, more than 4096");
    assert!(error.to_string().len() < 300);
}

#[test]
fn what_an_older_version_stored_still_loads() {
    let long = "x|".repeat(5000) + "^a$";
    assert!(Expression::compile(&long).is_err());
    assert!(Expression::restore(&long).unwrap().matches("a"));
    let complex = Expression::restore(&"(?=a)".repeat(70_000)).unwrap();
    assert!(!complex.matches("a"));
    assert!(Expression::restore("(a").is_err());
}

#[test]
fn a_filter_ends_when_its_matches_have_taken_too_long() {
    let filter = Filter::compile("^A", true).unwrap();
    assert_eq!(filter.accepts("abc"), Ok(true));
    assert_eq!(filter.accepts("b"), Ok(false));
    assert!(
        !Filter::compile("^A", false)
            .unwrap()
            .accepts("abc")
            .unwrap()
    );
    let slow = Filter::compile(r"(a*)*\1b", true).unwrap();
    let name = "a".repeat(NAME);
    assert_eq!(
        slow.accepts(&name),
        Ok(false),
        "too many steps are no match"
    );
    let before = Instant::now();
    let stopped = (0..1_000_000).any(|_| slow.accepts(&name).is_err());
    assert!(stopped && before.elapsed() < 10 * FILTER_TIME);
}

/// Returns patterns, most of which compile.
fn pattern() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        4 => "[ab.]",
        1 => prop::sample::select(vec![r"\1", r"\2", r"\w", "[^a]", "^", "$", "", r"\b", "aaaa"])
            .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(6, 40, 5, |inner| {
        let opening = prop::sample::select(vec![
            "(", "(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:",
        ]);
        let suffix = prop::sample::select(vec![
            "*", "+", "?", "*?", "{3}", "{2,}", "{0,9}", "{1000}", "*+", "",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..5).prop_map(|parts| parts.concat()),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}|{b})")),
            (opening, inner, suffix).prop_map(|(open, inner, end)| format!("{open}{inner}){end}")),
        ]
    })
}

proptest! {
    #[test]
    fn no_pattern_takes_long(pattern in pattern()) {
        let before = Instant::now();
        if let Ok(expression) = Expression::compile(&pattern) {
            let compiled = before.elapsed();
            prop_assert!(compiled < Duration::from_secs(2), "{compiled:?} to compile {pattern}");
            let cost = cost(&expression);
            prop_assert!(cost < Duration::from_millis(200), "{cost:?} for {pattern}");
        }
    }

    #[test]
    fn no_text_causes_a_panic(pattern: String, name: String) {
        if let Ok(expression) = Expression::compile(&pattern) {
            expression.matches(&name);
        }
    }
}
