//! The pods of this node as they are known: what a source has read goes in, what has changed comes out.

use crate::object::{OwnerReference, PodObject};
use crate::status::Standing;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::mem;
use std::sync::Arc;
use telegen_model::{ContainerId, Pod, PodDetails, Workload, WorkloadKind};

/// Pods that are held at most. A node has some hundred; the kubelet's own limit is 110 unless it is raised.
const MAX_PODS: usize = 16_384;
/// On a pod that the API server shows for one that the kubelet has from a file: cgroups carry the hash of that file.
const MIRROR: &str = "kubernetes.io/config.mirror";

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

/// An owner that is not known yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Wanted {
    pub(crate) namespace: Box<str>,
    pub(crate) owner: OwnerReference,
}

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
    node: Box<str>,
    /// Annotations that are kept.
    annotations: Vec<Box<str>>,
    owners: Owners,
    /// By the uid that the object has.
    pods: HashMap<Box<str>, Held>,
    /// By the uid of the ReplicaSet or Job.
    workloads: HashMap<Box<str>, Resolved>,
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

#[derive(Debug)]
enum Resolved {
    Wanted(Wanted),
    Asked,
    Known(Workload),
}

impl PodStore {
    /// Knows nothing yet of the pods of this node.
    pub fn new(node: &str, annotations: &[&str], owners: Owners) -> Self {
        Self {
            node: node.into(),
            annotations: annotations.iter().map(|&name| name.into()).collect(),
            owners,
            pods: HashMap::new(),
            workloads: HashMap::new(),
            refused: 0,
        }
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
            .filter(|object| object.spec.node_name == self.node)
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
        if object.spec.node_name != self.node || uid.is_empty() {
            // A server that does not select, or a pod that has not been bound yet.
            self.remove(&uid, out);
            return;
        }
        let kept = |name: &str| name == MIRROR || self.annotations.iter().any(|wanted| **wanted == *name);
        object.metadata.annotations.retain(|name, _| kept(name));
        object.metadata.resource_version = Box::default();
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
        let mut wanted = Vec::new();
        for resolved in self.workloads.values_mut() {
            if matches!(resolved, Resolved::Wanted(_))
                && let Resolved::Wanted(one) = mem::replace(resolved, Resolved::Asked)
            {
                wanted.push(one);
            }
        }
        wanted
    }

    /// An owner has been asked for, and what manages it is this; nothing, if it is there for itself.
    pub(crate) fn resolve(&mut self, wanted: Wanted, manager: Option<OwnerReference>, out: &mut Vec<Change>) {
        let uid = wanted.owner.uid.clone();
        let top = manager.unwrap_or(wanted.owner);
        self.workloads.insert(uid.clone(), Resolved::Known(workload(&top)));
        let of_owner = |held: &Held| held.owner.as_ref() == Some(&uid);
        let pods: Vec<Box<str>> =
            self.pods.iter().filter(|(_, held)| of_owner(held)).map(|(uid, _)| uid.clone()).collect();
        for pod in pods {
            self.tell(&pod, out);
        }
        self.forget_workloads();
    }

    /// An owner could not be asked for: it still is to be.
    pub(crate) fn postpone(&mut self, wanted: Wanted) {
        self.workloads.insert(wanted.owner.uid.clone(), Resolved::Wanted(wanted));
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
                let wanted = || Wanted { namespace: metadata.namespace.clone(), owner: owner.clone() };
                match self.workloads.entry(owner.uid.clone()).or_insert_with(|| Resolved::Wanted(wanted())) {
                    Resolved::Known(workload) => Some(workload.clone()),
                    Resolved::Wanted(_) | Resolved::Asked => return,
                }
            }
            Some(owner) => Some(workload(owner)),
        };
        let workload =
            top.unwrap_or_else(|| Workload { kind: WorkloadKind::Pod, name: metadata.name.clone() });
        let known = known(object, workload, &self.annotations);
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

    /// Forgets owners that no pod names any more, once they are many.
    fn forget_workloads(&mut self) {
        if self.workloads.len() > 2 * self.pods.len() + 16 {
            let named: HashSet<&str> = self.pods.values().filter_map(|held| held.owner.as_deref()).collect();
            // One that is being asked for would be asked for again.
            self.workloads
                .retain(|uid, resolved| matches!(resolved, Resolved::Asked) || named.contains(&**uid));
        }
    }
}

/// Whether something that owns pods is owned by something else in turn: what Kubernetes' own controllers make.
fn may_have_owner(owner: &OwnerReference) -> bool {
    match &*owner.kind {
        "ReplicaSet" => owner.api_version.starts_with("apps/"),
        "Job" => owner.api_version.starts_with("batch/"),
        _ => false,
    }
}

fn workload(owner: &OwnerReference) -> Workload {
    Workload { kind: WorkloadKind::new(&owner.kind), name: owner.name.clone() }
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

    fn manager(kind: &str, name: &str) -> Option<OwnerReference> {
        Some(OwnerReference { kind: kind.into(), name: name.into(), ..OwnerReference::default() })
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
        store.resolve(wanted, None, &mut out);
        assert_eq!(told(&out), [("a".into(), "Job once".into())]);
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
