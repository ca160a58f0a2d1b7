//! A kubelet: the pods of its node, from the node itself.

use crate::access::Access;
use crate::answer::{Answer, Compressed};
use crate::api_server::{ApiServer, header};
use crate::authority::ServerCertificate;
use crate::body::Body;
use crate::cluster::Cluster;
use crate::endpoint::{Answering, Endpoint, Peer, Service};
use crate::error::Error;
use crate::fault::{Fault, Faults};
use crate::ledger::Ledger;
use crate::object::{Form, Object};
use crate::request::{Query, Subject, Target};
use hyper::body::Incoming;
use hyper::{Request, Response};
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;

/// The kubelet of a node, at a port of this machine, until it is dropped. Its tokens are those of the
/// cluster; who may `get` `nodes/proxy` (or `nodes/pods`, `nodes/healthz`) may read.
pub struct Kubelet {
    endpoint: Endpoint,
    front: Arc<Front>,
}

impl Kubelet {
    /// Starts the kubelet of a node in the cluster of a server.
    ///
    /// # Errors
    ///
    /// If no certificate can be made or no port listened at.
    pub fn start(server: &ApiServer, node: &str, certificate: ServerCertificate) -> Result<Self, Error> {
        let access = Arc::clone(server.access());
        let tls = access.authority().server(certificate)?;
        let front = Arc::new(Front {
            cluster: server.cluster().clone(),
            access,
            node: node.to_owned(),
            faults: Faults::default(),
            ledger: Ledger::default(),
        });
        let endpoint = Endpoint::start(tls, Arc::clone(&front) as Arc<dyn Service>)?;
        Ok(Self { endpoint, front })
    }

    /// `https://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("https://{}", self.endpoint.address())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.endpoint.address()
    }

    /// What is to go wrong.
    pub fn faults(&self) -> &Faults {
        &self.front.faults
    }

    /// What was asked. Verbs are methods in small letters, and no request is about a resource.
    pub fn ledger(&self) -> &Ledger {
        &self.front.ledger
    }

    /// As if the process had died: its connections are cut and new ones refused.
    ///
    /// # Errors
    ///
    /// If it has stopped.
    pub fn down(&self) -> Result<(), Error> {
        self.endpoint.down()
    }

    /// Takes connections again, at the same port.
    ///
    /// # Errors
    ///
    /// If it has stopped, or somebody else listens there now.
    pub fn up(&self) -> Result<(), Error> {
        self.endpoint.up()
    }
}

struct Front {
    cluster: Cluster,
    access: Arc<Access>,
    node: String,
    faults: Faults,
    ledger: Ledger,
}

impl Service for Front {
    fn answer(self: Arc<Self>, request: Request<Incoming>, peer: Arc<Peer>) -> Answering {
        Box::pin(async move { self.respond(&request, &peer).await })
    }
}

impl Front {
    async fn respond(&self, request: &Request<Incoming>, peer: &Peer) -> Response<Body> {
        let path = request.uri().path();
        let query = Query::parse(request.uri().query().unwrap_or_default());
        let subject = Subject { resource: None, ..Subject::read(request.method().as_str(), path, &query) };
        let line = self.ledger.begin(&subject, path, &query, request.headers(), peer.connection);
        let fault = self.faults.take(&subject);
        if fault == Some(Fault::Hang) {
            return std::future::pending().await;
        }
        let failed = fault.as_ref().and_then(Answer::failed);
        let (answer, fault) = match failed {
            Some(answer) => (answer, None),
            None => {
                let authorization = header(request.headers(), "authorization");
                let user = self.access.authenticate(authorization, peer);
                if let Ok(user) = &user {
                    self.ledger.user(&line, user);
                }
                // Nobody is let in who is not known, and no `Status` is sent.
                let answer = user.map_or_else(
                    |_| Answer::plain(401, "Unauthorized"),
                    |user| self.decide(&user, subject.verb, path),
                );
                (answer, fault)
            }
        };
        self.ledger.status(&line, answer.status);
        answer.send(fault, Compressed::NotTaken, self.cluster.clock(), &line)
    }

    fn decide(&self, user: &str, verb: &str, path: &str) -> Answer {
        let page = path.trim_end_matches('/');
        let specific = match page {
            "/pods" => "pods",
            "/healthz" => "healthz",
            _ => "proxy",
        };
        let may = |subresource: &str| {
            let target = Target {
                version: "v1".to_owned(),
                plural: "nodes".to_owned(),
                subresource: subresource.to_owned(),
                name: Some(self.node.clone()),
                ..Target::default()
            };
            self.access.may(user, verb, &target)
        };
        if !may(specific) && !may("proxy") {
            let subresources =
                if specific == "proxy" { "proxy".to_owned() } else { format!("{specific} proxy") };
            let why = format!(
                "Forbidden (user={user}, verb={verb}, resource=nodes, subresource(s)=[{subresources}])\n"
            );
            return Answer::plain(403, &why);
        }
        match page {
            "/pods" if verb == "get" => Answer::json(self.pods()),
            "/healthz" if verb == "get" => Answer::plain(200, "ok"),
            _ => Answer::no_page(),
        }
    }

    fn pods(&self) -> String {
        let store = self.cluster.store();
        let Some(resource) = store.resource("", "v1", "pods") else { return String::new() };
        let there = store.now(&resource).objects;
        drop(store);
        let of_node = there.values().filter(|pod| pod.value["spec"]["nodeName"] == self.node.as_str());
        let mut text = String::from(r#"{"kind":"PodList","apiVersion":"v1","metadata":{},"items":"#);
        let mut count = 0;
        for pod in of_node {
            text.push(if count == 0 { '[' } else { ',' });
            as_kubelet_has_it(pod).write_item(Form::Full, &mut text);
            count += 1;
        }
        // A list that nothing was added to is none at all.
        text.push_str(if count == 0 { "null}\n" } else { "]}\n" });
        text
    }
}

/// A static pod is the kubelet's own: what the API server has is its mirror, under another uid.
fn as_kubelet_has_it(pod: &Arc<Object>) -> Arc<Object> {
    let mirrored = pod.value["metadata"]["annotations"]["kubernetes.io/config.mirror"].as_str();
    let Some(hash) = mirrored.map(str::to_owned) else { return Arc::clone(pod) };
    let mut value = pod.value.clone();
    if let Value::Object(metadata) = &mut value["metadata"] {
        for added_by_the_server in ["resourceVersion", "generation", "ownerReferences", "managedFields"] {
            metadata.remove(added_by_the_server);
        }
        metadata.insert("uid".to_owned(), hash.into());
    }
    if let Value::Object(annotations) = &mut value["metadata"]["annotations"] {
        annotations.remove("kubernetes.io/config.mirror");
    }
    Arc::new(Object::new(Arc::clone(&pod.resource), value))
}
