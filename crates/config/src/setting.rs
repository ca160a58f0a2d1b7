//! A type and a field of [`Config`] together: a setting.

use crate::Config;
use crate::source::shown;
use crate::value::{Fault, Text, Type};
use crate::yaml::{Node, Value};
use std::collections::BTreeMap;

/// Reads and writes one field of [`Config`].
pub(crate) trait Setting: Sync {
    /// What is right, such as "an integer from 1 to 10000".
    fn expected(&self) -> String;

    /// Reads a value into its field; if some of it is wrong, the field is left alone.
    fn read(&self, node: &Node<'_>, config: &mut Config) -> Result<(), Vec<Fault>>;

    /// The field's value as YAML.
    fn write(&self, config: &Config) -> Written;

    /// Whether this build has what is set here.
    fn is_built(&self) -> bool {
        true
    }

    /// Whether nothing, or an empty list or mapping, means that the key is not there.
    fn may_be_empty(&self) -> bool {
        false
    }
}

/// A value as YAML.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Written {
    /// There is none.
    Absent,
    Scalar(String),
    /// At least one.
    List(Vec<String>),
    /// At least one.
    Map(Vec<(String, String)>),
}

/// A field of [`Config`].
pub(crate) struct Place<T> {
    pub(crate) get: fn(&Config) -> &T,
    pub(crate) get_mut: fn(&mut Config) -> &mut T,
}

/// A value that is always there.
pub(crate) struct Single<T: Type>(pub(crate) T, pub(crate) Place<T::Value>);

/// A value that may be absent.
pub(crate) struct Optional<T: Type>(pub(crate) T, pub(crate) Place<Option<T::Value>>);

/// Any number of values.
pub(crate) struct ListOf<T: Type>(pub(crate) T, pub(crate) Place<Vec<T::Value>>);

/// Texts by name.
pub(crate) struct Labels(pub(crate) Place<BTreeMap<String, String>>);

/// A value that is checked and then forgotten: it belongs to something that this build does not have, and that
/// may be described as long as it is switched off.
pub(crate) struct Checked<T: Type>(pub(crate) T);

impl<T: Type + Sync> Setting for Single<T> {
    fn expected(&self) -> String {
        self.0.expected()
    }

    fn read(&self, node: &Node<'_>, config: &mut Config) -> Result<(), Vec<Fault>> {
        *(self.1.get_mut)(config) = self.0.read(node).map_err(|fault| vec![fault])?;
        Ok(())
    }

    fn write(&self, config: &Config) -> Written {
        Written::Scalar(self.0.write((self.1.get)(config)))
    }
}

impl<T: Type + Sync> Setting for Optional<T> {
    fn expected(&self) -> String {
        self.0.expected()
    }

    fn read(&self, node: &Node<'_>, config: &mut Config) -> Result<(), Vec<Fault>> {
        *(self.1.get_mut)(config) = Some(self.0.read(node).map_err(|fault| vec![fault])?);
        Ok(())
    }

    fn write(&self, config: &Config) -> Written {
        (self.1.get)(config).as_ref().map_or(Written::Absent, |value| Written::Scalar(self.0.write(value)))
    }
}

impl<T: Type + Sync> Setting for ListOf<T> {
    fn expected(&self) -> String {
        format!("a list, each entry {}", self.0.expected())
    }

    fn read(&self, node: &Node<'_>, config: &mut Config) -> Result<(), Vec<Fault>> {
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
        *(self.1.get_mut)(config) = values;
        Ok(())
    }

    fn write(&self, config: &Config) -> Written {
        match (self.1.get)(config).as_slice() {
            [] => Written::Absent,
            values => Written::List(values.iter().map(|value| self.0.write(value)).collect()),
        }
    }

    fn may_be_empty(&self) -> bool {
        true
    }
}

impl Labels {
    /// YAML allows no more than 1024 characters for a key without further ado; no label is named so.
    const LONGEST_NAME: usize = 128;
    const VALUE: Text = Text("a string");
}

impl Setting for Labels {
    fn expected(&self) -> String {
        "a mapping of names to strings".into()
    }

    fn read(&self, node: &Node<'_>, config: &mut Config) -> Result<(), Vec<Fault>> {
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
        *(self.0.get_mut)(config) = labels;
        Ok(())
    }

    fn write(&self, config: &Config) -> Written {
        let labels = (self.0.get)(config);
        if labels.is_empty() {
            return Written::Absent;
        }
        let write = |text| Self::VALUE.write(text);
        Written::Map(labels.iter().map(|(name, value)| (write(name), write(value))).collect())
    }

    fn may_be_empty(&self) -> bool {
        true
    }
}

impl<T: Type + Sync> Setting for Checked<T> {
    fn expected(&self) -> String {
        self.0.expected()
    }

    fn read(&self, node: &Node<'_>, _: &mut Config) -> Result<(), Vec<Fault>> {
        self.0.read(node).map(drop).map_err(|fault| vec![fault])
    }

    fn write(&self, _: &Config) -> Written {
        Written::Absent
    }

    fn is_built(&self) -> bool {
        false
    }
}
