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
//! * Without the feature `client`, which brings HTTP and TLS, there are the words alone in which sources tell.

mod access;
#[cfg(feature = "client")]
mod api;
#[cfg(feature = "client")]
mod backoff;
#[cfg(feature = "client")]
mod client;
#[cfg(feature = "client")]
mod error;
mod known;
#[cfg(feature = "client")]
mod kubelet;
#[cfg(feature = "client")]
mod list;
#[cfg(feature = "client")]
mod object;
mod options;
#[cfg(feature = "client")]
mod owners;
#[cfg(feature = "client")]
mod read;
#[cfg(feature = "client")]
mod source;
mod status;
#[cfg(feature = "client")]
mod store;
#[cfg(feature = "client")]
mod watch;

pub use access::{Access, in_pod};
#[cfg(feature = "client")]
pub use error::Error;
pub use known::{Change, KnownPod};
#[cfg(feature = "client")]
pub use list::{Kept, PodList};
#[cfg(feature = "client")]
pub use object::{AnyObject, OwnerReference, PodObject, StatusObject, WatchEvent};
pub use options::{Bell, Options, Source};
#[cfg(feature = "client")]
pub use source::Pods;
pub use status::{Figures, Standing};
#[cfg(feature = "client")]
pub use store::{Owners, PodStore};
