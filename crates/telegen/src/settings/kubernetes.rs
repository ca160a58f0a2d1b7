//! Who is asked for pods, by the configuration and what is around it.

use crate::failure::{Failure, Status};
use crate::pods::{BUILT_WITHOUT, CAN_ASK};
use std::env;
use std::path::{Path, PathBuf};
use telegen_config::{Config, Kubernetes, KubernetesUse, PodSource};
use telegen_k8s::{Access, Options, Source, in_pod};
use telegen_rules::RuleSet;

/// By which a pod takes itself out, or puts itself in.
const PROFILE_ANNOTATION: &str = "telegen.io/profile";
/// Where kubelets listen unless they are told otherwise.
const KUBELET_PORT: u16 = 10_250;

const NO_SOURCE: &str = "warning: there are rules on workloads, labels or annotations of pods, and no Kubernetes source to learn them \
                         from (kubernetes.enabled): such rules match nothing, and what they should exclude is not excluded";
const NO_DEPLOYMENTS: &str = "warning: there are rules on deployments or cronjobs, and the kubelet does not know them: such rules match \
                              nothing, and what they should exclude is not excluded; kubernetes.source: api knows them";

/// What is asked for, if anything is.
pub(super) fn options(config: &Kubernetes) -> Result<Option<Options>, Failure> {
    if !is_on(config) {
        return Ok(None);
    }
    if !CAN_ASK {
        let wanted =
            "and kubernetes.enabled is true: set it to auto or false, or take one that was built with it";
        return Err(Failure::message(Status::Usage, format!("{BUILT_WITHOUT}, {wanted}")));
    }
    let (source, access) = match config.source {
        PodSource::Api => (Source::Api, api_server(config)?),
        PodSource::Kubelet => (Source::Kubelet, kubelet(config)),
    };
    let node = node_name(config)?;
    Ok(Some(Options { source, access, node, annotations: vec![PROFILE_ANNOTATION] }))
}

/// What the rules need and no source of theirs can tell.
pub(super) fn warning(config: &Config, rules: &RuleSet) -> Option<String> {
    if !rules.needs_pod_details() {
        return None;
    }
    let of_owners = config.rules.needs_owners_of_owners()
        || config.targets.iter().any(|target| target.rules.needs_owners_of_owners());
    let lacking = if !is_on(&config.kubernetes) {
        NO_SOURCE
    } else if config.kubernetes.source == PodSource::Kubelet && of_owners {
        NO_DEPLOYMENTS
    } else {
        return None;
    };
    Some(lacking.to_owned())
}

fn is_on(config: &Kubernetes) -> bool {
    match config.enabled {
        KubernetesUse::On => true,
        KubernetesUse::Off => false,
        KubernetesUse::Auto => CAN_ASK && in_pod(),
    }
}

fn api_server(config: &Kubernetes) -> Result<Access, Failure> {
    match config.kubeconfig.clone().or_else(|| from_environment("KUBECONFIG").map(PathBuf::from)) {
        Some(path) => {
            readable(&path)?;
            Ok(Access::Kubeconfig(path))
        }
        None if in_pod() => Ok(Access::ServiceAccount),
        None => Err(Failure::message(
            Status::Usage,
            "kubernetes.enabled is true, and there is no way to the API server: set kubernetes.kubeconfig or $KUBECONFIG, or run \
             in a pod that has a service account",
        )),
    }
}

fn readable(path: &Path) -> Result<(), Failure> {
    let unreadable = |error| {
        Failure::message(Status::Usage, format!("{}: the kubeconfig cannot be read: {error}", path.display()))
    };
    std::fs::File::open(path).map(drop).map_err(unreadable)
}

fn kubelet(config: &Kubernetes) -> Access {
    let telegen_config::Kubelet { url, ca_file, token_file, insecure } = config.kubelet.clone();
    let host = || {
        let host = from_environment("HOST_IP").unwrap_or_else(|| "127.0.0.1".to_owned());
        if host.contains(':') {
            format!("https://[{host}]:{KUBELET_PORT}")
        } else {
            format!("https://{host}:{KUBELET_PORT}")
        }
    };
    Access::Kubelet { url: url.unwrap_or_else(host), ca_file, insecure, token_file }
}

/// A kubelet names its node after the machine unless it is told otherwise; a pod has a host name of its own.
fn node_name(config: &Kubernetes) -> Result<String, Failure> {
    let machine = || {
        let name = rustix::system::uname().nodename().to_string_lossy().to_lowercase();
        (!in_pod() && !name.is_empty()).then_some(name)
    };
    let name = config.node_name.clone().or_else(|| from_environment("NODE_NAME")).or_else(machine);
    name.ok_or_else(|| {
        Failure::message(
            Status::Usage,
            "the name of this node is not known: set kubernetes.node_name, or $NODE_NAME from the field spec.nodeName of the pod",
        )
    })
}

fn from_environment(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_asked_only_by_a_telegen_that_can() {
        let config = Kubernetes {
            enabled: KubernetesUse::On,
            source: PodSource::Kubelet,
            node_name: Some("node-1".to_owned()),
            ..Config::default().kubernetes
        };
        match options(&config) {
            Ok(asked) => assert!(CAN_ASK && asked.is_some_and(|asked| asked.node == "node-1")),
            Err(failure) => {
                assert!(!CAN_ASK && failure.to_string().contains("kubernetes.enabled is true"), "{failure}");
            }
        }
        let off = Kubernetes { enabled: KubernetesUse::Off, ..config };
        assert!(options(&off).is_ok_and(|asked| asked.is_none()));
    }
}
