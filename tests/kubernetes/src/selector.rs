//! Field and label selectors, as lists and watches take them.

use crate::resource::Resource;
use crate::status::Status;
use serde_json::Value;

/// What an object must be like to be listed or watched.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selector {
    fields: Vec<FieldTerm>,
    labels: Vec<LabelTerm>,
}

#[derive(Clone, Debug)]
struct FieldTerm {
    field: String,
    equal: bool,
    value: String,
}

#[derive(Clone, Debug, PartialEq)]
struct LabelTerm {
    key: String,
    demand: Demand,
}

#[derive(Clone, Debug, PartialEq)]
enum Demand {
    Exists,
    Absent,
    In(Vec<String>),
    NotIn(Vec<String>),
    GreaterThan(i64),
    LessThan(i64),
}

impl Selector {
    pub(crate) fn parse(resource: &Resource, fields: &str, labels: &str) -> Result<Self, Status> {
        Ok(Self { fields: parse_fields(resource, fields)?, labels: parse_labels(labels)? })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.labels.is_empty()
    }

    pub(crate) fn matches(&self, object: &Value) -> bool {
        self.fields.iter().all(|term| (field(object, &term.field) == term.value) == term.equal)
            && self.labels.iter().all(|term| term.matches(object))
    }
}

impl LabelTerm {
    fn matches(&self, object: &Value) -> bool {
        let value = object["metadata"]["labels"].get(&self.key).and_then(Value::as_str);
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        match &self.demand {
            Demand::Exists => value.is_some(),
            Demand::Absent => value.is_none(),
            Demand::In(values) => value.is_some_and(|value| values.iter().any(|one| one == value)),
            Demand::NotIn(values) => !value.is_some_and(|value| values.iter().any(|one| one == value)),
            Demand::GreaterThan(bound) => number().is_some_and(|number| number > *bound),
            Demand::LessThan(bound) => number().is_some_and(|number| number < *bound),
        }
    }
}

/// The name that an object must have, if the terms leave only one.
pub(crate) fn exact_name(fields: &str) -> Option<String> {
    split_terms(fields).ok()?.into_iter().find_map(|term| {
        let (field, equal, value) = split_term(&term)?;
        (field == "metadata.name" && equal && !value.is_empty()).then_some(value)
    })
}

fn field(object: &Value, path: &str) -> String {
    if path == "spec.hostNetwork" {
        return (object["spec"]["hostNetwork"] == Value::Bool(true)).to_string();
    }
    if path == "status.podIPs" {
        let addresses = object["status"]["podIPs"].as_array().map(Vec::as_slice).unwrap_or_default();
        return addresses.iter().filter_map(|address| address["ip"].as_str()).collect::<Vec<_>>().join(",");
    }
    match path.split('.').fold(object, |value, part| &value[part]) {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        plain => plain.to_string(),
    }
}

fn parse_fields(resource: &Resource, text: &str) -> Result<Vec<FieldTerm>, Status> {
    let mut terms = Vec::new();
    for term in split_terms(text)? {
        let invalid =
            || Status::bad_request(format!("invalid selector: '{text}'; can't understand '{term}'"));
        let (field, equal, value) = split_term(&term).ok_or_else(invalid)?;
        let field = match field.as_str() {
            "spec.host" if resource.group.is_empty() && resource.plural == "pods" => {
                "spec.nodeName".to_owned()
            }
            _ => field,
        };
        let known = field == "metadata.name"
            || field == "metadata.namespace" && resource.namespaced
            || resource.selectable_fields().contains(&field.as_str());
        if !known {
            let message = match resource.group.as_str() {
                "" => format!("field label not supported: {field}"),
                "batch" => format!("field label {field:?} not supported for {}", resource.kind),
                _ => format!(
                    "{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
                ),
            };
            return Err(Status::bad_request(message));
        }
        terms.push(FieldTerm { field, equal, value });
    }
    Ok(terms)
}

/// Terms are divided by commas; a backslash takes the meaning from the next character.
fn split_terms(text: &str) -> Result<Vec<String>, Status> {
    let mut terms = vec![String::new()];
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let term = terms.last_mut().expect("never empty");
        match character {
            '\\' => {
                term.push('\\');
                term.extend(characters.next());
            }
            ',' => terms.push(String::new()),
            other => term.push(other),
        }
    }
    Ok(terms.into_iter().filter(|term| !term.is_empty()).collect())
}

fn split_term(term: &str) -> Option<(String, bool, String)> {
    let start = term.find(['=', '!'])?;
    let (field, rest) = term.split_at(start);
    let (equal, value) = if let Some(value) = rest.strip_prefix("!=") {
        (false, value)
    } else if let Some(value) = rest.strip_prefix("==") {
        (true, value)
    } else {
        (true, rest.strip_prefix('=')?)
    };
    let mut plain = String::new();
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => plain.push(characters.next().filter(|next| matches!(next, '\\' | ',' | '='))?),
            ',' | '=' => return None,
            other => plain.push(other),
        }
    }
    Some((field.to_owned(), equal, plain))
}

fn parse_labels(text: &str) -> Result<Vec<LabelTerm>, Status> {
    let mut terms = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let end = end_of_term(rest);
        let term = rest[..end].trim();
        terms.push(parse_label(term)?);
        rest = rest[end..].trim_start();
        if let Some(next) = rest.strip_prefix(',') {
            rest = next.trim_start();
            if rest.is_empty() {
                return Err(unparsable("found '', expected: identifier after ','"));
            }
        }
    }
    Ok(terms)
}

/// A comma ends a term unless it is between parentheses.
fn end_of_term(text: &str) -> usize {
    let mut depth = 0_u32;
    for (place, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => return place,
            _ => {}
        }
    }
    text.len()
}

fn parse_label(term: &str) -> Result<LabelTerm, Status> {
    let (key, demand) = if let Some(key) = term.strip_prefix('!') {
        (key.trim(), Demand::Absent)
    } else if let Some((key, value)) = term.split_once("!=") {
        (key.trim(), Demand::NotIn(vec![value.trim().to_owned()]))
    } else if let Some((key, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        (key.trim(), Demand::In(vec![value.trim().to_owned()]))
    } else if let Some((key, bound)) = term.split_once('>') {
        (key.trim(), Demand::GreaterThan(number(bound)?))
    } else if let Some((key, bound)) = term.split_once('<') {
        (key.trim(), Demand::LessThan(number(bound)?))
    } else if let Some((words, values)) = term.split_once('(') {
        let values = values.strip_suffix(')').ok_or_else(|| unparsable("found '', expected: ',' or ')'"))?;
        let values = values.split(',').map(|value| value.trim().to_owned()).collect();
        match words.split_whitespace().collect::<Vec<_>>().as_slice() {
            [key, "in"] => (*key, Demand::In(values)),
            [key, "notin"] => (*key, Demand::NotIn(values)),
            _ => return Err(unparsable("found '(', expected: in, notin, =, ==, !=, gt, lt")),
        }
    } else {
        (term, Demand::Exists)
    };
    let letters = |character: char| character.is_ascii_alphanumeric() || "-_./".contains(character);
    if key.is_empty() || !key.chars().all(letters) {
        return Err(unparsable(&format!(
            "<nil>: Invalid value: {key:?}: name part must consist of alphanumeric \
             characters, '-', '_' or '.', and must start and end with an alphanumeric character"
        )));
    }
    Ok(LabelTerm { key: key.to_owned(), demand })
}

fn number(text: &str) -> Result<i64, Status> {
    let text = text.trim();
    text.parse()
        .map_err(|_| unparsable(&format!("for 'Gt', 'Lt' operators, the value must be an integer: {text}")))
}

fn unparsable(why: &str) -> Status {
    Status::bad_request(format!("unable to parse requirement: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pods() -> Resource {
        Resource::all_built_in().into_iter().find(|resource| resource.plural == "pods").unwrap()
    }

    fn selects(fields: &str, labels: &str) -> bool {
        let pod = json!({
            "metadata": {"name": "p", "namespace": "n", "labels": {"app": "web", "tier": "front", "rank": "7"}},
            "spec": {"nodeName": "a"},
            "status": {"phase": "Running"},
        });
        Selector::parse(&pods(), fields, labels).unwrap().matches(&pod)
    }

    #[test]
    fn fields() {
        for yes in [
            "",
            "spec.nodeName=a",
            "spec.nodeName==a,metadata.name=p",
            "status.phase!=Failed",
            "spec.host=a",
            "spec.hostNetwork=false",
            "status.podIP=",
        ] {
            assert!(selects(yes, ""), "{yes}");
        }
        for no in ["spec.nodeName=b", "spec.nodeName=", "metadata.namespace!=n", "status.phase!=Running"] {
            assert!(!selects(no, ""), "{no}");
        }
        for bad in ["spec.nodename=x", "metadata.uid=1", "spec.nodeName", "metadata.name=a=b"] {
            assert!(Selector::parse(&pods(), bad, "").is_err(), "{bad}");
        }
        assert_eq!(exact_name("spec.nodeName=a,metadata.name=p").as_deref(), Some("p"));
        assert_eq!(exact_name("metadata.name!=p"), None);
    }

    #[test]
    fn labels() {
        for yes in [
            "app=web",
            "app==web,tier",
            "app in (web, api),tier notin (back)",
            "!gone",
            "gone!=x",
            "rank>6,rank<8",
            "gone notin (a)",
        ] {
            assert!(selects("", yes), "{yes}");
        }
        for no in ["app=api", "gone", "!app", "app notin (web)", "app!=web", "rank>7", "app>1"] {
            assert!(!selects("", no), "{no}");
        }
        for bad in ["app in web", "app in (web", "=x", "a b", "app>x", "app,"] {
            assert!(Selector::parse(&pods(), "", bad).is_err(), "{bad}");
        }
    }
}
