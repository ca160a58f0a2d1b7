//! Single rules as chance has them: some are aimed at a process, the others at anything.

use super::dice::Dice;
use super::draw_process::{LABEL_KEYS, LABEL_VALUES, NAMES, NAMESPACES, PODS, WORKLOADS, container_id};
use std::collections::BTreeMap;
use telegen_model::ProcessFacts;
use telegen_rules::{Fact, Key, LabelRule};

type Labels = BTreeMap<Box<str>, Box<str>>;

/// A pattern for a key: one that matches the process, if `aim` is one and it has the fact.
pub(super) fn pattern(dice: &mut Dice, key: Key, aim: Option<&ProcessFacts>) -> String {
    let aimed = aim.and_then(|facts| text_of(dice, key, facts));
    let text = aimed.unwrap_or_else(|| any_text(dice, key));
    if key.fact() == Fact::Container {
        let digits = *dice.pick(&[12, 13, 14, 40, 63, 64]);
        return text[..digits].to_owned();
    }
    glob_on(dice, &text)
}

/// A rule on labels: one that matches the process, if `aim` is one and its labels are known.
pub(super) fn label_rule(dice: &mut Dice, aim: Option<&ProcessFacts>) -> LabelRule {
    let aimed = aim.and_then(|facts| facts.pod.pod()).and_then(|pod| pod.details.as_ref());
    let labels = aimed.map_or_else(|| any_labels(dice), |details| details.labels.clone());
    if !labels.is_empty() && dice.percent(40) {
        let some: Vec<_> = labels
            .iter()
            .filter(|_| dice.percent(50))
            .map(|(key, value)| (key.to_string(), value.to_string()))
            .collect();
        if !some.is_empty() {
            return LabelRule::Map(some);
        }
    }
    let count = 1 + dice.below(3);
    let requirements: Vec<String> = (0..count).map(|_| requirement(dice, &labels)).collect();
    LabelRule::Selector(requirements.join(dice.pick::<&str>(&[",", ", ", " ,"])))
}

fn text_of(dice: &mut Dice, key: Key, facts: &ProcessFacts) -> Option<String> {
    let pod = facts.pod.pod();
    match key.fact() {
        Fact::Name => {
            let names: Vec<&str> = facts.names().collect();
            Some((*dice.pick(&names)).to_owned())
        }
        Fact::Executable => facts.executable.as_deref().map(str::to_owned),
        Fact::Container => facts.container.as_ref().map(|container| container.id.to_string()),
        Fact::Namespace => pod?.namespace.as_deref().map(str::to_owned),
        Fact::Workload => Some(pod?.details.as_ref()?.workload.name.to_string()),
        Fact::Pod => pod?.name.as_deref().map(str::to_owned),
        other => panic!("no patterns for {other:?}"),
    }
}

fn any_text(dice: &mut Dice, key: Key) -> String {
    match key.fact() {
        Fact::Name => (*dice.pick(&NAMES)).to_owned(),
        Fact::Executable => format!("{}{}", dice.pick(&["/usr/bin/", "/bin/", "/sbin/"]), dice.pick(&NAMES)),
        Fact::Container => container_id(dice),
        Fact::Namespace => (*dice.pick(&NAMESPACES)).to_owned(),
        Fact::Workload => (*dice.pick(&WORKLOADS)).to_owned(),
        Fact::Pod => (*dice.pick(&PODS)).to_owned(),
        other => panic!("no patterns for {other:?}"),
    }
}

/// A pattern that matches the text.
fn glob_on(dice: &mut Dice, text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let cut = dice.below(chars.len() + 1);
    let place = dice.below(chars.len());
    let (head, tail): (String, String) = (chars[..cut].iter().collect(), chars[cut..].iter().collect());
    let (before, behind): (String, String) =
        (chars[..place].iter().collect(), chars[place + 1..].iter().collect());
    match dice.below(10) {
        0..=3 => text.to_owned(),
        4 => format!("{head}*"),
        5 => format!("*{tail}"),
        6 => format!("{before}?{behind}"),
        7 if chars[place].is_ascii_alphabetic() => {
            let class = *dice.pick(&["[a-zA-Z]", "[a-mn-z]", "[xa-wyz]"]);
            format!("{before}{class}{behind}")
        }
        7 => format!("{before}*{behind}"),
        8 => format!("{{other,{text},{head}?}}"),
        _ => format!("{head}{{{tail},x*}}"),
    }
}

fn any_labels(dice: &mut Dice) -> Labels {
    let mut labels = Labels::new();
    for key in LABEL_KEYS {
        if dice.percent(40) {
            labels.insert(key.into(), (*dice.pick(&LABEL_VALUES)).into());
        }
    }
    labels
}

/// A requirement that these labels fulfil.
fn requirement(dice: &mut Dice, labels: &Labels) -> String {
    let key = *dice.pick(&LABEL_KEYS);
    let other = *dice.pick(&LABEL_VALUES);
    match labels.get(key) {
        None => match dice.below(3) {
            0 => format!("!{key}"),
            1 => format!("{key}!={other}"),
            _ => format!("{key} notin ({other},web)"),
        },
        Some(value) => match dice.below(7) {
            0 => key.to_owned(),
            1 => format!("{key}={value}"),
            2 => format!("{key} == {value}"),
            3 => format!("{key} in ({other}, {value})"),
            4 if !value.is_empty() => format!("{key} in ({value})"),
            4 => format!("{key}="),
            5 if **value != *other => format!("{key} != {other}"),
            5 => format!("{key} notin (nothing)"),
            _ => format!("{key} notin (nothing,more)"),
        },
    }
}
