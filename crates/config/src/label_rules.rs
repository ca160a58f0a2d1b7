//! Rules on labels: a mapping, a selector, or several of these.

use crate::LabelRule;
use crate::quote::quoted;
use crate::setting::{Place, Setting, Written, is_empty};
use crate::source::{Span, shown};
use crate::value::Fault;
use crate::yaml::{Entry, Node, ScalarKind, Value};

/// Rules on labels. Several of them stand in a list, or come from flags.
pub(crate) struct LabelRules<R>(pub(crate) Place<R, Vec<LabelRule>>);

/// What is right for one of them.
const ONE: &str = "a mapping of labels to values or a selector such as `app=web,tier in (a,b),!canary`";
/// A domain, a slash and a name: what the key of a label has at most.
const LONGEST_KEY: usize = 317;

impl<R> Setting<R> for LabelRules<R> {
    fn expected(&self) -> String {
        format!("{ONE}, or a list of these")
    }

    fn read(&self, node: &Node<'_>, root: &mut R) -> Result<(), Vec<Fault>> {
        let mut faults = Vec::new();
        let rules: Vec<LabelRule> = match &node.value {
            Value::List(nodes) => {
                let numbered = nodes.iter().enumerate().filter(|(_, node)| node.value != Value::Faulty);
                let read = |(index, node)| read_one(node, &format!("[{index}]"), &mut faults);
                numbered.filter_map(read).collect()
            }
            _ => read_one(node, "", &mut faults).into_iter().collect(),
        };
        if !faults.is_empty() {
            return Err(faults);
        }
        *(self.0.get_mut)(root) = rules;
        Ok(())
    }

    fn write(&self, root: &R) -> Written {
        match (self.0.get)(root).as_slice() {
            [] => Written::Absent,
            [only] => Written::Scalar(written(only)),
            several => Written::List(several.iter().map(written).collect()),
        }
    }

    fn is_absent(&self, node: &Node<'_>) -> bool {
        let blank =
            |node: &Node<'_>| matches!(&node.value, Value::Scalar(scalar) if scalar.text.trim().is_empty());
        is_empty(node) || blank(node)
    }

    /// A mapping is one rule, however many labels it has.
    fn entries(&self, node: &Node<'_>) -> Vec<Span> {
        match &node.value {
            Value::List(nodes) => nodes.iter().map(|node| node.span).collect(),
            _ => vec![node.span],
        }
    }
}

fn read_one(node: &Node<'_>, part: &str, faults: &mut Vec<Fault>) -> Option<LabelRule> {
    let mut fault = |fault: Fault| faults.push(Fault { part: format!("{part}{}", fault.part), ..fault });
    match &node.value {
        Value::Map(entries) if !entries.is_empty() => {
            let labels: Vec<_> = entries.iter().filter_map(|entry| read_label(entry, &mut fault)).collect();
            Some(LabelRule::Map(labels))
        }
        Value::Scalar(scalar) if scalar.kind() == ScalarKind::Text && !scalar.text.trim().is_empty() => {
            Some(LabelRule::Selector(scalar.text.clone().into_owned()))
        }
        _ => {
            fault(Fault::wrong(node, ONE, None));
            None
        }
    }
}

fn read_label(entry: &Entry<'_>, fault: &mut impl FnMut(Fault)) -> Option<(String, String)> {
    if entry.key.is_empty() || entry.key.len() > LONGEST_KEY {
        fault(Fault::new(entry.key_span, format!("has a label that is not 1 to {LONGEST_KEY} bytes long")));
        return None;
    }
    match &entry.value.value {
        // A label may have the empty value.
        Value::Scalar(scalar) if scalar.kind() == ScalarKind::Text => {
            Some((entry.key.clone().into_owned(), scalar.text.clone().into_owned()))
        }
        Value::Faulty => None,
        value => {
            let help = match value {
                Value::Scalar(scalar) => format!("write it between quotes: {}", quoted(&shown(&scalar.text))),
                _ => "several values take a selector: `tier in (a,b)`".to_owned(),
            };
            let wrong = Fault::wrong(&entry.value, "the value of a label", Some(&help));
            fault(Fault { part: format!(".{}", shown(&entry.key)), ..wrong });
            None
        }
    }
}

/// In one line, so that it can stand anywhere.
fn written(rule: &LabelRule) -> String {
    match rule {
        LabelRule::Selector(selector) => quoted(selector),
        LabelRule::Map(labels) => {
            let labels = labels.iter().map(|(key, value)| format!("{}: {}", quoted(key), quoted(value)));
            format!("{{{}}}", labels.collect::<Vec<_>>().join(", "))
        }
    }
}
