//! Kubernetes, as it is asked for the pods of this node.

#[cfg(not(feature = "kubernetes"))]
use super::without_kubernetes::Pods;
use super::{BUILT_WITHOUT, CAN_ASK, PodBook, PodSource};
use crate::allocator::give_back;
use crate::engine::Command;
use crate::engine::waker::Sender;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};
#[cfg(feature = "kubernetes")]
use telegen_k8s::Pods;
use telegen_k8s::{Access, Bell, Change, Figures, Options, Source};
use telegen_rules::RuleSet;

/// How long commands wait for the source.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// How long commands wait that would only show what it knows.
const COURTESY: Duration = Duration::from_millis(500);
const TICK: Duration = Duration::from_millis(5);
/// Changes that wait to be taken in.
const QUEUE: usize = 64;

/// A source that is not asked yet: first there has to be somebody to tell.
pub(crate) struct Prepared {
    options: Options,
    bell: Bell,
    in_sync: Arc<AtomicBool>,
}

/// A source that is asked, until this is dropped.
pub(crate) struct Kubernetes {
    pods: Pods,
    in_sync: Arc<AtomicBool>,
    options: Options,
}

/// How a source stands, from any thread.
#[derive(Clone)]
pub(crate) struct PodsView {
    pub(crate) figures: Arc<Figures>,
    in_sync: Arc<AtomicBool>,
    asked: String,
}

impl Prepared {
    /// What pods are known from, and what is to be started for it.
    pub(crate) fn of(options: Option<Options>) -> (PodSource, Option<Self>) {
        let Some(options) = options else { return (PodSource::Environment, None) };
        let prepared = Self { options, bell: Bell::default(), in_sync: Arc::default() };
        let book = PodBook::new(prepared.bell.clone(), prepared.in_sync.clone(), &prepared.options.node);
        (PodSource::Book(book), Some(prepared))
    }

    /// Asks, and tells the thread that decides.
    pub(crate) fn start(self, decider: Sender<Command>) -> Result<Kubernetes, telegen_bpf::Error> {
        let tell = move |changes| {
            if decider.send(Command::Pods(changes)).is_err() {
                tracing::debug!("nobody takes what the source of pods tells");
            }
        };
        self.start_with(tell).map_err(|source| telegen_bpf::Error::Kernel {
            action: "starting the thread tg-kubernetes",
            source,
        })
    }

    fn start_with(self, tell: impl FnMut(Vec<Change>) + Send + 'static) -> std::io::Result<Kubernetes> {
        let pods = Pods::start(self.options.clone(), self.bell, tell, give_back)?;
        Ok(Kubernetes { pods, in_sync: self.in_sync, options: self.options })
    }
}

impl Kubernetes {
    /// How it stands, for other threads.
    pub(crate) fn view(&self) -> PodsView {
        let Options { source, node, .. } = &self.options;
        let asked = format!("{} for the pods of node {node}", name(*source));
        PodsView { figures: self.pods.figures(), in_sync: self.in_sync.clone(), asked }
    }

    /// Waits until all pods of the node have been decided by; the error says who was asked and what came instead.
    pub(crate) fn wait(&self, patience: Duration) -> Result<(), String> {
        let (view, deadline) = (self.view(), Instant::now() + patience);
        while let Some(missing) = view.missing() {
            if Instant::now() >= deadline {
                return Err(format!("{missing} (waited {} s)", patience.as_secs()));
            }
            std::thread::sleep(TICK);
        }
        Ok(())
    }
}

impl PodsView {
    /// What is not there as long as not all pods are known.
    pub(crate) fn missing(&self) -> Option<String> {
        if self.in_sync.load(Ordering::Acquire) {
            return None;
        }
        let answer = self.figures.failure().unwrap_or_else(|| "no answer yet".to_owned());
        Some(format!("asked {}: {answer}", self.asked))
    }
}

/// What pods are needed for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Rules ask for them.
    Decides,
    /// They are shown along with what is decided without them.
    Shows,
}

impl Need {
    /// What these rules need them for.
    pub(crate) fn of(rules: &RuleSet) -> Self {
        if rules.needs_pod() { Self::Decides } else { Self::Shows }
    }
}

/// Pods for a command that looks at processes once, or now and then, without the kernel telling of them.
pub(crate) struct Look {
    pods: PodSource,
    asked: Option<(Kubernetes, Receiver<Vec<Change>>)>,
}

impl Look {
    /// Begins to ask.
    pub(crate) fn new(options: Option<Options>) -> Self {
        let (pods, prepared) = Prepared::of(options);
        let (to, changes) = sync_channel(QUEUE);
        let started = prepared.map(|prepared| {
            prepared.start_with(move |change| {
                // Nobody wants to know any more.
                let _ = to.send(change);
            })
        });
        let asked = match started.transpose() {
            Ok(kubernetes) => kubernetes.map(|kubernetes| (kubernetes, changes)),
            Err(error) => {
                tracing::warn!(%error, "pods cannot be asked for");
                None
            }
        };
        Self { pods, asked }
    }

    /// Waits until all pods of the node are known, for a look at processes that is the only one; what is not known then is not here.
    pub(crate) fn wait(&mut self, need: Need) -> Result<(), String> {
        let patience = match need {
            Need::Decides => PATIENCE,
            Need::Shows => COURTESY,
        };
        let deadline = Instant::now() + patience;
        self.pods.expect_none();
        loop {
            self.take();
            let Some((kubernetes, _)) = &self.asked else { return Ok(()) };
            let view = kubernetes.view();
            let Some(missing) = view.missing() else { return Ok(()) };
            // Who needs no answer does not wait for a second one.
            if need == Need::Shows && view.figures.failure().is_some() {
                return Err(missing);
            }
            if Instant::now() >= deadline {
                return Err(format!("{missing} (waited {patience:?})"));
            }
            std::thread::sleep(TICK);
        }
    }

    /// What is known by now.
    pub(crate) fn pods(&mut self) -> &mut PodSource {
        self.take();
        &mut self.pods
    }

    fn take(&mut self) {
        if let Some((_, changes)) = &self.asked {
            while let Ok(changes) = changes.try_recv() {
                self.pods.take(changes, Instant::now());
            }
        }
        self.pods.give_up(Instant::now());
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        if let Some((kubernetes, changes)) = self.asked.take() {
            // Whoever waits for room in the channel is to see that there is none to come.
            drop(changes);
            drop(kubernetes);
        }
    }
}

/// What pods are known from, and what of them.
pub(crate) fn described(options: Option<&Options>) -> String {
    let Some(Options { source, access, node, .. }) = options else {
        let why = if CAN_ASK { "no Kubernetes source is configured" } else { BUILT_WITHOUT };
        return format!("their processes, which say namespace and name: {why}");
    };
    let by = match access {
        Access::Kubeconfig(path) => format!("by {}", path.display()),
        Access::ServiceAccount => "by the pod's service account".to_owned(),
        Access::Kubelet { url, .. } => format!("at {url}"),
    };
    let known = match source {
        Source::Api => "namespaces, pods, labels, annotations and workloads",
        Source::Kubelet => {
            "namespaces, pods, labels, annotations and what owns a pod itself: no Deployments, no CronJobs"
        }
    };
    format!("{} {by}, for node {node}: {known}", name(*source))
}

fn name(source: Source) -> &'static str {
    match source {
        Source::Api => "the API server",
        Source::Kubelet => "the kubelet",
    }
}
