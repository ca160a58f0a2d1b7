//! The pods of this node, as the thread that decides knows them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use telegen_k8s::{Bell, Change, KnownPod, Standing};
use telegen_model::{Container, PodFacts, ProcessFacts, base_name};

/// How long a pod is expected that runs here and that a source in sync does not know. The kubelet and telegen hear of it at the same
/// time, and a container is not started that fast.
const EXPECTED: Duration = Duration::from_secs(5);
/// Pods that are met and not known at most; what is beyond is pending for good, or until there is room.
const MOST_UNKNOWN: usize = 4096;

/// The pods of this node.
pub(crate) struct PodBook {
    /// By the uid that control groups carry.
    pods: HashMap<Box<str>, Arc<KnownPod>>,
    standing: Standing,
    /// Pods that were met and are not known, and until when each is expected; `None` once it is not any more.
    unknown: HashMap<Box<str>, Option<Instant>>,
    /// How long one is expected.
    expected: Duration,
    /// Tells the source that one was met.
    bell: Bell,
    in_sync: Arc<AtomicBool>,
    node: String,
    /// It was said that the node may be another.
    doubted: bool,
}

impl PodBook {
    /// Nothing is known. `bell` is rung when a pod is met that is not known; `in_sync` is set when all are.
    pub(crate) fn new(bell: Bell, in_sync: Arc<AtomicBool>, node: &str) -> Self {
        Self {
            pods: HashMap::new(),
            standing: Standing::Starting,
            unknown: HashMap::new(),
            expected: EXPECTED,
            bell,
            in_sync,
            node: node.to_owned(),
            doubted: false,
        }
    }

    /// No pod is expected any more that is not known to a source in sync: for who looks once, and cannot wait.
    pub(crate) fn expect_none(&mut self) {
        self.expected = Duration::ZERO;
    }

    /// The pod that a process runs in. A sandbox, which holds the namespaces of a pod, is none of its processes.
    pub(crate) fn pod_of(&mut self, facts: &ProcessFacts) -> PodFacts {
        let Some(container) = &facts.container else { return PodFacts::InNone };
        let pod = self.pod_of_container(container);
        match &pod {
            PodFacts::Known { container: None, .. } if is_sandbox(facts) => PodFacts::InNone,
            _ => pod,
        }
    }

    /// The pod that a container is of.
    pub(crate) fn pod_of_container(&mut self, container: &Container) -> PodFacts {
        let Some(uid) = &container.pod_uid else { return PodFacts::InNone };
        if let Some(known) = self.pods.get(uid) {
            let name = known.container(&container.id).cloned();
            return PodFacts::Known { pod: known.pod.clone(), container: name };
        }
        match self.unknown.get(uid) {
            Some(None) => PodFacts::NotHere,
            Some(Some(_)) => PodFacts::Pending,
            None => {
                if self.unknown.len() < MOST_UNKNOWN {
                    self.unknown.insert(uid.clone(), Some(Instant::now() + self.expected));
                    self.bell.ring();
                }
                PodFacts::Pending
            }
        }
    }

    /// Takes in what the source has told; the uids of pods of which something else is known now.
    pub(crate) fn take(&mut self, changes: Vec<Change>, now: Instant) -> Vec<Box<str>> {
        let mut uids = Vec::new();
        for change in changes {
            match change {
                Change::Here(known) => {
                    let uid = known.pod.uid.clone();
                    self.unknown.remove(&uid);
                    self.pods.insert(uid.clone(), known);
                    uids.push(uid);
                }
                Change::Gone(uid) => {
                    self.pods.remove(&uid);
                    // Whoever still runs in it has seen it go.
                    if self.unknown.len() < MOST_UNKNOWN {
                        self.unknown.insert(uid.clone(), None);
                    }
                    uids.push(uid);
                }
                Change::Standing(standing) => self.set_standing(standing, now),
            }
        }
        uids
    }

    /// The uids of pods that are not expected any more.
    pub(crate) fn give_up(&mut self, now: Instant) -> Vec<Box<str>> {
        if self.standing != Standing::InSync {
            return Vec::new();
        }
        let mut uids = Vec::new();
        for (uid, expected) in &mut self.unknown {
            if expected.is_some_and(|until| until <= now) {
                *expected = None;
                uids.push(uid.clone());
            }
        }
        if !uids.is_empty() && self.pods.is_empty() && !self.doubted {
            self.doubted = true;
            tracing::warn!(
                node = %self.node,
                strangers = uids.len(),
                "processes run in pods here, and Kubernetes knows of no pod on this node: is kubernetes.node_name right?"
            );
        }
        uids
    }

    /// When the next pod is not expected any more.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        if self.standing == Standing::InSync { self.unknown.values().flatten().min().copied() } else { None }
    }

    /// Forgets pods that nobody runs in and nobody knows.
    pub(crate) fn keep_met(&mut self, is_met: impl Fn(&str) -> bool) {
        self.unknown.retain(|uid, _| is_met(uid));
    }

    fn set_standing(&mut self, standing: Standing, now: Instant) {
        self.standing = standing;
        if standing == Standing::InSync {
            // What was met while nobody could be asked is expected from now on.
            for expected in self.unknown.values_mut().flatten() {
                *expected = now + self.expected;
            }
            self.in_sync.store(true, Ordering::Release);
        }
    }
}

/// Whether it is the process that runtimes put into a pod's sandbox: Kubernetes' own, or OpenShift's.
fn is_sandbox(facts: &ProcessFacts) -> bool {
    facts.executable.as_deref().is_some_and(|path| base_name(path) == "pause" || path == "/usr/bin/pod")
}

#[cfg(test)]
mod tests {
    use super::*;
    use telegen_model::{ContainerId, Generation, Pid, Pod, ProcessId, ProcessKey, StartTime};

    const UID: &str = "11111111-2222-3333-4444-555555555555";

    fn container(digit: char) -> Arc<Container> {
        let id = ContainerId::new(&digit.to_string().repeat(64)).unwrap();
        Arc::new(Container { id, pod_uid: Some(UID.into()) })
    }

    fn process(container: Option<Arc<Container>>, executable: &str) -> ProcessFacts {
        ProcessFacts {
            key: ProcessKey { id: ProcessId { pid: Pid(7), start: StartTime(1) }, generation: Generation(0) },
            parent: Pid(1),
            kernel_thread: false,
            comm: "x".into(),
            executable: Some(executable.into()),
            argv0: None,
            container,
            pod: PodFacts::InNone,
        }
    }

    fn known(namespace: &str) -> Arc<KnownPod> {
        let pod = Pod {
            uid: UID.into(),
            namespace: Some(namespace.into()),
            name: Some("web".into()),
            details: None,
        };
        let containers = [(container('a').id.clone(), Arc::from("main"))].into();
        Arc::new(KnownPod { pod: Arc::new(pod), containers })
    }

    fn book() -> (PodBook, Arc<AtomicBool>) {
        let in_sync = Arc::new(AtomicBool::new(false));
        (PodBook::new(Bell::default(), in_sync.clone(), "node-1"), in_sync)
    }

    #[test]
    fn a_pod_that_is_not_known_is_expected_for_a_while_and_then_not_here() {
        let (mut book, in_sync) = book();
        let facts = process(Some(container('a')), "/bin/x");
        assert_eq!(book.pod_of(&facts), PodFacts::Pending);
        assert_eq!(book.pod_of(&facts), PodFacts::Pending);
        let now = Instant::now();
        assert_eq!(book.next_deadline(), None);
        assert!(book.give_up(now + EXPECTED * 9).is_empty(), "nobody has answered yet");
        assert!(book.take(vec![Change::Standing(Standing::InSync)], now).is_empty());
        assert!(in_sync.load(Ordering::Acquire));
        assert_eq!(book.next_deadline(), Some(now + EXPECTED));
        assert!(book.give_up(now + EXPECTED / 2).is_empty());
        assert_eq!(book.give_up(now + EXPECTED), [UID.into()]);
        assert_eq!(book.pod_of(&facts), PodFacts::NotHere);
        assert_eq!(book.take(vec![Change::Here(known("a"))], now), [UID.into()]);
        let PodFacts::Known { pod, container: name } = book.pod_of(&facts) else { panic!() };
        assert_eq!((pod.namespace.as_deref(), name.as_deref()), (Some("a"), Some("main")));
    }

    #[test]
    fn what_is_known_stays_while_the_source_is_lost_and_what_is_new_is_pending() {
        let (mut book, ..) = book();
        let now = Instant::now();
        book.take(vec![Change::Here(known("a")), Change::Standing(Standing::InSync)], now);
        book.take(vec![Change::Standing(Standing::Lost)], now);
        assert!(matches!(book.pod_of(&process(Some(container('a')), "/x")), PodFacts::Known { .. }));
        let other = Arc::new(Container { pod_uid: Some("0".repeat(32).into()), ..(*container('b')).clone() });
        assert_eq!(book.pod_of_container(&other), PodFacts::Pending);
        assert!(book.give_up(now + EXPECTED * 9).is_empty());
        assert_eq!(book.pod_of_container(&other), PodFacts::Pending);
    }

    #[test]
    fn a_pod_that_has_gone_is_not_expected_back() {
        let (mut book, ..) = book();
        let now = Instant::now();
        book.take(vec![Change::Here(known("a")), Change::Standing(Standing::InSync)], now);
        assert_eq!(book.take(vec![Change::Gone(UID.into())], now), [UID.into()]);
        assert_eq!(book.pod_of(&process(Some(container('a')), "/x")), PodFacts::NotHere);
        book.keep_met(|_| false);
        assert!(book.unknown.is_empty());
    }

    #[test]
    fn a_sandbox_is_in_no_pod_and_a_container_that_is_not_named_yet_is() {
        let (mut book, ..) = book();
        book.take(vec![Change::Here(known("a"))], Instant::now());
        assert_eq!(book.pod_of(&process(Some(container('b')), "/pause")), PodFacts::InNone);
        assert_eq!(book.pod_of(&process(Some(container('b')), "/usr/bin/pod")), PodFacts::InNone);
        // Somebody may call his own program so.
        assert!(matches!(book.pod_of(&process(Some(container('a')), "/pause")), PodFacts::Known { .. }));
        let PodFacts::Known { container: None, .. } = book.pod_of(&process(Some(container('b')), "/app"))
        else {
            panic!()
        };
        assert_eq!(book.pod_of(&process(None, "/app")), PodFacts::InNone);
    }
}
