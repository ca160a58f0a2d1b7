//! What a test does to the objects of a cluster.

use crate::Error;
use crate::clock::Clock;
use crate::object::Object;
use crate::random;
use crate::resource::Resource;
use crate::store::Store;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The objects of a cluster: what servers of it answer from. Clones are the same cluster.
#[derive(Clone)]
pub struct Cluster {
    store: Arc<Mutex<Store>>,
    clock: Arc<Clock>,
}

impl Cluster {
    pub(crate) fn new(store: Store, clock: Arc<Clock>) -> Self {
        Self { store: Arc::new(Mutex::new(store)), clock }
    }

    pub(crate) fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves objects of another kind from now on, as a custom resource definition makes a server do.
    pub fn install(&self, resource: Resource) {
        self.store().install(resource);
    }

    /// The version of the latest change.
    pub fn revision(&self) -> u64 {
        self.store().revision()
    }

    /// Lets versions go on without a change of anything that is watched here, as leases do in any cluster.
    pub fn advance(&self, by: u64) {
        self.store().advance(by);
    }

    /// Forgets all earlier states: watches, pages and lists that want one are answered with 410. Watches
    /// that are open go on.
    pub fn compact(&self) {
        self.store().compact();
    }

    /// Lets lists from the cache (`resourceVersion=0`) show the present state, whatever changes.
    pub fn freeze_cache(&self) {
        self.store().freeze_cache(true);
    }

    /// Lets the cache catch up.
    pub fn thaw_cache(&self) {
        self.store().freeze_cache(false);
    }

    /// Creates an object, or puts it in the place of the one that has its name. What a server adds is
    /// added where it is missing: uid, time of creation, generation. Gives what was stored.
    ///
    /// # Errors
    ///
    /// If it has no kind that is known here, or no name.
    pub fn put(&self, mut object: Value) -> Result<Value, Error> {
        let text = |field: &str| object[field].as_str().unwrap_or_default().to_owned();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        let mut store = self.store();
        let Some(resource) = store.resource_of_kind(&api_version, &kind) else {
            return Err(Error::UnknownKind { api_version, kind });
        };
        self.complete(&mut object, &resource)?;
        let next = store.revision() + 1;
        object["metadata"]["resourceVersion"] = next.to_string().into();
        Ok(store.put(Object::new(resource, object)).value.clone())
    }

    /// Changes an object.
    ///
    /// # Errors
    ///
    /// If there is none of this name, or it is none any more afterwards.
    pub fn modify(
        &self,
        kind: &str,
        namespace: &str,
        name: &str,
        change: impl FnOnce(&mut Value),
    ) -> Result<Value, Error> {
        let mut object = self.get(kind, namespace, name)?;
        change(&mut object);
        self.put(object)
    }

    /// Deletes an object and gives its last state.
    ///
    /// # Errors
    ///
    /// If there is none of this name.
    pub fn delete(&self, kind: &str, namespace: &str, name: &str) -> Result<Value, Error> {
        let mut store = self.store();
        let resource = of_kind(&store, kind)?;
        let deleted = store.delete(&resource, namespace, name);
        deleted.map(|object| object.value.clone()).ok_or_else(|| no_object(kind, namespace, name))
    }

    /// An object as it is now.
    ///
    /// # Errors
    ///
    /// If there is none of this name.
    pub fn get(&self, kind: &str, namespace: &str, name: &str) -> Result<Value, Error> {
        let store = self.store();
        let resource = of_kind(&store, kind)?;
        let object = store.get(&resource, namespace, name);
        object.map(|object| object.value.clone()).ok_or_else(|| no_object(kind, namespace, name))
    }

    /// The clock that times are taken from.
    pub fn clock(&self) -> &Arc<Clock> {
        &self.clock
    }

    fn complete(&self, object: &mut Value, resource: &Resource) -> Result<(), Error> {
        let metadata = object
            .get_mut("metadata")
            .and_then(Value::as_object_mut)
            .ok_or(Error::BadObject("it has no metadata"))?;
        if metadata.get("name").and_then(Value::as_str).is_none_or(str::is_empty) {
            return Err(Error::BadObject("it has no name"));
        }
        if resource.namespaced != metadata.contains_key("namespace") {
            return Err(Error::BadObject("its kind is in namespaces and it is not, or the other way round"));
        }
        metadata.entry("uid").or_insert_with(|| random::uid().into());
        metadata.entry("creationTimestamp").or_insert_with(|| self.clock.object_time().into());
        metadata.entry("generation").or_insert_with(|| json!(1));
        Ok(())
    }
}

fn of_kind(store: &Store, kind: &str) -> Result<Arc<Resource>, Error> {
    let known = store.resources().iter().find(|known| known.kind == kind).cloned();
    known.ok_or_else(|| Error::UnknownKind { api_version: "any version".to_owned(), kind: kind.to_owned() })
}

fn no_object(kind: &str, namespace: &str, name: &str) -> Error {
    Error::NoObject(format!("{kind} {namespace}/{name}"))
}
