//! Lists of pods, of which only what is needed is held, also while they are read.

use crate::object::{ListMetadata, PodObject};
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::sync::Arc;

/// On a pod that the API server shows for one that the kubelet has from a file: cgroups carry the hash of that file.
pub(crate) const MIRROR: &str = "kubernetes.io/config.mirror";

/// What is kept of lists: pods of one node, with the annotations that are asked for.
#[derive(Clone, Debug)]
pub struct Kept {
    node: Arc<str>,
    annotations: Arc<[Box<str>]>,
}

/// What was kept of a list.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PodList {
    pub(crate) metadata: ListMetadata,
    pub(crate) pods: Vec<PodObject>,
    /// Pods of other nodes.
    pub(crate) strangers: u64,
}

impl PodList {
    /// Takes the next page in.
    pub(crate) fn add(&mut self, page: Self) {
        self.metadata = page.metadata;
        self.strangers += page.strangers;
        if self.pods.is_empty() {
            self.pods = page.pods;
        } else {
            self.pods.extend(page.pods);
        }
    }

    /// The pods of the node.
    pub fn into_pods(self) -> Vec<PodObject> {
        self.pods
    }
}

impl Kept {
    pub(crate) fn new(node: &str, annotations: &[&str]) -> Self {
        Self { node: node.into(), annotations: annotations.iter().map(|&name| name.into()).collect() }
    }

    /// The node's name.
    pub(crate) fn node(&self) -> &str {
        &self.node
    }

    /// The annotations that are asked for.
    pub(crate) fn annotations(&self) -> &[Box<str>] {
        &self.annotations
    }

    /// Whether a pod is one of the node.
    pub(crate) fn is_ours(&self, pod: &PodObject) -> bool {
        *pod.spec.node_name == *self.node
    }

    /// Drops what nobody asks for.
    pub(crate) fn slim(&self, pod: &mut PodObject) {
        let kept = |name: &str| name == MIRROR || self.annotations.iter().any(|wanted| **wanted == *name);
        pod.metadata.annotations.retain(|name, _| kept(name));
        pod.metadata.resource_version = Box::default();
    }
}

impl<'de> DeserializeSeed<'de> for Kept {
    type Value = PodList;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<PodList, D::Error> {
        deserializer.deserialize_map(ListVisitor(self))
    }
}

struct ListVisitor(Kept);

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Field {
    Metadata,
    Items,
    #[serde(other)]
    Other,
}

impl<'de> Visitor<'de> for ListVisitor {
    type Value = PodList;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of pods")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<PodList, A::Error> {
        let mut list = PodList::default();
        while let Some(field) = map.next_key()? {
            match field {
                Field::Metadata => list.metadata = map.next_value()?,
                Field::Items => map.next_value_seed(Items { kept: &self.0, list: &mut list })?,
                Field::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(list)
    }
}

/// The pods of a list, on their way into it.
struct Items<'a> {
    kept: &'a Kept,
    list: &'a mut PodList,
}

impl<'de> DeserializeSeed<'de> for Items<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Items<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("pods")
    }

    /// Go writes an empty list as `null` in places.
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut pods: A) -> Result<(), A::Error> {
        while let Some(mut pod) = pods.next_element::<PodObject>()? {
            if self.kept.is_ours(&pod) {
                self.kept.slim(&mut pod);
                self.list.pods.push(pod);
            } else {
                self.list.strangers += 1;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<PodList, serde_json::Error> {
        Kept::new("n", &["kept"]).deserialize(&mut serde_json::Deserializer::from_str(text))
    }

    #[test]
    fn pods_of_other_nodes_and_annotations_that_nobody_asks_for_are_not_held() {
        let list = read(
            r#"{"kind": "PodList", "items": [
                {"metadata": {"name": "a", "annotations": {"kept": "1", "long": "2"}}, "spec": {"nodeName": "n"}},
                {"metadata": {"name": "b"}, "spec": {"nodeName": "m"}}, {"metadata": {"name": "c"}}
            ], "metadata": {"resourceVersion": "7", "continue": "x"}}"#,
        )
        .unwrap();
        assert_eq!((list.pods.len(), list.strangers), (1, 2));
        let kept: Vec<_> = list.pods[0].metadata.annotations.keys().map(|name| &**name).collect();
        assert_eq!(kept, ["kept"]);
        assert_eq!((&*list.metadata.resource_version, &*list.metadata.next), ("7", "x"));
    }

    #[test]
    fn an_empty_list_may_be_null_and_what_is_none_is_refused() {
        assert_eq!(read(r#"{"metadata": {}, "items": null}"#).unwrap(), PodList::default());
        assert_eq!(read("{}").unwrap(), PodList::default());
        for wrong in ["[]", r#"{"items": 1}"#, r#"{"items": [1]}"#, r#"{"items": ["#] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
