//! What patterns mean, seen through decisions.

use crate::decisions::{decide, facts, rules};

fn matches(pattern: &str, comm: &str) -> bool {
    let rules = rules(|spec| spec.process_names = vec![pattern.into()]);
    decide(&rules, &facts(comm, "", "")).is_profile()
}

#[test]
fn a_question_mark_is_one_character_of_any_length() {
    assert!(matches("caf?", "café") && !matches("caf??", "café"));
    assert!(matches("a?b", "a\u{fffd}b"), "what is not UTF-8 is shown as one character, and is one");
    assert!(matches("?", "\n"));
}

#[test]
fn classes_are_of_characters() {
    assert!(matches("caf[éè]", "café") && !matches("caf[éè]", "cafe"));
    assert!(matches("[а-я]", "ж") && !matches("[а-я]", "z"));
    assert!(matches("[!a]", "é") && !matches("[!é]", "é") && matches("[^a]", "b"));
    assert!(matches("[]]", "]") && matches("[a-]", "-") && matches("[-a]", "-") && matches("[!]]", "a"));
    assert!(matches("[*]", "*") && !matches("[*]", "a"));
    assert!(matches("[{a,b}]", ",") && !matches("[{a,b}]", "ab"));
}

#[test]
fn braces_may_be_empty_and_nested() {
    assert!(matches("java{,c}", "java") && matches("java{,c}", "javac") && !matches("java{,c}", "java,"));
    assert!(matches("{a,b{c,d}}x", "bdx") && !matches("{a,b{c,d}}x", "bx"));
    assert!(matches("{a*,b}c", "azzc") && matches("{,}x{}", "x"));
    assert!(matches("a,b", "a,b") && matches("[a],b", "a,b"), "a comma is itself outside braces");
}

#[test]
fn a_backslash_takes_the_meaning_from_what_follows() {
    for (pattern, text) in
        [(r"\*", "*"), (r"\?", "?"), (r"\[a]", "[a]"), (r"\{a\}", "{a}"), (r"\\", r"\"), (r"{a\,b,c}", "a,b")]
    {
        assert!(matches(pattern, text), "{pattern}");
    }
    assert!(!matches(r"\*", "a") && !matches(r"\?", "a"));
}

#[test]
fn a_star_behind_braces_is_not_the_one_within_them() {
    assert!(matches("{,a*}*", "b") && matches("{x*}**y", "xzy"));
}

#[test]
fn long_patterns_and_names_come_to_an_end() {
    let text = "a".repeat(4_096);
    // What tries one way after the other takes longer than the universe for each of these.
    assert!(matches(&"*a".repeat(2_000), &text));
    assert!(!matches(&("*a".repeat(2_000) + "b"), &text));
    assert!(matches(&"{*a,*b,}".repeat(500), &text));
    assert!(!matches(&("{a,aa}".repeat(600) + "x"), &text));
}

#[test]
fn where_alternatives_end_is_forgotten_with_the_next_character() {
    assert!(!matches("{a,b}c", "abc") && !matches("{a,b}", "aa") && !matches("{ab,c}d", "abcd"));
    assert!(!matches("{a,b}?", "abb") && matches("{a,b}?", "ab"));
}

#[test]
fn a_range_is_all_that_lies_between_and_nothing_else() {
    assert!(matches("[a-c]", "b") && !matches("[a-c]", "-") && !matches("[a-c]", "d"));
    assert!(matches(r"[a-\c]", "b") && matches(r"[\a-c]", "b") && matches("[a-a]", "a"));
    assert!(
        !matches("[a-]", "b") && !matches("[a-]", "]") && matches("[!a-]", "b") && !matches("[!a-]", "-")
    );
}
