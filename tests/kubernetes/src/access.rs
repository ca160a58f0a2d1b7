//! Who clients are and what they may: tokens, certificates, and as much of RBAC as reading needs.

use crate::Error;
use crate::authority::{Authority, Identity};
use crate::endpoint::Peer;
use crate::random;
use crate::request::{Subject, Target};
use crate::resource::qualified;
use crate::status::Status;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::CertificateDer;
use serde_json::json;
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The user of whom nothing is known.
const ANONYMOUS: &str = "system:anonymous";

/// What anybody may read (`system:public-info-viewer`).
const PUBLIC_PATHS: [&str; 4] = ["/healthz", "/livez", "/readyz", "/version"];

/// Something that a user may do. `*` is anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// `get`, `list`, `watch`.
    pub verb: String,
    /// Empty for the core group.
    pub group: String,
    /// A plural, with a subresource behind a slash if it is about one: `nodes/proxy`.
    pub resource: String,
    /// None for all namespaces and the whole cluster.
    pub namespace: Option<String>,
}

impl Grant {
    /// In the whole cluster.
    pub fn cluster(verb: &str, group: &str, resource: &str) -> Self {
        Self {
            verb: verb.to_owned(),
            group: group.to_owned(),
            resource: resource.to_owned(),
            namespace: None,
        }
    }

    /// In one namespace.
    pub fn namespaced(verb: &str, group: &str, resource: &str, namespace: &str) -> Self {
        Self { namespace: Some(namespace.to_owned()), ..Self::cluster(verb, group, resource) }
    }

    fn covers(&self, verb: &str, group: &str, resource: &str, namespace: Option<&str>) -> bool {
        let is = |granted: &str, asked: &str| granted == "*" || granted == asked;
        is(&self.verb, verb)
            && is(&self.group, group)
            && is(&self.resource, resource)
            && (self.namespace.is_none() || self.namespace.as_deref() == namespace)
    }
}

#[derive(Default)]
struct Table {
    tokens: HashMap<String, String>,
    certificates: HashMap<CertificateDer<'static>, String>,
    grants: HashMap<String, Vec<Grant>>,
    admins: HashSet<String>,
}

/// Users, by what they show and by what they may.
pub struct Access {
    authority: Authority,
    table: Mutex<Table>,
}

impl Access {
    pub(crate) fn new() -> Result<Self, Error> {
        Ok(Self { authority: Authority::new()?, table: Mutex::default() })
    }

    /// The cluster's certificate authority.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// A new token for a user, shaped like that of a service account. Earlier ones stay good.
    pub fn issue_token(&self, user: &str) -> String {
        let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = part(json!({"alg": "RS256", "kid": random::hex::<16>()}));
        let claims = part(json!({
            "aud": ["https://kubernetes.default.svc.cluster.local"],
            "iss": "https://kubernetes.default.svc.cluster.local",
            "jti": random::uid(),
            "sub": user,
        }));
        let token = format!("{header}.{claims}.{}", URL_SAFE_NO_PAD.encode(random::bytes::<128>()));
        self.table().tokens.insert(token.clone(), user.to_owned());
        token
    }

    /// A new token for a user; all earlier ones are refused from now on.
    pub fn rotate_token(&self, user: &str) -> String {
        self.revoke_tokens(user);
        self.issue_token(user)
    }

    /// Refuses all tokens of a user from now on.
    pub fn revoke_tokens(&self, user: &str) {
        self.table().tokens.retain(|_, owner| owner != user);
    }

    /// A client certificate for a user.
    ///
    /// # Errors
    ///
    /// If the name is none that a certificate can have.
    pub fn issue_certificate(&self, user: &str) -> Result<Identity, Error> {
        let identity = self.authority.client(user, &["telegen:tests"])?;
        self.table().certificates.insert(identity.certificate.clone(), user.to_owned());
        Ok(identity)
    }

    /// Lets a user do something more.
    pub fn grant(&self, user: &str, grant: Grant) {
        self.table().grants.entry(user.to_owned()).or_default().push(grant);
    }

    /// Lets a user do anything, as `cluster-admin` does.
    pub fn grant_all(&self, user: &str) {
        self.table().admins.insert(user.to_owned());
    }

    /// Takes everything from a user that was granted.
    pub fn revoke_grants(&self, user: &str) {
        let mut table = self.table();
        table.admins.remove(user);
        table.grants.remove(user);
    }

    /// The user of a request. Whoever shows nothing is anonymous; whoever shows what nobody knows is refused.
    pub(crate) fn authenticate(&self, authorization: Option<&str>, peer: &Peer) -> Result<String, Status> {
        let table = self.table();
        let mut shown = false;
        if let Some(leaf) = peer.certificates.first() {
            shown = true;
            let user = table.certificates.get(leaf);
            if let Some(user) = user.filter(|_| self.authority.vouches_for(&peer.certificates)) {
                return Ok(user.clone());
            }
        }
        let token = authorization.and_then(bearer_token);
        if let Some(token) = token {
            return table.tokens.get(token).cloned().ok_or_else(Status::unauthorized);
        }
        if shown { Err(Status::unauthorized()) } else { Ok(ANONYMOUS.to_owned()) }
    }

    /// Refuses what a user may not do.
    pub(crate) fn authorize(&self, user: &str, subject: &Subject, path: &str) -> Result<(), Status> {
        let Some(target) = &subject.resource else {
            let public = PUBLIC_PATHS
                .iter()
                .any(|public| path.strip_prefix(public).is_some_and(|rest| rest.is_empty() || rest == "/"));
            // Whoever is somebody may see what there is (`system:discovery`).
            let discovery = ["/api", "/apis", "/openapi"].iter().any(|start| path.starts_with(start));
            if public || discovery && user != ANONYMOUS || self.is_admin(user) {
                return Ok(());
            }
            let why = format!("User {user:?} cannot {} path {path:?}", subject.verb);
            return Err(Status::forbidden("", "", None, &why));
        };
        if self.may(user, subject.verb, target) {
            return Ok(());
        }
        let resource = with_subresource(target);
        let place = match &target.namespace {
            Some(namespace) => format!("in the namespace {namespace:?}"),
            None => "at the cluster scope".to_owned(),
        };
        let verb = subject.verb;
        let group = &target.group;
        let why = format!("User {user:?} cannot {verb} resource {resource:?} in API group {group:?} {place}");
        Err(Status::forbidden(group, &target.plural, target.name.as_deref(), &why))
    }

    pub(crate) fn may(&self, user: &str, verb: &str, target: &Target) -> bool {
        let resource = with_subresource(target);
        let namespace = target.namespace.as_deref();
        self.is_admin(user)
            || self.table().grants.get(user).is_some_and(|grants| {
                grants.iter().any(|grant| grant.covers(verb, &target.group, &resource, namespace))
            })
    }

    fn is_admin(&self, user: &str) -> bool {
        self.table().admins.contains(user)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn with_subresource(target: &Target) -> String {
    match target.subresource.as_str() {
        "" => target.plural.clone(),
        subresource => format!("{}/{subresource}", target.plural),
    }
}

fn bearer_token(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

impl std::fmt::Display for Grant {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {}", self.verb, qualified(&self.group, &self.resource))
    }
}
