//! How a source is reached: by a kubeconfig, or by the service account of the pod that telegen runs in.

use std::path::{Path, PathBuf};

/// Where a pod finds its service account.
pub(crate) const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// How a source is reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Access {
    /// The API server that a kubeconfig's current context names.
    Kubeconfig(PathBuf),
    /// The API server of the cluster, as the service account of the pod.
    ServiceAccount,
    /// A kubelet, as the service account of the pod.
    Kubelet {
        /// `https://<node>:10250`
        url: String,
        /// What its certificate is checked against, instead of the cluster's authority.
        ca_file: Option<PathBuf>,
        /// Takes any certificate: kubelets without `serverTLSBootstrap` sign their own.
        insecure: bool,
        /// The token, instead of the service account's.
        token_file: Option<PathBuf>,
    },
}

/// Whether this process runs in a pod that has a service account.
pub fn in_pod() -> bool {
    std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() && Path::new(SERVICE_ACCOUNT).join("token").exists()
}
