//! What a test does to the objects of a cluster.

use crate::Error;
use crate::clock::Clock;
use crate::container::{Container, Role};
use crate::object::Object;
use crate::random;
use crate::resource::Resource;
use crate::store::Store;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Where a kubelet reports what.
const STATUSES: [(&str, Role); 3] = [
    ("initContainerStatuses", Role::Init),
    ("containerStatuses", Role::Main),
    ("ephemeralContainerStatuses", Role::Ephemeral),
];

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

    /// Creates an object, or updates the one that has its name. What a server adds is added where it is
    /// missing: uid, time of creation, generation. As with a server, an update that changes nothing is none;
    /// another uid is another object, so the one that was there is deleted first. Gives what is stored.
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
        check(&object, &resource)?;
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
        let (namespace, name) = (text("namespace"), text("name"));
        let before = store.get(&resource, &namespace, &name).cloned();
        self.complete(&mut object, before.as_deref());
        if let Some(before) = before {
            object["metadata"]["resourceVersion"] = before.value["metadata"]["resourceVersion"].clone();
            if object == before.value {
                return Ok(object);
            }
            if object["metadata"]["uid"] != before.value["metadata"]["uid"] {
                store.delete(&resource, &namespace, &name);
            }
        }
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

    /// Marks an object as one that is about to be deleted, as a server does while a pod ends in grace.
    ///
    /// # Errors
    ///
    /// If there is none of this name.
    pub fn begin_deletion(&self, kind: &str, namespace: &str, name: &str) -> Result<Value, Error> {
        let time = self.clock.object_time();
        self.modify(kind, namespace, name, |object| {
            object["metadata"]["deletionTimestamp"] = time.into();
            object["metadata"]["deletionGracePeriodSeconds"] = json!(30);
        })
    }

    /// Reports another state of a container of a pod, in the place of what was reported of the one of its
    /// name: that it runs now, that it was restarted, that it has ended.
    ///
    /// # Errors
    ///
    /// If there is no such pod, or no such container in it.
    pub fn report(&self, namespace: &str, pod: &str, container: &Container) -> Result<Value, Error> {
        let time = self.clock.object_time();
        let mut found = false;
        let reported = self.modify("Pod", namespace, pod, |object| {
            for (field, role) in STATUSES {
                let statuses = object["status"].get_mut(field).and_then(Value::as_array_mut);
                for status in statuses.into_iter().flatten() {
                    if status["name"] == container.name() {
                        found = true;
                        *status = container.status(role, &time);
                    }
                }
            }
        })?;
        let missing = || no_object("container", &format!("{namespace}/{pod}"), container.name());
        if found { Ok(reported) } else { Err(missing()) }
    }

    /// Adds an ephemeral container to a pod and reports its state, as `kubectl debug` and the kubelet do.
    ///
    /// # Errors
    ///
    /// If there is no such pod.
    pub fn debug(&self, namespace: &str, pod: &str, container: &Container) -> Result<Value, Error> {
        let time = self.clock.object_time();
        self.modify("Pod", namespace, pod, |object| {
            let (spec, status) = (container.spec(Role::Ephemeral), container.status(Role::Ephemeral, &time));
            push(&mut object["spec"]["ephemeralContainers"], spec);
            push(&mut object["status"]["ephemeralContainerStatuses"], status);
        })
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

    /// Adds what a server adds, or what it knows already.
    fn complete(&self, object: &mut Value, before: Option<&Object>) {
        for field in ["uid", "creationTimestamp", "generation"] {
            if object["metadata"].get(field).is_none() {
                let known = before.and_then(|before| before.value["metadata"].get(field)).cloned();
                object["metadata"][field] = known.unwrap_or_else(|| match field {
                    "uid" => random::uid().into(),
                    "generation" => json!(1),
                    _ => self.clock.object_time().into(),
                });
            }
        }
    }
}

fn check(object: &Value, resource: &Resource) -> Result<(), Error> {
    let metadata = object["metadata"].as_object().ok_or(Error::BadObject("it has no metadata"))?;
    if metadata.get("name").and_then(Value::as_str).is_none_or(str::is_empty) {
        return Err(Error::BadObject("it has no name"));
    }
    if resource.namespaced != metadata.contains_key("namespace") {
        return Err(Error::BadObject("its kind is in namespaces and it is not, or the other way round"));
    }
    Ok(())
}

fn push(list: &mut Value, item: Value) {
    match list {
        Value::Array(items) => items.push(item),
        other => *other = json!([item]),
    }
}

fn of_kind(store: &Store, kind: &str) -> Result<Arc<Resource>, Error> {
    let known = store.resources().iter().find(|known| known.kind == kind).cloned();
    known.ok_or_else(|| Error::UnknownKind { api_version: "any version".to_owned(), kind: kind.to_owned() })
}

fn no_object(kind: &str, namespace: &str, name: &str) -> Error {
    Error::NoObject(format!("{kind} {namespace}/{name}"))
}
