//! What is asked for, and of whom.

use crate::Access;
use std::sync::Arc;
use tokio::sync::Notify;

/// Who is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// The API server: one watch.
    Api,
    /// The node's kubelet.
    Kubelet,
}

/// What is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// Who is asked, …
    pub source: Source,
    /// … and how it is reached.
    pub access: Access,
    /// The node whose pods are asked for.
    pub node: String,
    /// Annotations that are kept.
    pub annotations: Vec<&'static str>,
}

/// What says that a pod was met which is not known, so that a source that does not watch asks again.
#[derive(Clone, Debug, Default)]
pub struct Bell(pub(crate) Arc<Notify>);

impl Bell {
    /// Says it. However often it is said, the source asks once a second at most.
    pub fn ring(&self) {
        self.0.notify_one();
    }
}
