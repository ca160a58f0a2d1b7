//! What a request is about, read from its path and query as the API conventions have it.

use crate::selector;
use crate::status::Status;

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Subject {
    /// `get`, `list`, `watch`, …; for other paths the method in small letters.
    pub(crate) verb: &'static str,
    /// None for paths that are about no resource.
    pub(crate) resource: Option<Target>,
}

/// The resource that a path names, whether there is such a one or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) plural: String,
    pub(crate) subresource: String,
    pub(crate) namespace: Option<String>,
    pub(crate) name: Option<String>,
}

/// The pairs of a query, decoded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(pub(crate) Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(text: &str) -> Self {
        let pairs = form_urlencoded::parse(text.as_bytes());
        Self(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn text(&self, name: &str) -> String {
        self.get(name).unwrap_or_default().to_owned()
    }

    /// Anything but `false` and `0` is true, even nothing at all.
    fn flag(&self, name: &str) -> Option<bool> {
        self.get(name).map(|value| value != "0" && !value.eq_ignore_ascii_case("false"))
    }

    fn number(&self, name: &str) -> Result<Option<i64>, Status> {
        let Some(text) = self.get(name).filter(|text| !text.is_empty()) else { return Ok(None) };
        let bad = |_| Status::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax"));
        text.parse().map(Some).map_err(bad)
    }
}

impl Subject {
    pub(crate) fn read(method: &str, path: &str, query: &Query) -> Self {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let Some(mut target) = Target::read(&parts) else {
            let verb = match method {
                "GET" => "get",
                "HEAD" => "head",
                "POST" => "post",
                "PUT" => "put",
                "PATCH" => "patch",
                "DELETE" => "delete",
                _ => "options",
            };
            return Self { verb, resource: None };
        };
        let named = target.name.is_some();
        let verb = match method {
            "GET" | "HEAD" if named => "get",
            "GET" | "HEAD" if query.flag("watch") == Some(true) => "watch",
            "GET" | "HEAD" => "list",
            "POST" => "create",
            "PUT" => "update",
            "PATCH" => "patch",
            "DELETE" if named => "delete",
            "DELETE" => "deletecollection",
            _ => "",
        };
        if matches!(verb, "list" | "watch") {
            target.name = query.get("fieldSelector").and_then(selector::exact_name);
        }
        Self { verb, resource: Some(target) }
    }
}

impl Target {
    fn read(parts: &[&str]) -> Option<Self> {
        let (group, version, rest) = match parts {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return None,
        };
        let (namespace, rest) = match rest {
            // A namespace is itself in it.
            ["namespaces", name] => (Some(*name), rest),
            ["namespaces", name, "status" | "finalize"] => (Some(*name), rest),
            ["namespaces", name, rest @ ..] if !rest.is_empty() => (Some(*name), rest),
            rest => (None, rest),
        };
        let (plural, rest) = rest.split_first()?;
        Some(Self {
            group: group.to_owned(),
            version: version.to_owned(),
            plural: (*plural).to_owned(),
            subresource: rest.get(1).copied().unwrap_or_default().to_owned(),
            namespace: namespace.map(str::to_owned),
            name: rest.first().map(|name| (*name).to_owned()),
        })
    }
}

/// `ListOptions`, which lists and watches share.
#[derive(Clone, Debug, Default)]
pub(crate) struct ListOptions {
    pub(crate) label_selector: String,
    pub(crate) field_selector: String,
    pub(crate) watch: bool,
    pub(crate) allow_bookmarks: bool,
    pub(crate) resource_version: String,
    pub(crate) resource_version_match: String,
    pub(crate) timeout_s: Option<u64>,
    pub(crate) limit: usize,
    pub(crate) token: String,
    pub(crate) send_initial_events: Option<bool>,
}

/// What a server makes of a client that asks for a list as a stream of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WatchList {
    /// Takes the request and answers it with an `ERROR` event: its etcd cannot.
    #[default]
    Unsupported,
    /// Streams the list.
    Supported,
    /// Refuses the request with 422, as servers before that feature do.
    Forbidden,
}

/// What a server makes of field selectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum FieldSelectors {
    /// Selects by them.
    #[default]
    Honoured,
    /// Answers as if they had not been asked for, as what only stands for an API server may do.
    Ignored,
}

impl ListOptions {
    pub(crate) fn read(query: &Query, watch_list: WatchList) -> Result<Self, Status> {
        let limit = query.number("limit")?.unwrap_or_default();
        let timeout_s = query.number("timeoutSeconds")?;
        let options = Self {
            label_selector: query.text("labelSelector"),
            field_selector: query.text("fieldSelector"),
            watch: query.flag("watch").unwrap_or_default(),
            allow_bookmarks: query.flag("allowWatchBookmarks").unwrap_or_default(),
            resource_version: query.text("resourceVersion"),
            resource_version_match: query.text("resourceVersionMatch"),
            timeout_s: timeout_s
                .and_then(|seconds| u64::try_from(seconds).ok())
                .filter(|seconds| *seconds > 0),
            limit: usize::try_from(limit).unwrap_or_default(),
            token: query.text("continue"),
            send_initial_events: query.flag("sendInitialEvents"),
        };
        let errors = if options.watch { options.watch_errors(watch_list) } else { options.list_errors() };
        if errors.is_empty() { Ok(options) } else { Err(Status::invalid_options(&errors)) }
    }

    /// The version that is asked for, if one is.
    pub(crate) fn version(&self) -> Result<Option<u64>, Status> {
        let text = self.resource_version.as_str();
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|_| {
            Status::unknown(format!(
                "resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax"
            ))
        })
    }

    fn list_errors(&self) -> Vec<(&'static str, &'static str, String)> {
        let mut errors = Vec::new();
        let mut forbid =
            |field, why: &str| errors.push((field, "FieldValueForbidden", format!("Forbidden: {why}")));
        let field = "resourceVersionMatch";
        match self.resource_version_match.as_str() {
            "" => {}
            wanted => {
                if self.resource_version.is_empty() {
                    forbid(field, "resourceVersionMatch is forbidden unless resourceVersion is provided");
                }
                if !self.token.is_empty() {
                    forbid(field, "resourceVersionMatch is forbidden when continue is provided");
                }
                if wanted == "Exact" && self.resource_version == "0" {
                    forbid(field, "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
                }
            }
        }
        if self.send_initial_events.is_some() {
            forbid("sendInitialEvents", "sendInitialEvents is forbidden for list");
        }
        if !matches!(self.resource_version_match.as_str(), "" | "Exact" | "NotOlderThan") {
            errors.push((
                field,
                "FieldValueNotSupported",
                self.unsupported("\"Exact\", \"NotOlderThan\", \"\""),
            ));
        }
        errors
    }

    fn watch_errors(&self, watch_list: WatchList) -> Vec<(&'static str, &'static str, String)> {
        let mut errors = Vec::new();
        let mut forbid =
            |field, why: &str| errors.push((field, "FieldValueForbidden", format!("Forbidden: {why}")));
        let field = "resourceVersionMatch";
        let wanted = self.resource_version_match.as_str();
        if self.send_initial_events.is_some() {
            if wanted != "NotOlderThan" {
                forbid(field, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
            }
            if watch_list == WatchList::Forbidden {
                let why =
                    "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled";
                forbid("sendInitialEvents", why);
            }
        } else if !wanted.is_empty() {
            let why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
            forbid(field, why);
        }
        if !wanted.is_empty() && !self.token.is_empty() {
            forbid(field, "resourceVersionMatch is forbidden when continue is provided");
        }
        if !matches!(wanted, "" | "NotOlderThan") {
            errors.push((field, "FieldValueNotSupported", self.unsupported("\"NotOlderThan\"")));
        }
        errors
    }

    fn unsupported(&self, supported: &str) -> String {
        format!("Unsupported value: {:?}: supported values: {supported}", self.resource_version_match)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &str) -> (String, Option<Target>) {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let subject = Subject::read("GET", path, &Query::parse(query));
        (subject.verb.to_owned(), subject.resource)
    }

    #[test]
    fn paths() {
        let (verb, target) = read("/apis/apps/v1/namespaces/production/replicasets/gone");
        let target = target.unwrap();
        assert_eq!(verb, "get");
        assert_eq!((target.group.as_str(), target.plural.as_str()), ("apps", "replicasets"));
        assert_eq!((target.namespace.as_deref(), target.name.as_deref()), (Some("production"), Some("gone")));
        assert_eq!(read("/api/v1/pods").0, "list");
        assert_eq!(read("/api/v1/pods?watch=1").0, "watch");
        assert_eq!(read("/api/v1/pods?watch=false").0, "list");
        let (verb, target) = read("/api/v1/namespaces/a");
        let target = target.unwrap();
        assert_eq!(
            (verb.as_str(), target.plural.as_str(), target.name.as_deref()),
            ("get", "namespaces", Some("a"))
        );
        assert_eq!(
            read("/api/v1/namespaces/a/pods?fieldSelector=metadata.name%3Dp").1.unwrap().name.as_deref(),
            Some("p")
        );
        for path in ["/version", "/api/v1", "/apis/apps/v1", "/apis", "/"] {
            assert_eq!(read(path).1, None, "{path}");
        }
        assert_eq!(read("/api/v1/namespaces/a/pods/p/log").1.unwrap().subresource, "log");
    }
}
