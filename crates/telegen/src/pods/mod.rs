//! Which pods processes run in, by whatever there is to learn it from.

mod book;
mod environment;
mod kubernetes;
#[cfg(not(feature = "kubernetes"))]
mod without_kubernetes;

pub(crate) use book::PodBook;
pub(crate) use kubernetes::{Kubernetes, Look, Need, PATIENCE, PodsView, Prepared, described};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;
use telegen_k8s::Change;
use telegen_model::{Container, PodFacts, ProcessFacts};
use telegen_select::Selector;

/// Whether anybody but processes can be asked for pods.
pub(crate) const CAN_ASK: bool = cfg!(feature = "kubernetes");
/// Why not, where nobody can.
pub(crate) const BUILT_WITHOUT: &str =
    "this telegen was built without Kubernetes (its cargo feature `kubernetes`)";

/// What pods are known from.
pub(crate) enum PodSource {
    /// What processes say of their own: there is no other source.
    Environment,
    /// Kubernetes.
    Book(PodBook),
}

impl PodSource {
    /// The pod that a process runs in; `before` is what was known of it.
    pub(crate) fn of(&mut self, facts: &ProcessFacts, before: &PodFacts) -> PodFacts {
        match self {
            Self::Environment => environment::pod_of(facts, before),
            Self::Book(book) => book.pod_of(facts),
        }
    }

    /// The pod of a process that is looked at again, of which this was known.
    pub(crate) fn again(&mut self, facts: &ProcessFacts, known: Option<&ProcessFacts>) -> PodFacts {
        match self {
            Self::Environment => environment::pod_again(facts, known),
            Self::Book(book) => book.pod_of(facts),
        }
    }

    /// The pod of a container, as it holds for all its processes.
    pub(crate) fn of_container(&mut self, container: &Arc<Container>) -> PodFacts {
        match (self, &container.pod_uid) {
            (_, None) => PodFacts::InNone,
            // What only a process knows of its pod is not the container's.
            (Self::Environment, Some(_)) => PodFacts::Pending,
            (Self::Book(book), Some(_)) => book.pod_of_container(container),
        }
    }

    /// Takes in what the source has told; the uids of pods of which something else is known now.
    pub(crate) fn take(&mut self, changes: Vec<Change>, now: Instant) -> Vec<Box<str>> {
        match self {
            Self::Environment => Vec::new(),
            Self::Book(book) => book.take(changes, now),
        }
    }

    /// The uids of pods for which there is no more waiting.
    pub(crate) fn give_up(&mut self, now: Instant) -> Vec<Box<str>> {
        match self {
            Self::Environment => Vec::new(),
            Self::Book(book) => book.give_up(now),
        }
    }

    /// No pod is waited for that a source in sync does not know.
    pub(crate) fn expect_none(&mut self) {
        if let Self::Book(book) = self {
            book.expect_none();
        }
    }

    /// Forgets what was met and is not there any more.
    pub(crate) fn keep_met(&mut self, selector: &Selector) {
        if let Self::Book(book) = self {
            let mut met = HashSet::new();
            for (_, facts) in selector.in_pods(|_| true) {
                met.extend(facts.container.as_ref().and_then(|container| container.pod_uid.clone()));
            }
            book.keep_met(|uid| met.contains(uid));
        }
    }

    /// When something is to be given up.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        match self {
            Self::Environment => None,
            Self::Book(book) => book.next_deadline(),
        }
    }
}
