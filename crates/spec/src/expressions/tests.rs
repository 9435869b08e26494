//! Conditions are answered as they say, refused with a reason, and never cost more than their bounds.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn facts() -> Json {
    json!({
        "parameters": {"n": 3, "who": "ann", "list": [1, 2, 3], "ratio": 0.5, "nothing": null},
        "steps": {"fetch": {"rows": [{"v": 7}, {"v": 8}], "ok": true}, "fetch-data": {"count": 0}},
        "run": {"id": "r"},
    })
}

#[test]
fn conditions_are_answered() {
    let cel = Cel::new();
    for (condition, expected) in [
        ("true", true),
        ("parameters.n == 3", true),
        ("parameters.n + 1 > 3 && parameters.ratio < 1", true),
        ("steps.fetch.rows.exists(row, row.v > 7)", true),
        ("steps.fetch.rows.all(row, row.v > 7)", false),
        ("size(steps.fetch.rows.filter(row, row.v == 7)) == 1", true),
        ("steps[\"fetch-data\"].count == 0", true),
        ("has(steps.fetch.rows) && !has(steps.fetch.gone)", true),
        ("parameters.who in [\"ann\", \"bob\"]", true),
        ("parameters.who.startsWith(\"a\") && parameters.who.matches(\"^a.n$\")", true),
        ("parameters.nothing == null", true),
        ("[1, 2].map(x, x * 2) == [2, 4]", true),
        ("string(parameters.n) == '3' && int('4') == 4 && double(1) == 1.0 && uint(1) == 1u", true),
        ("parameters.n > 2 ? steps.fetch.ok : false", true),
        ("type(parameters.n) == int && dyn(parameters.n) == 3", true),
    ] {
        assert_eq!(cel.holds(condition, &facts()), Ok(expected), "{condition}");
    }
}

#[test]
fn what_cannot_be_said_is_an_error_with_a_reason() {
    let cel = Cel::new();
    for (condition, why) in [
        ("gone.x == 1", "gone"),
        ("steps.fetch.gone == 1", "gone"),
        ("steps.none.ok", "none"),
        ("parameters.n", "it gives int, not true or false"),
        ("parameters.who > 3", "overload"),
        ("parameters.n / 0 == 1", "zero"),
        ("parameters.list[9] == 1", "bounds"),
        ("9223372036854775807 + parameters.n > 0", "verflow"),
        ("parameters.who.matches(\"(\")", "matches"),
        ("a &&", "at character"),
        ("", "at character"),
        ("frobnicate(1)", "there is no function \"frobnicate\"; there are: size, contains"),
        ("parameters.who.startswith(\"a\")", "did you mean \"startsWith\"?"),
        ("Thing{a: 1} == 1", "there is no type"),
    ] {
        let error = cel.holds(condition, &facts()).expect_err(condition);
        assert!(error.contains(why), "{condition}: {error}");
    }
}

#[test]
fn names_are_those_of_the_facts_and_not_of_loops() {
    let found = names("steps.fetch.rows.all(row, row.v > parameters.n) && steps['fetch-data'].count == limit").unwrap();
    let of = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(
        found,
        Names {
            roots: of(&["steps", "parameters", "limit"]),
            steps: of(&["fetch", "fetch-data"]),
            all_steps: false,
            parameters: of(&["n"]),
            ..Names::default()
        }
    );
    assert!(names("run.id == '1'").unwrap().fields.contains(&("run".to_owned(), "id".to_owned())));
    assert!(names("size(steps) > 0").unwrap().all_steps);
    assert!(names("steps[parameters.who].ok").unwrap().all_steps);
    assert!(names("has(steps.fetch)").unwrap().steps.contains("fetch"));
    assert_eq!(names("[1].exists(steps, steps.fetch > 0)").unwrap(), Names::default());
}

/// The parser recurses. A test thread has 2 MiB of stack, as the threads that decide do.
#[test]
fn deep_and_long_conditions_are_refused_before_they_overflow() {
    let cel = Cel::new();
    let many = |open: &str, inner: &str, close: &str, count: usize| {
        format!("{}{inner}{}", open.repeat(count), close.repeat(count))
    };
    for (open, inner, close) in [
        ("(", "true", ")"),
        ("[", "1", "]"),
        ("{1: ", "1", "}"),
        ("!", "true", ""),
        ("! ", "true", ""),
        ("-", "1", ""),
        ("size(", "'a'", ")"),
        ("true ? true : ", "true", ""),
        ("true ? ", "true", " : true"),
        ("[1].all(x, ", "true", ")"),
        ("a[", "0", "]"),
        ("1 + (", "1", ")"),
    ] {
        for count in [NESTING_MAX / 2, NESTING_MAX, NESTING_MAX + 1, 90, 200] {
            let _ = cel.holds(&many(open, inner, close, count), &facts());
        }
        let deep = many(open, inner, close, NESTING_MAX + 2);
        let error = cel.holds(&deep, &facts()).unwrap_err();
        assert!(error.contains("nested") || error.contains("characters"), "{deep}: {error}");
    }
    // The bound is far below that of the parser, which a thread with a small stack does not survive.
    assert_eq!(cel.holds(&many("(", "true", ")", 20), &facts()), Ok(true));
    assert!(cel.holds(&many("(", "true", ")", 40), &facts()).unwrap_err().contains("nested 40 deep"));
    // Long chains do not nest, but the tree they make is deep.
    for chain in ["1+", "1==", "a.", "a&&", "a||", "a[0].", "1<", "1-", "x.all(y,y)."] {
        let long = format!("{}a", chain.repeat((LENGTH_MAX - 1) / chain.len()));
        let _ = cel.holds(&long, &facts());
    }
    let long = format!("\"{}\" == ''", "a".repeat(LENGTH_MAX));
    assert!(cel.holds(&long, &facts()).unwrap_err().contains("characters"));
    // Brackets in a text are no brackets.
    assert_eq!(cel.holds(&format!("'{}' != ''", "(".repeat(200)), &facts()), Ok(true));
}

#[test]
fn work_is_bounded_before_it_begins() {
    let cel = Cel::new();
    let wide = json!({"parameters": {"list": vec![1; 20_000]}});
    assert_eq!(cel.holds("parameters.list.all(x, x == 1)", &wide), Ok(true));
    for condition in [
        "parameters.list.all(x, parameters.list.all(y, x == y))",
        "(parameters.list + parameters.list + parameters.list).all(x, 'aaaa'.matches('a*'))",
    ] {
        assert!(cel.holds(condition, &wide).unwrap_err().contains("too long"), "{condition}");
    }
    let huge = json!({"parameters": {"list": vec![1; FACTS_MAX]}, "steps": {"small": 1, "big": vec![1; FACTS_MAX]}});
    assert!(cel.holds("size(parameters.list) > 0", &huge).unwrap_err().contains("values"));
    // Only what is looked at counts.
    assert_eq!(cel.holds("steps.small == 1", &huge), Ok(true));
    let text = json!({"parameters": {"a": ["x".repeat(FACTS_BYTES_MAX + 1), "y"]}});
    assert!(cel.holds("size(parameters.a) == 2", &text).unwrap_err().contains("bytes"));
    let deep = (0..200).fold(json!(1), |inner, _| json!([inner]));
    assert!(cel.holds("size(parameters) == 1", &json!({"parameters": deep})).unwrap_err().contains("deep"));
}

#[test]
fn compiled_conditions_are_kept_up_to_a_bound() {
    let cel = Cel::new();
    for n in 0..KEPT_MAX + 10 {
        assert_eq!(cel.holds(&format!("{n} == {n}"), &json!({})), Ok(true));
        assert_eq!(cel.holds(&format!("{n} == {n}"), &json!({})), Ok(true));
    }
    assert_eq!(cel.kept_count(), KEPT_MAX);
}

proptest! {
    #[test]
    fn no_text_panics(text in "[a-z0-9.\\[\\](){}!?:&|<>=+*/%,\"'\\\\ \\-]{0,120}") {
        let _ = names(&text);
        let _ = Cel::new().holds(&text, &facts());
    }

    #[test]
    fn no_mix_of_words_panics(words in prop::collection::vec(
        prop::sample::select(vec!["steps", ".", "fetch", "[", "]", "(", ")", "?", ":", "!", "-", "&&", "||", "==", "in",
            "has", "all", "map", ",", "x", "1", "1u", "1.5", "'a'", "b'a'", "null", "true", "{", "}", "size", "r'\\", "\"\"\""]),
        0..60,
    )) {
        let text = words.concat();
        let _ = Cel::new().holds(&text, &facts());
        let _ = Cel::new().holds(&words.join(" "), &facts());
    }
}
