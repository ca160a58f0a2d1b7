//! Objects, their versions and what became of them: what etcd and the watch cache are to a server.

use crate::object::Object;
use crate::resource::Resource;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use tokio::sync::broadcast;

/// Namespace and name: lists come in this order.
pub(crate) type Key = (String, String);

/// One change of one object.
pub(crate) struct Change {
    pub(crate) revision: u64,
    pub(crate) before: Option<Arc<Object>>,
    /// None if it was deleted.
    pub(crate) after: Option<Arc<Object>>,
}

impl Change {
    pub(crate) fn object(&self) -> &Arc<Object> {
        self.after.as_ref().or(self.before.as_ref()).expect("a change has a side")
    }
}

/// The whole state of one resource at one version.
pub(crate) struct Snapshot {
    pub(crate) revision: u64,
    pub(crate) objects: BTreeMap<Key, Arc<Object>>,
}

/// Why a version cannot be had.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unavailable {
    /// It was forgotten.
    TooOld,
    /// It is yet to come; this is the latest.
    TooNew { current: u64 },
}

/// Where a watch begins: what happened since the version it asked for, and what is still to happen.
pub(crate) struct Subscription {
    pub(crate) since: Vec<Arc<Change>>,
    pub(crate) next: broadcast::Receiver<Arc<Change>>,
}

/// Watchers that are that far behind are cut, as a server cuts those that do not read.
const WATCHER_BUFFER_CHANGES: usize = 8192;

pub(crate) struct Store {
    resources: Vec<Arc<Resource>>,
    objects: BTreeMap<(String, String), BTreeMap<Key, Arc<Object>>>,
    history: VecDeque<Arc<Change>>,
    history_limit: usize,
    /// Changes up to this version are forgotten.
    compacted: u64,
    revision: u64,
    /// The version that reads from the cache see, while it is behind.
    cached_revision: Option<u64>,
    changes: broadcast::Sender<Arc<Change>>,
}

impl Store {
    pub(crate) fn new(first_revision: u64, history_limit: usize) -> Self {
        Self {
            resources: Resource::all_built_in().into_iter().map(Arc::new).collect(),
            objects: BTreeMap::new(),
            history: VecDeque::new(),
            history_limit,
            compacted: first_revision,
            revision: first_revision,
            cached_revision: None,
            changes: broadcast::channel(WATCHER_BUFFER_CHANGES).0,
        }
    }

    pub(crate) fn install(&mut self, resource: Resource) {
        if !self.resources.iter().any(|known| **known == resource) {
            self.resources.push(Arc::new(resource));
        }
    }

    pub(crate) fn resources(&self) -> &[Arc<Resource>] {
        &self.resources
    }

    pub(crate) fn resource(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Resource>> {
        let is = |known: &&Arc<Resource>| {
            known.group == group && known.version == version && known.plural == plural
        };
        self.resources.iter().find(is).cloned()
    }

    pub(crate) fn resource_of_kind(&self, api_version: &str, kind: &str) -> Option<Arc<Resource>> {
        let is = |known: &&Arc<Resource>| known.kind == kind && known.api_version() == api_version;
        self.resources.iter().find(is).cloned()
    }

    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    pub(crate) fn get(&self, resource: &Resource, namespace: &str, name: &str) -> Option<&Arc<Object>> {
        self.of(resource)?.get(&(namespace.to_owned(), name.to_owned()))
    }

    /// Time goes by for objects that nobody here looks at, such as leases.
    pub(crate) fn advance(&mut self, by: u64) {
        self.revision += by;
    }

    /// Stores an object under the next version, which must stand in it.
    pub(crate) fn put(&mut self, object: Object) -> Arc<Object> {
        self.revision += 1;
        let object = Arc::new(object);
        let of = self.objects.entry(place(&object.resource)).or_default();
        let key = (object.namespace.clone(), object.name.clone());
        let before = of.insert(key, Arc::clone(&object));
        self.record(Change { revision: self.revision, before, after: Some(Arc::clone(&object)) });
        object
    }

    pub(crate) fn delete(&mut self, resource: &Resource, namespace: &str, name: &str) -> Option<Arc<Object>> {
        let key = (namespace.to_owned(), name.to_owned());
        let before = self.objects.get_mut(&place(resource))?.remove(&key)?;
        self.revision += 1;
        self.record(Change { revision: self.revision, before: Some(Arc::clone(&before)), after: None });
        Some(before)
    }

    fn record(&mut self, change: Change) {
        let change = Arc::new(change);
        self.history.push_back(Arc::clone(&change));
        if self.history.len() > self.history_limit
            && let Some(forgotten) = self.history.pop_front()
        {
            self.compacted = forgotten.revision;
        }
        // Nobody may be watching.
        let _ = self.changes.send(change);
    }

    /// Forgets all that led to the present.
    pub(crate) fn compact(&mut self) {
        self.history.clear();
        self.compacted = self.revision;
    }

    /// Lets the cache stay as it is now, or catch up.
    pub(crate) fn freeze_cache(&mut self, frozen: bool) {
        self.cached_revision = frozen.then_some(self.revision);
    }

    /// What the cache holds: the present, unless it is behind.
    pub(crate) fn cached(&self, resource: &Resource) -> Snapshot {
        let revision = self.cached_revision.unwrap_or(self.revision);
        self.at(resource, revision).unwrap_or_else(|_| self.now(resource))
    }

    pub(crate) fn now(&self, resource: &Resource) -> Snapshot {
        Snapshot { revision: self.revision, objects: self.of(resource).cloned().unwrap_or_default() }
    }

    /// The state at an earlier version, if what happened since is still known.
    pub(crate) fn at(&self, resource: &Resource, revision: u64) -> Result<Snapshot, Unavailable> {
        if revision > self.revision {
            return Err(Unavailable::TooNew { current: self.revision });
        }
        if revision < self.compacted {
            return Err(Unavailable::TooOld);
        }
        let mut objects = self.of(resource).cloned().unwrap_or_default();
        for change in self.history.iter().rev().take_while(|change| change.revision > revision) {
            let object = change.object();
            if *object.resource == *resource {
                let key = (object.namespace.clone(), object.name.clone());
                match &change.before {
                    Some(before) => objects.insert(key, Arc::clone(before)),
                    None => objects.remove(&key),
                };
            }
        }
        Ok(Snapshot { revision, objects })
    }

    /// Watches from a version on. One that is yet to come is waited for by whoever reads the changes.
    /// One that was forgotten is refused with the oldest that can be had.
    pub(crate) fn watch(&self, revision: u64) -> Result<Subscription, u64> {
        if revision < self.compacted {
            return Err(self.compacted);
        }
        let since = self.history.iter().filter(|change| change.revision > revision).cloned().collect();
        Ok(Subscription { since, next: self.changes.subscribe() })
    }

    fn of(&self, resource: &Resource) -> Option<&BTreeMap<Key, Arc<Object>>> {
        self.objects.get(&place(resource))
    }
}

fn place(resource: &Resource) -> (String, String) {
    (resource.group.clone(), resource.plural.clone())
}
