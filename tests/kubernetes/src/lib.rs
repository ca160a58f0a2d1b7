//! A Kubernetes API server and a kubelet for tests, over real HTTP and real TLS.
//!
//! # Design constraints
//!
//! - It is written from what Kubernetes publishes (API conventions and concepts, the source of the servers) and
//!   from recorded answers (`fixtures/`), never from a client: what it tolerates is what a server tolerates.
//! - It only reads. Objects are made, changed and deleted by the test in the same process, through [`Cluster`].
//! - Everything that a client may meet can be made to happen on command: [`ApiServer::down`], [`Faults`],
//!   [`Access`], [`Cluster::compact`].
//! - What a client did can be counted: [`Ledger`].
//!
//! What it does not do: HTTP/2 (clients that offer HTTP/1.1 as well get that), other encodings than JSON,
//! tables, writes, aggregated discovery.
//!
//! ```no_run
//! use telegen_test_kubernetes::{ApiServer, Container, Grant, Options, Pod, Runtime};
//!
//! let server = ApiServer::start(Options::default())?;
//! let token = server.access().issue_token("system:serviceaccount:telegen:telegen");
//! for verb in ["list", "watch"] {
//!     server.access().grant("system:serviceaccount:telegen:telegen", Grant::cluster(verb, "", "pods"));
//! }
//! let main = Container::running("main", Runtime::Containerd.container_id());
//! server.cluster().put(Pod::new("shop", "web-0").node("node-1").container(main).build())?;
//! # let _ = token;
//! # Ok::<(), telegen_test_kubernetes::Error>(())
//! ```

mod accept;
mod access;
mod answer;
mod api_server;
mod authority;
mod body;
mod client_files;
mod clock;
mod cluster;
mod container;
mod discovery;
mod endpoint;
mod error;
mod fault;
mod kubelet;
mod ledger;
mod list;
mod object;
mod order;
mod pod;
mod random;
mod request;
mod resource;
mod selector;
mod status;
mod store;
mod watch;
mod workload;

pub use access::{Access, Grant};
pub use api_server::{ApiServer, Options};
pub use authority::{Authority, Identity, ServerCertificate};
pub use client_files::{Credentials, ServiceAccount, kubeconfig, write_kubeconfig};
pub use clock::Clock;
pub use cluster::Cluster;
pub use container::{Container, Runtime};
pub use error::Error;
pub use fault::{Fault, Faults, Interruption, Which};
pub use kubelet::Kubelet;
pub use ledger::{Entry, Ledger};
pub use pod::Pod;
pub use request::{FieldSelectors, WatchList};
pub use resource::Resource;
pub use workload::Workload;
