//! What the owners of pods are owned by, as far as that has been asked for and answered.

use crate::object::OwnerReference;
use std::collections::{HashMap, HashSet};
use std::mem;
use telegen_model::{Workload, WorkloadKind};

/// An owner that is to be asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Wanted {
    pub(crate) namespace: Box<str>,
    pub(crate) owner: OwnerReference,
}

/// What manages an owner.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Answer {
    Manager(OwnerReference),
    /// Nothing does, or the owner is gone.
    Nobody,
    /// It may not be asked for.
    Withheld,
}

/// Owners, each of which is asked for once, and those that may not be asked for now and then again.
#[derive(Debug, Default)]
pub(crate) struct Workloads {
    /// By the uid of the ReplicaSet or Job.
    of: HashMap<Box<str>, Resolved>,
    /// How often those that are withheld were asked for again.
    rounds: u64,
}

#[derive(Debug)]
enum Resolved {
    Wanted(Wanted),
    Asked,
    Known(Workload),
    /// It stands for itself until it may be asked for; in which round that was last tried.
    Withheld(Wanted, u64),
}

impl Wanted {
    /// What the API calls its kind.
    pub(crate) fn resource(&self) -> &'static str {
        if &*self.owner.kind == "Job" { "jobs" } else { "replicasets" }
    }

    /// Who may ask for one may ask for all that have the same: permissions are given by namespace and kind.
    fn permission(&self) -> (&str, &'static str) {
        (&self.namespace, self.resource())
    }
}

impl Workloads {
    pub(crate) fn len(&self) -> usize {
        self.of.len()
    }

    /// What an owner stands for; `None`: it has to be asked for first.
    pub(crate) fn of(&mut self, namespace: &str, owner: &OwnerReference) -> Option<Workload> {
        let wanted = || Resolved::Wanted(Wanted { namespace: namespace.into(), owner: owner.clone() });
        match self.of.entry(owner.uid.clone()).or_insert_with(wanted) {
            Resolved::Known(workload) => Some(workload.clone()),
            Resolved::Withheld(wanted, _) => Some(workload(&wanted.owner)),
            Resolved::Wanted(_) | Resolved::Asked => None,
        }
    }

    /// Owners that are to be asked for, each once.
    pub(crate) fn take_wanted(&mut self) -> Vec<Wanted> {
        let mut taken = Vec::new();
        for resolved in self.of.values_mut() {
            if matches!(resolved, Resolved::Wanted(_))
                && let Resolved::Wanted(wanted) = mem::replace(resolved, Resolved::Asked)
            {
                taken.push(wanted);
            }
        }
        taken
    }

    /// An owner was asked for; what it stands for.
    pub(crate) fn answered(&mut self, wanted: Wanted, answer: Answer) -> Workload {
        let uid = wanted.owner.uid.clone();
        let (top, resolved) = match answer {
            Answer::Manager(manager) => (workload(&manager), None),
            Answer::Nobody => (workload(&wanted.owner), None),
            Answer::Withheld => (workload(&wanted.owner), Some(Resolved::Withheld(wanted, self.rounds))),
        };
        self.of.insert(uid, resolved.unwrap_or_else(|| Resolved::Known(top.clone())));
        top
    }

    /// An owner could not be asked for: it still is to be.
    pub(crate) fn postpone(&mut self, wanted: Wanted) {
        if !self.is_withheld(&wanted) {
            self.of.insert(wanted.owner.uid.clone(), Resolved::Wanted(wanted));
        }
    }

    pub(crate) fn is_withheld(&self, wanted: &Wanted) -> bool {
        matches!(self.of.get(&wanted.owner.uid), Some(Resolved::Withheld(..)))
    }

    /// So many at most of those that are withheld, to try whether they still are: one for each permission, the longest untried first.
    pub(crate) fn withheld(&mut self, most: usize) -> Vec<Wanted> {
        let mut one_each: HashMap<(&str, &str), (u64, &Wanted)> = HashMap::new();
        for resolved in self.of.values() {
            if let Resolved::Withheld(wanted, round) = resolved {
                let (tried, _) = one_each.entry(wanted.permission()).or_insert((0, wanted));
                *tried = (*tried).max(*round);
            }
        }
        let mut tried: Vec<(u64, &Wanted)> = one_each.into_values().collect();
        tried.sort_by_key(|(round, _)| *round);
        let tried: Vec<Wanted> = tried.into_iter().take(most).map(|(_, wanted)| wanted.clone()).collect();
        self.rounds += 1;
        for wanted in &tried {
            if let Some(Resolved::Withheld(_, round)) = self.of.get_mut(&wanted.owner.uid) {
                *round = self.rounds;
            }
        }
        tried
    }

    /// One that was withheld is not any more: all that need the same permission are to be asked for again.
    pub(crate) fn want_again(&mut self, granted: &Wanted) {
        for resolved in self.of.values_mut() {
            if let Resolved::Withheld(wanted, _) = resolved
                && wanted.permission() == granted.permission()
            {
                *resolved = Resolved::Wanted(wanted.clone());
            }
        }
    }

    /// Forgets all but these.
    pub(crate) fn keep(&mut self, named: &HashSet<&str>) {
        // One that is being asked for would be asked for again.
        self.of.retain(|uid, resolved| matches!(resolved, Resolved::Asked) || named.contains(&**uid));
    }
}

/// Whether something that owns pods is owned by something else in turn: what Kubernetes' own controllers make.
pub(crate) fn may_have_owner(owner: &OwnerReference) -> bool {
    match &*owner.kind {
        "ReplicaSet" => owner.api_version.starts_with("apps/"),
        "Job" => owner.api_version.starts_with("batch/"),
        _ => false,
    }
}

pub(crate) fn workload(owner: &OwnerReference) -> Workload {
    Workload { kind: WorkloadKind::new(&owner.kind), name: owner.name.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(namespace: &str, kind: &str, uid: &str) -> Wanted {
        let owner = OwnerReference {
            kind: kind.into(),
            name: uid.into(),
            uid: uid.into(),
            ..OwnerReference::default()
        };
        Wanted { namespace: namespace.into(), owner }
    }

    fn uids(wanted: &[Wanted]) -> Vec<&str> {
        let mut uids: Vec<&str> = wanted.iter().map(|wanted| &*wanted.owner.uid).collect();
        uids.sort_unstable();
        uids
    }

    #[test]
    fn permissions_are_tried_by_one_owner_each_in_turn() {
        let mut workloads = Workloads::default();
        for (namespace, kind, uid) in
            [("a", "ReplicaSet", "1"), ("a", "ReplicaSet", "2"), ("a", "Job", "3"), ("b", "Job", "4")]
        {
            workloads.answered(wanted(namespace, kind, uid), Answer::Withheld);
        }
        assert_eq!(workloads.withheld(9).len(), 3);
        let mut tried = Vec::new();
        for _ in 0..3 {
            tried.extend(workloads.withheld(1));
        }
        let permissions: HashSet<_> = tried.iter().map(Wanted::permission).collect();
        assert_eq!(permissions.len(), 3, "{tried:?}");
    }

    #[test]
    fn what_is_granted_for_one_is_asked_again_for_all_that_need_the_same() {
        let mut workloads = Workloads::default();
        for (namespace, uid) in [("a", "1"), ("a", "2"), ("b", "3")] {
            let stands = workloads.answered(wanted(namespace, "ReplicaSet", uid), Answer::Withheld);
            assert_eq!((stands.kind, &*stands.name), (WorkloadKind::ReplicaSet, uid));
        }
        let one = wanted("a", "ReplicaSet", "1");
        // Who does not answer at all has granted nothing.
        workloads.postpone(one.clone());
        assert!(workloads.is_withheld(&one) && workloads.take_wanted().is_empty());
        workloads.answered(one.clone(), Answer::Nobody);
        workloads.want_again(&one);
        assert_eq!(uids(&workloads.take_wanted()), ["2"]);
        assert_eq!(uids(&workloads.withheld(9)), ["3"]);
    }
}
