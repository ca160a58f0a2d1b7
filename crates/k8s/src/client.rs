//! Clients, by what their files say.

use crate::Error;
use crate::access::{Access, SERVICE_ACCOUNT};
use kube_client::config::{KubeConfigOptions, Kubeconfig};
use kube_client::{Client, Config};
use std::path::Path;
use std::time::Duration;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

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
