//! An object as a server holds it, and as it writes it.

use crate::order;
use crate::resource::Resource;
use serde_json::{Value, json};
use std::sync::{Arc, OnceLock};

/// One state of an object.
pub(crate) struct Object {
    pub(crate) resource: Arc<Resource>,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) value: Value,
    /// What stands between the braces, without kind and version, once somebody asked for it.
    written: OnceLock<String>,
}

/// In which form a client wants objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Full,
    /// `PartialObjectMetadata`: name, labels, owners and the like.
    MetadataOnly,
}

impl Object {
    pub(crate) fn new(resource: Arc<Resource>, value: Value) -> Self {
        let text = |field: &str| value["metadata"][field].as_str().unwrap_or_default().to_owned();
        let (namespace, name) = (text("namespace"), text("name"));
        Self { resource, namespace, name, value, written: OnceLock::new() }
    }

    /// The same state under a later version: what a watcher is told of an object that is gone.
    pub(crate) fn at(&self, revision: u64) -> Self {
        let mut value = self.value.clone();
        value["metadata"]["resourceVersion"] = revision.to_string().into();
        Self::new(Arc::clone(&self.resource), value)
    }

    /// As an answer to a get, and in events.
    pub(crate) fn write(&self, form: Form, out: &mut String) {
        match form {
            Form::MetadataOnly => {
                out.push_str(r#"{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":"#);
                order::write(&self.value["metadata"], out);
                out.push('}');
            }
            // Custom objects are maps, which come in the order of the alphabet.
            Form::Full if self.resource.custom => out.push_str(&self.value.to_string()),
            Form::Full => {
                let version = self.resource.api_version();
                out.push_str(&format!(r#"{{"kind":"{}","apiVersion":"{version}","#, self.resource.kind));
                out.push_str(self.fields());
                out.push('}');
            }
        }
    }

    /// As an item of a list: built-in kinds leave out what the list says.
    pub(crate) fn write_item(&self, form: Form, out: &mut String) {
        if form == Form::MetadataOnly || self.resource.custom {
            return self.write(form, out);
        }
        out.push('{');
        out.push_str(self.fields());
        out.push('}');
    }

    fn fields(&self) -> &str {
        self.written.get_or_init(|| {
            let mut text = String::new();
            if let Value::Object(fields) = &self.value {
                order::write_without_type(fields, &mut text);
            }
            text
        })
    }
}

/// What carries nothing but a version: how far a watch has come.
pub(crate) fn write_bookmark(resource: &Resource, form: Form, revision: u64, end: Initial, out: &mut String) {
    let mut metadata = json!({"resourceVersion": revision.to_string()});
    if end == Initial::Ended {
        metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
    }
    let object = match form {
        Form::Full => resource.bookmark(metadata),
        Form::MetadataOnly => {
            json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata})
        }
    };
    match resource.custom && form == Form::Full {
        true => out.push_str(&object.to_string()),
        false => order::write(&object, out),
    }
}

/// Whether a bookmark ends what a watch was sent to begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Initial {
    Ended,
    NoneOrBefore,
}
