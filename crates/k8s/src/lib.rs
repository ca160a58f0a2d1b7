//! What Kubernetes knows of the pods of this node: from the API server, or from the node's kubelet.
//!
//! # Design constraints
//!
//! * Sources are asked for the pods of this node and nothing else, and everything but what telegen needs of a pod is dropped while it
//!   is read: one watch per agent, lists that the API server answers from its cache, owners by their metadata alone and once.
//! * [`PodStore`] does no I/O: what has been read goes in, what has changed comes out. It is the same for all sources.
//! * What is known stays known while a source cannot be reached. Whether it can be is part of what is told: [`Standing`].
//! * A pod is told of when all is known that decisions depend on, its topmost owner included: never with a part of it that
//!   would have to be taken back.
//! * Answers are untrusted in size: lines, bodies and the number of pods are bounded.

mod access;
mod api;
mod backoff;
mod error;
mod kubelet;
mod object;
mod read;
mod source;
mod status;
mod store;
mod watch;

pub use access::{Access, in_pod};
pub use error::Error;
pub use object::{AnyObject, OwnerReference, PodList, PodObject, StatusObject, WatchEvent};
pub use source::{Bell, Options, Pods, Source};
pub use status::{Figures, Standing};
pub use store::{Change, KnownPod, Owners, PodStore};
