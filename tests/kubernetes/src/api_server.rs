//! The API server: who may ask, what was asked, and which answer it is.

use crate::accept::Wanted;
use crate::access::Access;
use crate::answer::{Answer, Compressed};
use crate::authority::ServerCertificate;
use crate::body::{Body, channel};
use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::endpoint::{Answering, Endpoint, Peer, Service};
use crate::error::Error;
use crate::fault::{Fault, Faults};
use crate::ledger::{Ledger, Line};
use crate::list::List;
use crate::object::Form;
use crate::request::{FieldSelectors, ListOptions, Query, Subject, Target, WatchList};
use crate::resource::Resource;
use crate::status::Status;
use crate::store::Store;
use crate::watch::{Timing, Watch};
use crate::{discovery, random};
use hyper::body::Incoming;
use hyper::{HeaderMap, Request, Response};
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How a server is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// The version before the first change. Earlier ones are forgotten.
    pub first_revision: u64,
    /// Changes that can be watched or listed again; older ones are forgotten.
    pub history_changes: usize,
    /// What becomes of watches that ask for a list first.
    pub watch_list: WatchList,
    /// What becomes of field selectors.
    pub field_selectors: FieldSelectors,
    /// Time between bookmarks of a watch.
    pub bookmark_interval: Duration,
    /// How long a watch lasts at least that does not say; at most twice as long.
    pub watch_timeout: Duration,
    /// What the server shows of itself.
    pub certificate: ServerCertificate,
}

impl Default for Options {
    /// As kube-apiserver's defaults are, but for the first version.
    fn default() -> Self {
        Self {
            first_revision: 200,
            history_changes: 10_000,
            watch_list: WatchList::default(),
            field_selectors: FieldSelectors::default(),
            bookmark_interval: Duration::from_secs(60),
            watch_timeout: Duration::from_secs(1800),
            certificate: ServerCertificate::default(),
        }
    }
}

/// A Kubernetes API server that only reads, at a port of this machine, until it is dropped.
pub struct ApiServer {
    endpoint: Endpoint,
    front: Arc<Front>,
}

impl ApiServer {
    /// Starts a server with an empty cluster of its own.
    ///
    /// # Errors
    ///
    /// If no certificate can be made or no port listened at.
    pub fn start(options: Options) -> Result<Self, Error> {
        let clock = Arc::new(Clock::default());
        let store = Store::new(options.first_revision, options.history_changes);
        let cluster = Cluster::new(store, Arc::clone(&clock));
        Self::serve(cluster, Arc::new(Access::new()?), options)
    }

    /// Starts another server of the same cluster, with the same users: faults and counts are its own.
    ///
    /// # Errors
    ///
    /// If no certificate can be made or no port listened at.
    pub fn replica(&self, options: Options) -> Result<Self, Error> {
        Self::serve(self.front.cluster.clone(), Arc::clone(&self.front.access), options)
    }

    fn serve(cluster: Cluster, access: Arc<Access>, options: Options) -> Result<Self, Error> {
        let tls = access.authority().server(options.certificate)?;
        let front = Arc::new(Front {
            cluster,
            access,
            options,
            faults: Faults::default(),
            ledger: Ledger::default(),
            address: OnceLock::new(),
        });
        let endpoint = Endpoint::start(tls, Arc::clone(&front) as Arc<dyn Service>)?;
        let _ = front.address.set(endpoint.address());
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

    /// The objects.
    pub fn cluster(&self) -> &Cluster {
        &self.front.cluster
    }

    /// Users and what they may.
    pub fn access(&self) -> &Arc<Access> {
        &self.front.access
    }

    /// What is to go wrong.
    pub fn faults(&self) -> &Faults {
        &self.front.faults
    }

    /// What was asked.
    pub fn ledger(&self) -> &Ledger {
        &self.front.ledger
    }

    /// The clock of the server and its objects.
    pub fn clock(&self) -> &Clock {
        self.front.cluster.clock()
    }

    /// Connections that were made so far.
    pub fn connections(&self) -> u64 {
        self.endpoint.accepted()
    }

    /// As if the process had died: its connections are cut and new ones refused.
    ///
    /// # Errors
    ///
    /// If the server has stopped.
    pub fn down(&self) -> Result<(), Error> {
        self.endpoint.down()
    }

    /// Refuses new connections; those that are there go on.
    ///
    /// # Errors
    ///
    /// If the server has stopped.
    pub fn refuse_connections(&self) -> Result<(), Error> {
        self.endpoint.refuse()
    }

    /// Takes no new connection and refuses none: clients are connected, by the kernel, and nobody speaks.
    ///
    /// # Errors
    ///
    /// If the server has stopped.
    pub fn ignore_connections(&self) -> Result<(), Error> {
        self.endpoint.deafen()
    }

    /// Takes connections again, at the same port.
    ///
    /// # Errors
    ///
    /// If the server has stopped, or somebody else listens there now.
    pub fn up(&self) -> Result<(), Error> {
        self.endpoint.up()
    }

    /// Cuts all connections, at whatever they are.
    ///
    /// # Errors
    ///
    /// If the server has stopped.
    pub fn cut_connections(&self) -> Result<(), Error> {
        self.endpoint.cut()
    }
}

struct Front {
    cluster: Cluster,
    access: Arc<Access>,
    options: Options,
    faults: Faults,
    ledger: Ledger,
    address: OnceLock<SocketAddr>,
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
        let subject = Subject::read(request.method().as_str(), path, &query);
        let line = self.ledger.begin(&subject, path, &query, request.headers(), peer.connection);
        let fault = self.faults.take(&subject);
        if fault == Some(Fault::Hang) {
            return std::future::pending().await;
        }
        let failed = fault.as_ref().and_then(Answer::failed);
        let (answer, fault) = match failed {
            Some(answer) => (answer, None),
            None => (self.decide(request, &subject, path, &query, peer, &line), fault),
        };
        self.ledger.status(&line, answer.status);
        let compressed = Compressed::read(header(request.headers(), "accept-encoding"));
        answer.send(fault, compressed, self.cluster.clock(), &line)
    }

    fn decide(
        &self,
        request: &Request<Incoming>,
        subject: &Subject,
        path: &str,
        query: &Query,
        peer: &Peer,
        line: &Line,
    ) -> Answer {
        let authorization = header(request.headers(), "authorization");
        let allowed = self.access.authenticate(authorization, peer).and_then(|user| {
            self.ledger.user(line, &user);
            self.access.authorize(&user, subject, path)
        });
        let answer = allowed.and_then(|()| match &subject.resource {
            Some(target) => self.about_resource(subject.verb, target, query, request.headers()),
            None => Ok(self.about_server(path)),
        });
        answer.unwrap_or_else(Answer::from)
    }

    fn about_server(&self, path: &str) -> Answer {
        if matches!(path.trim_end_matches('/'), "/healthz" | "/livez" | "/readyz") {
            return Answer::plain(200, "ok");
        }
        let address = self.address.get().copied().unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
        let store = self.cluster.store();
        discovery::read(path, store.resources(), address).map_or_else(Answer::no_page, Answer::json)
    }

    fn about_resource(
        &self,
        verb: &str,
        target: &Target,
        query: &Query,
        headers: &HeaderMap,
    ) -> Result<Answer, Status> {
        let store = self.cluster.store();
        let resource = store.resource(&target.group, &target.version, &target.plural);
        let Some(resource) = resource.filter(|resource| is_served(resource, target, verb)) else {
            return Ok(Answer::no_page());
        };
        let wanted = Wanted::read(header(headers, "accept"))?;
        match verb {
            "get" => get(&store, &resource, target, wanted.of_one()?),
            "list" => {
                let options = self.list_options(query)?;
                let list = List::read(&store, &resource, target, &options)?;
                drop(store);
                Ok(Answer::json(list.write(wanted.of_list()?)))
            }
            "watch" => {
                let options = self.list_options(query)?;
                let form = wanted.of_events();
                let watch = Watch::open(&store, &resource, target, &options, self.options.watch_list, form)?;
                drop(store);
                Ok(self.begin_watch(watch, &options))
            }
            _ => Err(Status::method_not_allowed()),
        }
    }

    fn list_options(&self, query: &Query) -> Result<ListOptions, Status> {
        let mut options = ListOptions::read(query, self.options.watch_list)?;
        if self.options.field_selectors == FieldSelectors::Ignored {
            options.field_selector.clear();
        }
        Ok(options)
    }

    fn begin_watch(&self, watch: Watch, options: &ListOptions) -> Answer {
        // One that does not say is spread over twice the time, so that not all come back at once.
        let spread = 1.0 + f64::from(random::number()) / f64::from(u32::MAX);
        let timeout =
            options.timeout_s.map_or_else(|| self.options.watch_timeout.mul_f64(spread), Duration::from_secs);
        let timing = Timing { timeout, bookmark_interval: self.options.bookmark_interval };
        let interruptions = self.faults.interruptions();
        let open = self.ledger.open_watch();
        let cluster = self.cluster.clone();
        let (pieces, received) = channel();
        tokio::spawn(async move {
            watch.run(timing, pieces, interruptions, move || cluster.revision()).await;
            drop(open);
        });
        Answer::stream(received)
    }
}

fn get(store: &Store, resource: &Resource, target: &Target, form: Form) -> Result<Answer, Status> {
    let name = target.name.as_deref().unwrap_or_default();
    let namespace = target.namespace.as_deref().filter(|_| resource.namespaced).unwrap_or_default();
    let object = store
        .get(resource, namespace, name)
        .ok_or_else(|| Status::not_found(&resource.group, &resource.plural, name))?;
    let mut text = String::new();
    object.write(form, &mut text);
    text.push('\n');
    Ok(Answer::json(text))
}

/// Whether a path leads to something: objects in namespaces have one, others have none.
fn is_served(resource: &Resource, target: &Target, verb: &str) -> bool {
    let namespaces = resource.group.is_empty() && resource.plural == "namespaces";
    let placed = match (resource.namespaced, &target.namespace) {
        (true, None) => verb != "get",
        (false, Some(_)) => namespaces,
        _ => true,
    };
    placed && target.subresource.is_empty()
}

pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
