//! The pods of this node as they are known: what a source has read goes in, what has changed comes out.

use crate::known::{Change, KnownPod};
use crate::list::{Kept, MIRROR};
use crate::object::PodObject;
use crate::owners::{Answer, Wanted, Workloads, may_have_owner, workload};
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use telegen_model::{ContainerId, Pod, PodDetails, Workload, WorkloadKind};

/// Pods that are held at most. A node has some hundred; the kubelet's own limit is 110 unless it is raised.
const MAX_PODS: usize = 16_384;
/// Whether owners of owners can be asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owners {
    /// A ReplicaSet stands for its Deployment once that has been asked for.
    Asked,
    /// What pods name is all there is: a ReplicaSet stands for itself.
    AsNamed,
}

/// The pods of one node.
#[derive(Debug)]
pub struct PodStore {
    kept: Kept,
    owners: Owners,
    /// By the uid that the object has.
    pods: HashMap<Box<str>, Held>,
    workloads: Workloads,
    refused: u64,
}

#[derive(Debug)]
struct Held {
    /// The uid of what manages it.
    owner: Option<Box<str>>,
    /// What was read of it, as long as its owner has to be asked for before it can be told: what was told has all that is needed.
    object: Option<Box<PodObject>>,
    /// What has been told of it.
    told: Option<Arc<KnownPod>>,
}

impl PodStore {
    /// Knows nothing yet of the pods of this node.
    pub fn new(node: &str, annotations: &[&str], owners: Owners) -> Self {
        Self {
            kept: Kept::new(node, annotations),
            owners,
            pods: HashMap::new(),
            workloads: Workloads::default(),
            refused: 0,
        }
    }

    /// What it keeps of lists.
    pub fn kept(&self) -> Kept {
        self.kept.clone()
    }

    /// How many pods are known.
    pub fn len(&self) -> usize {
        self.pods.len()
    }

    /// Whether no pod is known.
    pub fn is_empty(&self) -> bool {
        self.pods.is_empty()
    }

    /// How many there was no room for.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// These are the pods, and no others are.
    pub fn replace(&mut self, objects: Vec<PodObject>, out: &mut Vec<Change>) {
        let uids: HashSet<Box<str>> = objects
            .iter()
            .filter(|object| self.kept.is_ours(object))
            .map(|object| object.metadata.uid.clone())
            .collect();
        let gone: Vec<Box<str>> = self.pods.keys().filter(|uid| !uids.contains(*uid)).cloned().collect();
        for uid in gone {
            self.remove(&uid, out);
        }
        for object in objects {
            self.put(object, out);
        }
        self.forget_workloads();
    }

    /// A pod is new, or has changed.
    pub fn put(&mut self, mut object: PodObject, out: &mut Vec<Change>) {
        let uid = object.metadata.uid.clone();
        if !self.kept.is_ours(&object) || uid.is_empty() {
            // A server that does not select, or a pod that has not been bound yet.
            self.remove(&uid, out);
            return;
        }
        self.kept.slim(&mut object);
        let owner = object.metadata.controller().map(|owner| owner.uid.clone());
        let full = self.pods.len() >= MAX_PODS;
        match self.pods.entry(uid.clone()) {
            Entry::Occupied(mut held) => {
                let held = held.get_mut();
                (held.owner, held.object) = (owner, Some(Box::new(object)));
            }
            Entry::Vacant(_) if full => {
                self.refused += 1;
                return;
            }
            Entry::Vacant(place) => {
                place.insert(Held { owner, object: Some(Box::new(object)), told: None });
            }
        }
        self.tell(&uid, out);
    }

    /// A pod is no more.
    pub fn delete(&mut self, object: &PodObject, out: &mut Vec<Change>) {
        self.remove(&object.metadata.uid, out);
        self.forget_workloads();
    }

    /// Owners that are to be asked for, each once.
    pub(crate) fn take_wanted(&mut self) -> Vec<Wanted> {
        self.workloads.take_wanted()
    }

    /// So many at most of the owners that may not be asked for, to try whether that is still so.
    pub(crate) fn withheld(&mut self, most: usize) -> Vec<Wanted> {
        self.workloads.withheld(most)
    }

    /// An owner was asked for; whether it might not be asked for before, and may be now.
    pub(crate) fn resolve(&mut self, wanted: Wanted, answer: Answer, out: &mut Vec<Change>) -> bool {
        let granted = answer != Answer::Withheld && self.workloads.is_withheld(&wanted);
        let uid = wanted.owner.uid.clone();
        let again = granted.then(|| wanted.clone());
        let top = self.workloads.answered(wanted, answer);
        if let Some(again) = again {
            self.workloads.want_again(&again);
        }
        let of_owner = |held: &Held| held.owner.as_ref() == Some(&uid);
        let pods: Vec<Box<str>> =
            self.pods.iter().filter(|(_, held)| of_owner(held)).map(|(uid, _)| uid.clone()).collect();
        for pod in pods {
            self.tell(&pod, out);
            self.tell_workload(&pod, &top, out);
        }
        self.forget_workloads();
        granted
    }

    /// An owner could not be asked for: it still is to be.
    pub(crate) fn postpone(&mut self, wanted: Wanted) {
        self.workloads.postpone(wanted);
    }

    fn remove(&mut self, uid: &str, out: &mut Vec<Change>) {
        if let Some(told) = self.pods.remove(uid).and_then(|held| held.told) {
            out.push(Change::Gone(told.pod.uid.clone()));
        }
    }

    /// Tells of a pod if something about it is new and all is known.
    fn tell(&mut self, uid: &str, out: &mut Vec<Change>) {
        let Some(object) = self.pods.get(uid).and_then(|held| held.object.as_deref()) else { return };
        let metadata = &object.metadata;
        let top = match metadata.controller() {
            // The kubelet's own pods are managed by their node.
            None => None,
            Some(owner) if &*owner.kind == "Node" => None,
            Some(owner) if self.owners == Owners::Asked && may_have_owner(owner) => {
                let Some(workload) = self.workloads.of(&metadata.namespace, owner) else { return };
                Some(workload)
            }
            Some(owner) => Some(workload(owner)),
        };
        let workload =
            top.unwrap_or_else(|| Workload { kind: WorkloadKind::Pod, name: metadata.name.clone() });
        let known = known(object, workload, self.kept.annotations());
        let Some(held) = self.pods.get_mut(uid) else { return };
        held.object = None;
        match &held.told {
            Some(told) if **told == known => {}
            told => {
                // One that has come to be another by its uid, as control groups carry it.
                if let Some(told) = told.as_ref().filter(|told| told.pod.uid != known.pod.uid) {
                    out.push(Change::Gone(told.pod.uid.clone()));
                }
                let known = Arc::new(known);
                held.told = Some(known.clone());
                out.push(Change::Here(known));
            }
        }
    }

    /// Tells of a pod that has been told of that it is there for something else than was thought.
    fn tell_workload(&mut self, uid: &str, workload: &Workload, out: &mut Vec<Change>) {
        let Some(told) = self.pods.get_mut(uid).and_then(|held| held.told.as_mut()) else { return };
        let Some(details) = told.pod.details.as_ref().filter(|details| details.workload != *workload) else {
            return;
        };
        let details = PodDetails { workload: workload.clone(), ..details.clone() };
        let pod = Arc::new(Pod { details: Some(details), ..(*told.pod).clone() });
        *told = Arc::new(KnownPod { pod, containers: told.containers.clone() });
        out.push(Change::Here(told.clone()));
    }

    /// Forgets owners that no pod names any more, once they are many.
    fn forget_workloads(&mut self) {
        if self.workloads.len() > 2 * self.pods.len() + 16 {
            let named: HashSet<&str> = self.pods.values().filter_map(|held| held.owner.as_deref()).collect();
            self.workloads.keep(&named);
        }
    }
}

fn known(object: &PodObject, workload: Workload, annotations: &[Box<str>]) -> KnownPod {
    let metadata = &object.metadata;
    let uid = match metadata.annotations.get(MIRROR) {
        Some(hash) if !hash.is_empty() => hash.clone(),
        _ => metadata.uid.clone(),
    };
    let details = PodDetails {
        node: object.spec.node_name.clone(),
        labels: metadata.labels.clone(),
        annotations: annotations
            .iter()
            .filter_map(|name| Some((name.clone(), metadata.annotations.get(name)?.clone())))
            .collect(),
        workload,
    };
    let status = &object.status;
    let containers =
        [&status.init_container_statuses, &status.container_statuses, &status.ephemeral_container_statuses];
    let container = |container: &crate::object::ContainerStatus| {
        let (_, id) = container.container_id.split_once("://")?;
        Some((ContainerId::new(id)?, Arc::from(&*container.name)))
    };
    KnownPod {
        pod: Arc::new(Pod {
            uid,
            namespace: Some(metadata.namespace.clone()),
            name: Some(metadata.name.clone()),
            details: Some(details),
        }),
        containers: containers.into_iter().flatten().filter_map(container).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::OwnerReference;

    fn pod(name: &str, kind: &str, owner: &str) -> PodObject {
        let version = if kind == "Job" { "batch/v1" } else { "apps/v1" };
        serde_json::from_value(serde_json::json!({
            "metadata": {"name": name, "namespace": "shop", "uid": name, "ownerReferences": [
                {"apiVersion": version, "kind": kind, "name": owner, "uid": owner, "controller": true},
            ]},
            "spec": {"nodeName": "n"},
        }))
        .unwrap()
    }

    fn manager(kind: &str, name: &str) -> Answer {
        Answer::Manager(OwnerReference { kind: kind.into(), name: name.into(), ..OwnerReference::default() })
    }

    fn told(changes: &[Change]) -> Vec<(String, String)> {
        let told = |change: &Change| match change {
            Change::Here(known) => {
                let workload = &known.pod.details.as_ref().unwrap().workload;
                (known.pod.uid.to_string(), format!("{} {}", workload.kind, workload.name))
            }
            other => panic!("{other:?}"),
        };
        let mut told: Vec<_> = changes.iter().map(told).collect();
        told.sort();
        told
    }

    #[test]
    fn pods_wait_for_the_owner_of_their_owner_which_is_asked_for_once() {
        let mut store = PodStore::new("n", &[], Owners::Asked);
        let mut out = Vec::new();
        store.replace(vec![pod("a", "ReplicaSet", "web-1"), pod("b", "ReplicaSet", "web-1")], &mut out);
        assert_eq!(out, []);
        let mut wanted = store.take_wanted();
        assert_eq!(wanted.len(), 1);
        assert_eq!((&*wanted[0].namespace, &*wanted[0].owner.name), ("shop", "web-1"));
        store.put(pod("c", "ReplicaSet", "web-1"), &mut out);
        assert!(store.take_wanted().is_empty() && out.is_empty());
        store.resolve(wanted.remove(0), manager("Deployment", "web"), &mut out);
        let web = |uid: &str| (uid.to_owned(), "Deployment web".to_owned());
        assert_eq!(told(&out), [web("a"), web("b"), web("c")]);
        out.clear();
        store.put(pod("d", "ReplicaSet", "web-1"), &mut out);
        assert_eq!(told(&out), [web("d")]);
        assert!(store.take_wanted().is_empty());
    }

    #[test]
    fn an_owner_that_nobody_owns_stands_for_itself() {
        let mut store = PodStore::new("n", &[], Owners::Asked);
        let mut out = Vec::new();
        store.put(pod("a", "Job", "once"), &mut out);
        let wanted = store.take_wanted().remove(0);
        store.postpone(wanted);
        let wanted = store.take_wanted().remove(0);
        store.resolve(wanted, Answer::Nobody, &mut out);
        assert_eq!(told(&out), [("a".into(), "Job once".into())]);
    }

    #[test]
    fn an_owner_that_may_not_be_asked_for_stands_for_itself_until_it_may() {
        let mut store = PodStore::new("n", &[], Owners::Asked);
        let mut out = Vec::new();
        for (pod_name, owner) in [("a", "web-1"), ("b", "web-2")] {
            store.put(pod(pod_name, "ReplicaSet", owner), &mut out);
        }
        for wanted in store.take_wanted() {
            assert!(!store.resolve(wanted, Answer::Withheld, &mut out));
        }
        let told_of = |uid: &str, workload: &str| (uid.to_owned(), workload.to_owned());
        assert_eq!(told(&out), [told_of("a", "ReplicaSet web-1"), told_of("b", "ReplicaSet web-2")]);
        out.clear();
        let tried = store.withheld(9).remove(0);
        assert!(!store.resolve(tried.clone(), Answer::Withheld, &mut out) && out.is_empty());
        assert!(store.resolve(tried, manager("Deployment", "web"), &mut out));
        for wanted in store.take_wanted() {
            assert!(!store.resolve(wanted, manager("Deployment", "web"), &mut out));
        }
        assert_eq!(told(&out), [told_of("a", "Deployment web"), told_of("b", "Deployment web")]);
        out.clear();
        store.put(pod("a", "ReplicaSet", "web-1"), &mut out);
        assert!(out.is_empty() && store.withheld(9).is_empty());
    }

    #[test]
    fn owners_are_forgotten_with_their_pods() {
        let mut store = PodStore::new("n", &[], Owners::Asked);
        let mut out = Vec::new();
        for number in 0..1_000 {
            let one = pod(&format!("p{number}"), "Job", &format!("j{number}"));
            store.put(one.clone(), &mut out);
            for wanted in store.take_wanted() {
                store.resolve(wanted, manager("CronJob", "nightly"), &mut out);
            }
            store.delete(&one, &mut out);
        }
        assert!(store.workloads.len() < 40, "{}", store.workloads.len());
        assert!(store.is_empty());
    }

    #[test]
    fn there_is_an_end_of_pods() {
        let mut store = PodStore::new("n", &[], Owners::AsNamed);
        let mut out = Vec::new();
        for number in 0..MAX_PODS + 3 {
            store.put(pod(&number.to_string(), "StatefulSet", "db"), &mut out);
        }
        assert_eq!((store.len(), store.refused(), out.len()), (MAX_PODS, 3, MAX_PODS));
    }
}
