//! A type and a field together: a setting.

use crate::check::Checker;
use crate::source::{Span, shown};
use crate::value::{Fault, Text, Type};
use crate::yaml::{Entry, Node, Value};
use std::collections::BTreeMap;

/// Reads and writes one field of an `R`, which is all that a table of keys describes.
pub(crate) trait Setting<R>: Sync {
    /// What is right, such as "an integer from 1 to 10000".
    fn expected(&self) -> String;

    /// Reads a value into its field; if some of it is wrong, the field is left alone.
    fn read(&self, node: &Node<'_>, root: &mut R) -> Result<(), Vec<Fault>>;

    /// Reads the value of an entry, whose path is `path`, into its field.
    fn read_entry(
        &self,
        _: &mut Checker<'_, '_>,
        _path: &str,
        entry: &Entry<'_>,
        root: &mut R,
    ) -> Result<(), Vec<Fault>> {
        self.read(&entry.value, root)
    }

    /// The field's value as YAML.
    fn write(&self, root: &R) -> Written;

    /// Whether this build has what is set here.
    fn is_built(&self) -> bool {
        true
    }

    /// Whether a value, such as an empty list, means that the key is not there.
    fn is_absent(&self, _: &Node<'_>) -> bool {
        false
    }

    /// Where the entries of a value stand that has some.
    fn entries(&self, node: &Node<'_>) -> Vec<Span> {
        match &node.value {
            Value::List(nodes) => nodes.iter().map(|node| node.span).collect(),
            Value::Map(entries) => entries.iter().map(|entry| entry.value.span).collect(),
            Value::Scalar(_) | Value::Faulty => Vec::new(),
        }
    }
}

/// A value as YAML.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Written {
    /// There is none.
    Absent,
    Scalar(String),
    /// At least one, each of one line or several.
    List(Vec<String>),
    /// At least one.
    Map(Vec<(String, String)>),
}

/// A field.
pub(crate) struct Place<R, T> {
    pub(crate) get: fn(&R) -> &T,
    pub(crate) get_mut: fn(&mut R) -> &mut T,
}

/// Whether a value is a list or a mapping without entries, or nothing at all.
pub(crate) fn is_empty(node: &Node<'_>) -> bool {
    match &node.value {
        Value::List(list) => list.is_empty(),
        Value::Map(entries) => entries.is_empty(),
        Value::Scalar(_) => node.is_null(),
        Value::Faulty => false,
    }
}

/// A value that is always there.
pub(crate) struct Single<R, T: Type>(pub(crate) T, pub(crate) Place<R, T::Value>);

/// A value that may be absent.
pub(crate) struct Optional<R, T: Type>(pub(crate) T, pub(crate) Place<R, Option<T::Value>>);

/// Any number of values.
pub(crate) struct ListOf<R, T: Type>(pub(crate) T, pub(crate) Place<R, Vec<T::Value>>);

/// Texts by name.
pub(crate) struct Labels<R>(pub(crate) Place<R, BTreeMap<String, String>>);

/// A value that is checked and then forgotten: it belongs to something that this build does not have, and that
/// may be described as long as it is switched off.
pub(crate) struct Checked<T: Type>(pub(crate) T);

impl<R, T: Type + Sync> Setting<R> for Single<R, T> {
    fn expected(&self) -> String {
        self.0.expected()
    }

    fn read(&self, node: &Node<'_>, root: &mut R) -> Result<(), Vec<Fault>> {
        *(self.1.get_mut)(root) = self.0.read(node).map_err(|fault| vec![fault])?;
        Ok(())
    }

    fn write(&self, root: &R) -> Written {
        Written::Scalar(self.0.write((self.1.get)(root)))
    }
}

impl<R, T: Type + Sync> Setting<R> for Optional<R, T> {
    fn expected(&self) -> String {
        self.0.expected()
    }

    fn read(&self, node: &Node<'_>, root: &mut R) -> Result<(), Vec<Fault>> {
        *(self.1.get_mut)(root) = Some(self.0.read(node).map_err(|fault| vec![fault])?);
        Ok(())
    }

    fn write(&self, root: &R) -> Written {
        (self.1.get)(root).as_ref().map_or(Written::Absent, |value| Written::Scalar(self.0.write(value)))
    }
}

impl<R, T: Type + Sync> Setting<R> for ListOf<R, T> {
    fn expected(&self) -> String {
        format!("a list, each entry {}", self.0.expected())
    }

    fn read(&self, node: &Node<'_>, root: &mut R) -> Result<(), Vec<Fault>> {
        let Value::List(nodes) = &node.value else {
            let brackets =
                matches!(node.value, Value::Scalar(_)).then_some("put it in brackets to make a list: `[…]`");
            return Err(vec![Fault::wrong(node, &self.expected(), brackets)]);
        };
        let (mut values, mut faults) = (Vec::new(), Vec::new());
        for (index, node) in nodes.iter().enumerate().filter(|(_, node)| node.value != Value::Faulty) {
            match self.0.read(node) {
                Ok(value) => values.push(value),
                Err(fault) => faults.push(Fault { part: format!("[{index}]"), ..fault }),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        *(self.1.get_mut)(root) = values;
        Ok(())
    }

    fn write(&self, root: &R) -> Written {
        match (self.1.get)(root).as_slice() {
            [] => Written::Absent,
            values => Written::List(values.iter().map(|value| self.0.write(value)).collect()),
        }
    }

    fn is_absent(&self, node: &Node<'_>) -> bool {
        is_empty(node)
    }
}

impl<R> Labels<R> {
    /// YAML allows no more than 1024 characters for a key without further ado; no label is named so.
    const LONGEST_NAME: usize = 128;
    const VALUE: Text = Text("a string");
}

impl<R> Setting<R> for Labels<R> {
    fn expected(&self) -> String {
        "a mapping of names to strings".into()
    }

    fn read(&self, node: &Node<'_>, root: &mut R) -> Result<(), Vec<Fault>> {
        let Value::Map(entries) = &node.value else {
            return Err(vec![Fault::wrong(node, &self.expected(), None)]);
        };
        let (mut labels, mut faults) = (BTreeMap::new(), Vec::new());
        for entry in entries.iter().filter(|entry| entry.value.value != Value::Faulty) {
            if entry.key.is_empty() || entry.key.chars().count() > Self::LONGEST_NAME {
                let what = format!("has a name that is not 1 to {} characters long", Self::LONGEST_NAME);
                faults.push(Fault::new(entry.key_span, what));
            }
            match Self::VALUE.read(&entry.value) {
                Ok(value) => drop(labels.insert(entry.key.clone().into_owned(), value)),
                Err(fault) => faults.push(Fault { part: format!(".{}", shown(&entry.key)), ..fault }),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        *(self.0.get_mut)(root) = labels;
        Ok(())
    }

    fn write(&self, root: &R) -> Written {
        let labels = (self.0.get)(root);
        if labels.is_empty() {
            return Written::Absent;
        }
        let write = |text| Self::VALUE.write(text);
        Written::Map(labels.iter().map(|(name, value)| (write(name), write(value))).collect())
    }

    fn is_absent(&self, node: &Node<'_>) -> bool {
        is_empty(node)
    }
}

impl<R, T: Type + Sync> Setting<R> for Checked<T> {
    fn expected(&self) -> String {
        self.0.expected()
    }

    fn read(&self, node: &Node<'_>, _: &mut R) -> Result<(), Vec<Fault>> {
        self.0.read(node).map(drop).map_err(|fault| vec![fault])
    }

    fn write(&self, _: &R) -> Written {
        Written::Absent
    }

    fn is_built(&self) -> bool {
        false
    }
}
