//! `Status` bodies: how a server says no.

use crate::order;
use crate::resource::qualified;
use serde_json::{Map, Value, json};

/// A refusal: an HTTP status and what the body says about it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Status {
    pub(crate) code: u16,
    message: String,
    reason: &'static str,
    details: Option<Value>,
    metadata: Value,
}

impl Status {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), reason, details: None, metadata: json!({}) }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    pub(crate) fn forbidden(group: &str, plural: &str, name: Option<&str>, why: &str) -> Self {
        let resource = qualified(group, plural);
        let message = match name {
            _ if plural.is_empty() => format!("forbidden: {why}"),
            Some(name) => format!("{resource} {name:?} is forbidden: {why}"),
            None => format!("{resource} is forbidden: {why}"),
        };
        let mut status = Self::new(403, "Forbidden", message);
        status.details = Some(details(group, plural, name));
        status
    }

    pub(crate) fn not_found(group: &str, plural: &str, name: &str) -> Self {
        let mut status =
            Self::new(404, "NotFound", format!("{} {name:?} not found", qualified(group, plural)));
        status.details = Some(details(group, plural, Some(name)));
        status
    }

    pub(crate) fn method_not_allowed() -> Self {
        let mut status = Self::new(
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        );
        status.details = Some(json!({}));
        status
    }

    pub(crate) fn not_acceptable(message: impl Into<String>) -> Self {
        Self::new(406, "NotAcceptable", message)
    }

    /// What was asked for is no longer known: a version, or a page of a list.
    pub(crate) fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// A page that is no longer known, and a token to go on with from what is there now.
    pub(crate) fn page_expired(message: impl Into<String>, token: &str) -> Self {
        let mut status = Self::expired(message);
        status.metadata = json!({"continue": token});
        status
    }

    /// Options that contradict each other: each a field, its kind of error and what is wrong.
    pub(crate) fn invalid_options(errors: &[(&'static str, &'static str, String)]) -> Self {
        let texts: Vec<String> = errors.iter().map(|(field, _, text)| format!("{field}: {text}")).collect();
        let all = match texts.as_slice() {
            [one] => one.clone(),
            texts => format!("[{}]", texts.join(", ")),
        };
        let causes: Vec<Value> = errors
            .iter()
            .map(|(field, reason, text)| json!({"reason": reason, "message": text, "field": field}))
            .collect();
        let mut status = Self::new(422, "Invalid", format!("ListOptions.meta.k8s.io \"\" is invalid: {all}"));
        status.details = Some(json!({"group": "meta.k8s.io", "kind": "ListOptions", "causes": causes}));
        status
    }

    pub(crate) fn internal_error(message: impl Into<String>) -> Self {
        Self::new(500, "InternalError", message)
    }

    /// What comes from below without a reason.
    pub(crate) fn unknown(message: impl Into<String>) -> Self {
        Self::new(500, "", message)
    }

    pub(crate) fn unavailable() -> Self {
        Self::new(503, "ServiceUnavailable", "the server is currently unable to handle the request")
    }

    /// A version that is yet to come.
    pub(crate) fn too_large_version(asked: u64, current: u64) -> Self {
        let message = format!("Timeout: Too large resource version: {asked}, current: {current}");
        let mut status = Self::new(504, "Timeout", message);
        let cause = json!({"reason": "ResourceVersionTooLarge", "message": "Too large resource version"});
        status.details = Some(json!({"causes": [cause], "retryAfterSeconds": 1}));
        status
    }

    /// Seconds to wait, for the header of the same name.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        self.details.as_ref()?.get("retryAfterSeconds")?.as_u64()
    }

    pub(crate) fn value(&self) -> Value {
        let mut status = Map::new();
        status.insert("kind".to_owned(), "Status".into());
        status.insert("apiVersion".to_owned(), "v1".into());
        status.insert("metadata".to_owned(), self.metadata.clone());
        status.insert("status".to_owned(), "Failure".into());
        status.insert("message".to_owned(), self.message.clone().into());
        if !self.reason.is_empty() {
            status.insert("reason".to_owned(), self.reason.into());
        }
        if let Some(details) = &self.details {
            status.insert("details".to_owned(), details.clone());
        }
        status.insert("code".to_owned(), self.code.into());
        Value::Object(status)
    }

    pub(crate) fn json(&self) -> String {
        // Written by hand, for `status` is a text here and comes before the message.
        let value = self.value();
        let fields = ["kind", "apiVersion", "metadata", "status", "message", "reason", "details", "code"];
        let mut written = Vec::new();
        for name in fields {
            if let Some(field) = value.get(name) {
                let mut text = format!("{name:?}:");
                order::write_field(name, field, &mut text);
                written.push(text);
            }
        }
        let fields = written;
        format!("{{{}}}", fields.join(","))
    }
}

fn details(group: &str, plural: &str, name: Option<&str>) -> Value {
    let mut details = Map::new();
    if let Some(name) = name {
        details.insert("name".to_owned(), name.into());
    }
    if !group.is_empty() {
        details.insert("group".to_owned(), group.into());
    }
    if !plural.is_empty() {
        details.insert("kind".to_owned(), plural.into());
    }
    Value::Object(details)
}
