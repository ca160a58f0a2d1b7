//! Kubernetes objects, as far as they are read: what is not named here is dropped while it is parsed.
//!
//! The fields are those of the published API, v1 `Pod` and meta/v1 `ObjectMeta`.

use serde::Deserialize;
use std::collections::BTreeMap;

/// A pod.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PodObject {
    pub(crate) metadata: Metadata,
    pub(crate) spec: PodSpec,
    pub(crate) status: PodStatus,
}

/// What every object has.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Metadata {
    pub(crate) name: Box<str>,
    pub(crate) namespace: Box<str>,
    pub(crate) uid: Box<str>,
    pub(crate) resource_version: Box<str>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) labels: BTreeMap<Box<str>, Box<str>>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) annotations: BTreeMap<Box<str>, Box<str>>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) owner_references: Vec<OwnerReference>,
}

/// Who has made an object.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct OwnerReference {
    /// Group and version, such as `apps/v1`.
    pub api_version: Box<str>,
    /// Its kind.
    pub kind: Box<str>,
    /// Its name, in the namespace of what it owns.
    pub name: Box<str>,
    /// Its uid.
    pub uid: Box<str>,
    /// Whether it is the one that manages the object.
    pub controller: bool,
}

#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct PodSpec {
    pub(crate) node_name: Box<str>,
}

#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct PodStatus {
    #[serde(deserialize_with = "nullable")]
    pub(crate) container_statuses: Vec<ContainerStatus>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) init_container_statuses: Vec<ContainerStatus>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) ephemeral_container_statuses: Vec<ContainerStatus>,
}

#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ContainerStatus {
    pub(crate) name: Box<str>,
    /// `<runtime>://<id>`; empty before there is one.
    #[serde(rename = "containerID")]
    pub(crate) container_id: Box<str>,
}

#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ListMetadata {
    pub(crate) resource_version: Box<str>,
    #[serde(rename = "continue")]
    pub(crate) next: Box<str>,
}

/// Any object of which only the metadata is read.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct AnyObject {
    pub(crate) metadata: Metadata,
}

/// What a server answers where it does not do what it is asked: meta/v1 `Status`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct StatusObject {
    pub(crate) message: Box<str>,
    pub(crate) reason: Box<str>,
    pub(crate) code: u16,
}

/// One line of a watch.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(tag = "type", content = "object", rename_all = "UPPERCASE")]
pub enum WatchEvent {
    /// A pod is new, or is selected from now on.
    Added(Box<PodObject>),
    /// A pod has changed.
    Modified(Box<PodObject>),
    /// A pod is gone, or is selected no more.
    Deleted(Box<PodObject>),
    /// Nothing has happened up to a version.
    Bookmark(AnyObject),
    /// The watch has ended.
    Error(StatusObject),
}

impl Metadata {
    /// The owner that manages the object.
    pub(crate) fn controller(&self) -> Option<&OwnerReference> {
        self.owner_references.iter().find(|owner| owner.controller)
    }
}

/// Go writes an empty list or map as `null` in places.
fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
