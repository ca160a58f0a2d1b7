//! How a source is reached: by a kubeconfig, or by the service account of the pod that telegen runs in.

use crate::Error;
use kube_client::config::{KubeConfigOptions, Kubeconfig};
use kube_client::{Client, Config};
use std::path::{Path, PathBuf};
use std::time::Duration;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Where a pod finds its service account.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

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

impl Access {
    /// A client, with what its files say now.
    pub(crate) async fn client(&self) -> Result<Client, Error> {
        let mut config = match self {
            Self::Kubeconfig(path) => from_kubeconfig(path).await?,
            Self::ServiceAccount => {
                Config::incluster_env().map_err(|error| Error::NoAccess { reason: error.to_string() })?
            }
            Self::Kubelet { url, ca_file, insecure, token_file } => {
                kubelet(url, ca_file.as_deref(), *insecure, token_file.as_deref())?
            }
        };
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        // We wait ourselves, for as long as suits a source that nobody waits for.
        config.default_retry = false;
        Client::try_from(config).map_err(|error| Error::connection("making a client", &error))
    }
}

async fn from_kubeconfig(path: &Path) -> Result<Config, Error> {
    let failed = |reason: String| Error::Kubeconfig { path: path.into(), reason };
    let kubeconfig = Kubeconfig::read_from(path).map_err(|error| failed(error.to_string()))?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    config.map_err(|error| failed(error.to_string()))
}

fn kubelet(
    url: &str,
    ca_file: Option<&Path>,
    insecure: bool,
    token_file: Option<&Path>,
) -> Result<Config, Error> {
    let failed = |reason: String| Error::NoAccess { reason };
    let uri = url.parse().map_err(|error| failed(format!("{url}: {error}")))?;
    let mut config = Config::new(uri);
    let account = Path::new(SERVICE_ACCOUNT);
    config.accept_invalid_certs = insecure;
    if !insecure {
        config.root_cert_file = Some(ca_file.map_or_else(|| account.join("ca.crt"), Path::to_owned));
    }
    let token = token_file.map_or_else(|| account.join("token"), Path::to_owned);
    config.auth_info.token_file = Some(token.display().to_string());
    Ok(config)
}
