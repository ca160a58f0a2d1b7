//! Lists: from which version, which objects, and in which pages.

use crate::object::Form;
use crate::object::Object;
use crate::request::{ListOptions, Target};
use crate::resource::Resource;
use crate::selector::Selector;
use crate::status::Status;
use crate::store::{Key, Snapshot, Store, Unavailable};
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::{DecodeError, Engine};
use serde_json::{Value, json};
use std::ops::Bound;
use std::sync::Arc;

const PAGE_EXPIRED: &str = "The provided continue parameter is too old to display a consistent list result. \
     You can start a new list without the continue parameter, or use the continue token in this response to \
     retrieve the remainder of the results. Continuing with the provided token results in an inconsistent \
     list - objects that were created, modified, or deleted between the time the first chunk was returned \
     and now may show up in the list.";
const LIST_EXPIRED: &str = "The resourceVersion for the provided list is too old.";

/// What a list is made of; it is written after the store is let go.
pub(crate) struct List {
    resource: Arc<Resource>,
    revision: u64,
    token: Option<String>,
    remaining: Option<usize>,
    objects: Vec<Arc<Object>>,
}

impl List {
    pub(crate) fn read(
        store: &Store,
        resource: &Arc<Resource>,
        target: &Target,
        options: &ListOptions,
    ) -> Result<Self, Status> {
        let selector = Selector::parse(resource, &options.field_selector, &options.label_selector)?;
        let version = options.version()?;
        let (snapshot, start) = begin(store, resource, options, version)?;
        let from_cache = version == Some(0) && options.token.is_empty();
        let limit = if from_cache || options.limit == 0 { usize::MAX } else { options.limit };
        let selected = |(key, object): &(&Key, &Arc<Object>)| {
            target.namespace.as_ref().is_none_or(|namespace| key.0 == *namespace)
                && selector.matches(&object.value)
        };
        let mut rest = snapshot.objects.range((start, Bound::Unbounded)).filter(selected);
        let page: Vec<(&Key, &Arc<Object>)> = rest.by_ref().take(limit).collect();
        let remaining = rest.count();
        let last = page.last().filter(|_| remaining > 0);
        Ok(Self {
            resource: Arc::clone(resource),
            revision: snapshot.revision,
            token: last.map(|(key, _)| token(i128::from(snapshot.revision), key)),
            // Counted only where nothing is selected, for it is the storage that counts.
            remaining: (remaining > 0 && selector.is_empty()).then_some(remaining),
            objects: page.into_iter().map(|(_, object)| Arc::clone(object)).collect(),
        })
    }

    pub(crate) fn write(&self, form: Form) -> String {
        let (kind, version) = match form {
            Form::Full => (format!("{}List", self.resource.kind), self.resource.api_version()),
            Form::MetadataOnly => ("PartialObjectMetadataList".to_owned(), "meta.k8s.io/v1".to_owned()),
        };
        let mut metadata = json!({"resourceVersion": self.revision.to_string()});
        if let Some(token) = &self.token {
            metadata["continue"] = token.as_str().into();
        }
        if let Some(remaining) = self.remaining {
            metadata["remainingItemCount"] = remaining.into();
        }
        let mut text = String::new();
        let custom = self.resource.custom && form == Form::Full;
        // Custom objects and their lists are maps, which come in the order of the alphabet.
        if custom {
            text.push_str(&format!(r#"{{"apiVersion":"{version}","items":["#));
        } else {
            text.push_str(&format!(r#"{{"kind":"{kind}","apiVersion":"{version}","metadata":"#));
            crate::order::write(&metadata, &mut text);
            text.push_str(r#","items":["#);
        }
        for (index, object) in self.objects.iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            object.write_item(form, &mut text);
        }
        match custom {
            true => text.push_str(&format!(r#"],"kind":"{kind}","metadata":{metadata}}}"#)),
            false => text.push_str("]}"),
        }
        text.push('\n');
        text
    }
}

/// The state that a list is read from, and the key that it begins after.
fn begin(
    store: &Store,
    resource: &Resource,
    options: &ListOptions,
    version: Option<u64>,
) -> Result<(Snapshot, Bound<Key>), Status> {
    if !options.token.is_empty() {
        if version.is_some_and(|version| version > 0) {
            return Err(Status::bad_request(
                "specifying resource version is not allowed when using continue",
            ));
        }
        return page(store, resource, &options.token);
    }
    let exact = options.resource_version_match == "Exact"
        || options.resource_version_match.is_empty() && options.limit > 0;
    let snapshot = match version {
        None => store.now(resource),
        Some(0) => store.cached(resource),
        Some(version) if version > store.revision() => {
            return Err(Status::too_large_version(version, store.revision()));
        }
        Some(version) if exact => store.at(resource, version).map_err(|error| match error {
            Unavailable::TooOld => Status::expired(LIST_EXPIRED),
            Unavailable::TooNew { current } => Status::too_large_version(version, current),
        })?,
        // Not older than that.
        Some(version) => {
            let cached = store.cached(resource);
            if cached.revision >= version { cached } else { store.now(resource) }
        }
    };
    Ok((snapshot, Bound::Unbounded))
}

fn page(store: &Store, resource: &Resource, text: &str) -> Result<(Snapshot, Bound<Key>), Status> {
    let (revision, key) = read_token(text)?;
    let start = Bound::Excluded(key.clone());
    // A negative version goes on with the present: it was given with a refusal.
    let Ok(revision) = u64::try_from(revision) else { return Ok((store.now(resource), start)) };
    match store.at(resource, revision) {
        Ok(snapshot) => Ok((snapshot, start)),
        Err(Unavailable::TooOld) => Err(Status::page_expired(PAGE_EXPIRED, &token(-1, &key))),
        Err(Unavailable::TooNew { current }) => Err(Status::too_large_version(revision, current)),
    }
}

/// Clients must not look into it; it is like that of a server, so that they can try.
fn token(revision: i128, (namespace, name): &Key) -> String {
    let start = if namespace.is_empty() { format!("{name}\0") } else { format!("{namespace}/{name}\0") };
    let start = Value::from(start);
    URL_SAFE_NO_PAD.encode(format!(r#"{{"v":"meta.k8s.io/v1","rv":{revision},"start":{start}}}"#))
}

fn read_token(text: &str) -> Result<(i64, Key), Status> {
    let invalid = |why: String| {
        Status::bad_request(format!("invalid continue token: continue key is not valid: {why}"))
    };
    let decoded = URL_SAFE_NO_PAD.decode(text).map_err(|error| {
        let place = match error {
            DecodeError::InvalidByte(place, _) | DecodeError::InvalidLastSymbol(place, _) => place,
            // Go says where the last group begins that is too short.
            _ => text.len() - text.len() % 4,
        };
        invalid(format!("illegal base64 data at input byte {place}"))
    })?;
    let token: Value = serde_json::from_slice(&decoded).map_err(|error| invalid(error.to_string()))?;
    if token["v"] != "meta.k8s.io/v1" {
        return Err(invalid(format!("server does not recognize this encoded version {}", token["v"])));
    }
    let revision = token["rv"].as_i64().filter(|revision| *revision != 0);
    let revision = revision.ok_or_else(|| {
        invalid("incorrect encoded start resourceVersion (version meta.k8s.io/v1)".to_owned())
    })?;
    let start = token["start"].as_str().unwrap_or_default().trim_start_matches('/').trim_end_matches('\0');
    if start.is_empty() {
        return Err(invalid("encoded start key empty (version meta.k8s.io/v1)".to_owned()));
    }
    let (namespace, name) = start.split_once('/').unwrap_or(("", start));
    Ok((revision, (namespace.to_owned(), name.to_owned())))
}
