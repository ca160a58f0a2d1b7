//! What is told of pods.

use crate::Standing;
use std::sync::Arc;
use telegen_model::{ContainerId, Pod};

/// A pod of this node, with all that decisions depend on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KnownPod {
    /// What is known of it; its uid is the one that control groups carry.
    pub pod: Arc<Pod>,
    /// The names of its containers by their ids: initial and ephemeral ones too, and no sandbox.
    pub containers: Box<[(ContainerId, Arc<str>)]>,
}

impl KnownPod {
    /// The name of one of its containers.
    pub fn container(&self, id: &ContainerId) -> Option<&Arc<str>> {
        self.containers.iter().find(|(known, _)| known == id).map(|(_, name)| name)
    }
}

/// What is otherwise than it was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// A pod that is new, or is not what it was.
    Here(Arc<KnownPod>),
    /// The pod with this uid, as control groups carry it, is not on this node any more.
    Gone(Box<str>),
    /// The source stands otherwise.
    Standing(Standing),
}
