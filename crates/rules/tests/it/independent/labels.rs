//! Rules on labels, read one requirement after the other.

use std::collections::BTreeMap;
use telegen_rules::LabelRule;

type Labels = BTreeMap<Box<str>, Box<str>>;

/// Whether the rule says nothing, and so counts as absent.
pub(super) fn is_empty(rule: &LabelRule) -> bool {
    match rule {
        LabelRule::Map(labels) => labels.is_empty(),
        LabelRule::Selector(selector) => selector.trim().is_empty(),
    }
}

/// Whether all that the rule asks for is so.
pub(super) fn matches(rule: &LabelRule, labels: &Labels) -> bool {
    match rule {
        LabelRule::Map(wanted) => wanted.iter().all(|(key, value)| value_of(labels, key) == Some(value)),
        LabelRule::Selector(selector) => requirements(selector).iter().all(|text| holds(text, labels)),
    }
}

fn value_of<'a>(labels: &'a Labels, key: &str) -> Option<&'a str> {
    labels.get(key.trim()).map(|value| &**value)
}

/// The selector cut at the commas that are not within parentheses.
fn requirements(selector: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut within = false;
    for c in selector.chars() {
        within = (within || c == '(') && c != ')';
        if c == ',' && !within {
            all.push(String::new());
        } else {
            all.last_mut().expect("one at least").push(c);
        }
    }
    all
}

fn holds(requirement: &str, labels: &Labels) -> bool {
    let requirement = requirement.trim();
    if let Some((words, values)) = requirement.split_once('(') {
        let values: Vec<&str> = values.trim_end_matches(')').split(',').map(str::trim).collect();
        let words: Vec<&str> = words.split_whitespace().collect();
        let value = value_of(labels, words[0]);
        return match words[1] {
            "in" => value.is_some_and(|value| values.contains(&value)),
            "notin" => value.is_none_or(|value| !values.contains(&value)),
            other => panic!("no operator: {other}"),
        };
    }
    if let Some((key, value)) = requirement.split_once("!=") {
        return value_of(labels, key) != Some(value.trim());
    }
    if let Some((key, value)) = requirement.split_once("==").or_else(|| requirement.split_once('=')) {
        return value_of(labels, key) == Some(value.trim());
    }
    match requirement.strip_prefix('!') {
        Some(key) => value_of(labels, key).is_none(),
        None => value_of(labels, requirement).is_some(),
    }
}

#[test]
fn every_form_means_what_it_should() {
    let labels: Labels = [("app", "web"), ("tier", "")].map(|(key, value)| (key.into(), value.into())).into();
    for (selector, expected) in [
        ("app", true),
        ("env", false),
        ("!env", true),
        ("!app", false),
        ("app=web", true),
        ("app == web", true),
        ("tier=", true),
        ("app!=api", true),
        ("env!=api", true),
        ("app!=web", false),
        ("app in (api, web)", true),
        ("env in (api)", false),
        ("app notin (api)", true),
        ("env notin (api)", true),
        ("app notin (api,web),tier", false),
        ("app=web,tier in (a,),!env", true),
    ] {
        assert_eq!(matches(&LabelRule::Selector(selector.into()), &labels), expected, "{selector}");
    }
}
