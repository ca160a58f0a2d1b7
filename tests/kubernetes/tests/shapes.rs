//! What shape a JSON text has: which keys, in which order, and of what types.

use serde_json::Value;
use std::collections::BTreeSet;

/// Each path in a value with the type at its end. Items of arrays are one, keys of maps are left out.
pub(crate) fn of(value: &Value) -> BTreeSet<String> {
    let mut shape = BTreeSet::new();
    walk("", value, &mut shape);
    shape
}

fn walk(path: &str, value: &Value, shape: &mut BTreeSet<String>) {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    shape.insert(format!("{path} {kind}"));
    match value {
        Value::Array(items) => items.iter().for_each(|item| walk(&format!("{path}[]"), item, shape)),
        Value::Object(object) => {
            let users = ["labels", "annotations", "fieldsV1"].iter().any(|map| path.ends_with(map));
            for (key, value) in object.iter().filter(|_| !users) {
                walk(&format!("{path}.{key}"), value, shape);
            }
        }
        _ => {}
    }
}

/// Holds one shape to another, both ways.
pub(crate) fn assert_same(what: &str, recorded: &Value, ours: &Value) {
    let (recorded, ours) = (of(recorded), of(ours));
    let missing: Vec<_> = recorded.difference(&ours).collect();
    let more: Vec<_> = ours.difference(&recorded).collect();
    assert!(missing.is_empty() && more.is_empty(), "{what}: missing {missing:?}, more {more:?}");
}

/// The keys of all objects in the order in which they stand in a text.
pub(crate) fn keys(text: &str) -> Vec<String> {
    let mut keys = Vec::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if character != '"' {
            continue;
        }
        let mut string = String::new();
        while let Some(character) = characters.next() {
            match character {
                '"' => break,
                '\\' => string.extend(['\\'].into_iter().chain(characters.next())),
                other => string.push(other),
            }
        }
        while characters.peek().is_some_and(|next| next.is_whitespace()) {
            characters.next();
        }
        if characters.peek() == Some(&':') {
            keys.push(string);
        }
    }
    keys
}
