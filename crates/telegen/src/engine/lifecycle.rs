//! The thread `tg-lifecycle`: owns the selection. Events in, decisions to the kernel, starts and stops to the
//! draining thread.

use super::audience::{Audience, Watcher};
use super::drain;
use super::waker::{Inbox, Sender, channel};
use crate::containers::Containers;
use crate::metrics::Metrics;
use crate::pods::{pod_again, pod_of};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant, SystemTime};
use telegen_bpf::{
    Decider, Event, EventKind, EventReader, Kernel, Outcome, Scanned, Scanner, State, StateChange,
};
use telegen_collect::{ImageFacts, Interval};
use telegen_model::{Container, Pid, PodFacts, ProcessFacts, ProcessId};
use telegen_process::ProcFs;
use telegen_rules::{Decision, RuleSet};
use telegen_select::{Observed, Operation, Selection, Selector};

/// How often all processes are looked at again, only to find events that were lost.
const REPAIR_INTERVAL: Duration = Duration::from_secs(30);
const QUEUE: usize = 64;

/// Targets whose stacks can be unwound from their first sample on, because they are made ready before the clocks
/// start. With more than that most are idle, and cost nothing until they are not.
const MAX_PREPARED: usize = 64;

/// What the thread is told.
pub(crate) enum Command {
    /// Other rules from now on.
    Reload(Box<RuleSet>),
    /// A process and all that descend from it are profiled; answered when that holds.
    Follow(ProcessId, SyncSender<bool>),
    /// So many targets at the most from now on.
    LimitTargets(usize),
    /// The interval ends, after everything that has happened before this command.
    Flush(SyncSender<Interval>),
}

/// The thread, from outside.
pub(crate) struct Lifecycle {
    pub(crate) sender: Sender<Command>,
    pub(crate) selection: Selection,
    /// Kernel threads, which the selection knows nothing of.
    pub(crate) kernel_threads: Arc<AtomicUsize>,
    thread: JoinHandle<()>,
}

/// What the thread works with.
pub(crate) struct Parts {
    pub(crate) rules: RuleSet,
    pub(crate) max_targets: usize,
    pub(crate) audience: Audience,
    pub(crate) metrics: Arc<Metrics>,
    /// Called once, when the first scan has been decided on.
    pub(crate) ready: Box<dyn FnOnce(Summary) + Send>,
}

/// The figures of a complete decision.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Summary {
    /// Processes and kernel threads that were looked at.
    pub(crate) scanned: usize,
    /// Targets.
    pub(crate) matched: usize,
}

impl Lifecycle {
    /// Starts the thread. The kernel side must be watching processes already, or the scan races with forks.
    pub(crate) fn start(kernel: &Kernel, parts: Parts) -> Result<Self, telegen_bpf::Error> {
        let failed = |source| telegen_bpf::Error::Kernel { action: "starting the lifecycle thread", source };
        let (sender, inbox) = channel(QUEUE).map_err(failed)?;
        let (decider, scanner) = (kernel.decider()?, kernel.scanner()?);
        let ring = kernel.event_ring()?;
        let limits = telegen_select::Limits { max_targets: parts.max_targets };
        let own = Pid(std::process::id());
        let (with_containers, with_pods) = (parts.rules.needs_container(), parts.rules.needs_pod());
        let selector = Selector::new(parts.rules.at(SystemTime::now()), own, limits);
        let selection = selector.selection();
        let kernel_threads = Arc::new(AtomicUsize::new(0));
        let counted = kernel_threads.clone();
        let thread = Builder::new().name("tg-lifecycle".into()).spawn(move || {
            let queue = Rc::new(RefCell::new(VecDeque::new()));
            let into = queue.clone();
            let started = ring.reader(move |event| into.borrow_mut().push_back(event)).and_then(|reader| {
                let Parts { audience, metrics, ready, .. } = parts;
                Owner {
                    reader,
                    queue,
                    decider,
                    scanner,
                    selector,
                    audience,
                    metrics,
                    kernel_threads: counted,
                    prepare: 0,
                    with_containers,
                    with_pods,
                }
                .run(&inbox, ready)
            });
            if let Err(error) = started {
                tracing::error!(%error, "following processes has stopped: the selection stays as it is");
            }
        });
        Ok(Self { sender, selection, kernel_threads, thread: thread.map_err(failed)? })
    }

    /// Ends the thread, once nobody else holds a sender.
    pub(crate) fn join(self) {
        let Self { sender, thread, .. } = self;
        drop(sender);
        // A panic there has been printed by its thread.
        let _ = thread.join();
    }
}

struct Owner {
    reader: EventReader,
    queue: Rc<RefCell<VecDeque<Event>>>,
    decider: Decider,
    scanner: Scanner,
    selector: Selector,
    audience: Audience,
    metrics: Arc<Metrics>,
    kernel_threads: Arc<AtomicUsize>,
    /// How many more targets are to be made ready ahead of their first sample.
    prepare: usize,
    /// Whether rules need the container of every process. It is a label of targets in any case.
    with_containers: bool,
    /// Whether rules need the pod of every process.
    with_pods: bool,
}

impl Owner {
    fn run(
        mut self,
        inbox: &Inbox<Command>,
        ready: Box<dyn FnOnce(Summary) + Send>,
    ) -> Result<(), telegen_bpf::Error> {
        let failed = |source| telegen_bpf::Error::Kernel { action: "waiting for events", source };
        self.prepare = MAX_PREPARED;
        self.scan()?;
        self.prepare = 0;
        ready(self.log_summary());
        let mut next_repair = Instant::now() + REPAIR_INTERVAL;
        loop {
            let repair = next_repair.saturating_duration_since(Instant::now());
            let timeout = self.until_next_end().map_or(repair, |end| end.min(repair));
            let woken = inbox.wait(Some(self.reader.descriptor()), Some(timeout)).map_err(failed)?;
            self.handle_events()?;
            self.end_targets()?;
            if woken.message && !self.take_commands(inbox)? {
                return Ok(());
            }
            if Instant::now() >= next_repair {
                next_repair = Instant::now() + REPAIR_INTERVAL;
                let repairs = self.scan()?;
                self.metrics.repaired.inc_by((repairs.found + repairs.gone) as u64);
                if repairs != telegen_select::Repairs::default() {
                    tracing::warn!(
                        found = repairs.found,
                        gone = repairs.gone,
                        "a scan has repaired lost events"
                    );
                }
                self.log_summary();
            }
        }
    }

    /// How long until the next target ends. The clock may be set meanwhile, so that it is to be asked again after each
    /// repair at the latest.
    fn until_next_end(&self) -> Option<Duration> {
        let end = self.selector.selection().rules().next_end()?;
        Some(end.duration_since(SystemTime::now()).unwrap_or_default())
    }

    /// Lets go of what targets have selected whose end has come.
    fn end_targets(&mut self) -> Result<(), telegen_bpf::Error> {
        let (rules, now) = (self.selector.selection().rules(), SystemTime::now());
        if rules.next_end().is_none_or(|end| end > now) {
            return Ok(());
        }
        let mut out = Vec::new();
        self.selector.renew(rules.at(now), &mut out);
        self.carry_out(out, &[])?;
        tracing::info!("the end of a target has come");
        self.log_summary();
        Ok(())
    }

    /// False when nobody is left to send any.
    fn take_commands(&mut self, inbox: &Inbox<Command>) -> Result<bool, telegen_bpf::Error> {
        loop {
            match inbox.take() {
                Ok(Command::Reload(rules)) => {
                    let asks_more = rules.needs_container() && !self.with_containers
                        || rules.needs_pod() && !self.with_pods;
                    (self.with_containers, self.with_pods) = (rules.needs_container(), rules.needs_pod());
                    if asks_more {
                        // The new rules must not take what nobody has asked for yet for what is not there.
                        self.scan()?;
                    }
                    let mut out = Vec::new();
                    self.selector.reload(rules.at(SystemTime::now()), &mut out);
                    self.carry_out(out, &[])?;
                    self.log_summary();
                }
                Ok(Command::Follow(id, answer)) => {
                    let mut out = Vec::new();
                    let known = self.selector.follow(id, &mut out);
                    self.carry_out(out, &[])?;
                    // Whoever asked may have given up.
                    let _ = answer.send(known);
                }
                Ok(Command::LimitTargets(most)) => {
                    let mut out = Vec::new();
                    self.selector.set_max_targets(most, &mut out);
                    self.carry_out(out, &[])?;
                    self.log_summary();
                }
                Ok(Command::Flush(to)) => {
                    // What has happened so far is told before the interval ends.
                    self.handle_events()?;
                    self.tell(drain::Message::Flush(to));
                }
                Err(std::sync::mpsc::TryRecvError::Empty) => return Ok(true),
                Err(std::sync::mpsc::TryRecvError::Disconnected) => return Ok(false),
            }
        }
    }

    /// Looks at all processes: at the start to learn of them, later to find what events have not told.
    fn scan(&mut self) -> Result<telegen_select::Repairs, telegen_bpf::Error> {
        self.selector.begin_scan();
        let needs_argv0 = self.selector.selection().rules().needs_argv0();
        let found = if needs_argv0 { self.scanner.scan_with_argv0()? } else { self.scanner.scan()? };
        // Who has been born or has died since the scan began has said so: that comes first, or a process that the
        // scan has just seen dying would stand up again.
        self.handle_events()?;
        let mut out = Vec::new();
        let mut kernel_threads = 0;
        let mut containers = Containers::default();
        for scanned in found {
            if scanned.facts.kernel_thread {
                kernel_threads += 1;
            } else if scanned.state != State::Exiting {
                let observed = self.observe_scanned(scanned, needs_argv0, &mut containers);
                self.selector.handle(telegen_select::Event::Seen(observed), &mut out);
            }
        }
        self.kernel_threads.store(kernel_threads, Ordering::Relaxed);
        let repairs = self.selector.finish_scan(&mut out);
        self.carry_out(out, &[])?;
        Ok(repairs)
    }

    fn observe_scanned(&self, scanned: Scanned, with_argv0: bool, containers: &mut Containers) -> Observed {
        let mut facts = scanned.facts.clone();
        let known = self.selector.facts(scanned.token);
        if !with_argv0 || facts.argv0.is_none() {
            facts.argv0 = known.and_then(|known| known.argv0.clone());
        }
        complete(&mut facts, known.map(|known| &**known), with_argv0);
        let before = known.and_then(|known| known.container.clone());
        facts.container = if self.with_containers { containers.of(&scanned, before) } else { before };
        facts.pod = match known {
            known if self.with_pods => pod_again(&facts, known.map(|known| &**known)),
            known => known.map(|known| known.pod.clone()).unwrap_or_default(),
        };
        Observed { facts, token: scanned.token, key: scanned.key, standing: standing(scanned.state) }
    }

    /// Handles all events that have come; decisions that follow are handed to the kernel together.
    fn handle_events(&mut self) -> Result<(), telegen_bpf::Error> {
        self.reader.drain();
        let events: Vec<Event> = self.queue.borrow_mut().drain(..).collect();
        if events.is_empty() {
            return Ok(());
        }
        let (mut out, mut times) = (Vec::new(), Vec::new());
        for event in events {
            match event.kind {
                EventKind::Forked { .. } | EventKind::Execed { .. } => times.push(event.time_ns),
                EventKind::FirstSample | EventKind::Remapped => {
                    // The start that it belongs to may be among what is still to be carried out.
                    self.carry_out(std::mem::take(&mut out), &std::mem::take(&mut times))?;
                    self.tell(drain::Message::ReadMappings(event.token));
                    continue;
                }
                EventKind::Renamed | EventKind::Exited => {}
            }
            if let Some(event) = self.translate(event) {
                self.selector.handle(event, &mut out);
            }
        }
        self.carry_out(out, &times)
    }

    fn translate(&self, event: Event) -> Option<telegen_select::Event> {
        let token = event.token;
        Some(match event.kind {
            EventKind::Forked { parent } => {
                let of_parent = self.selector.facts(parent).cloned();
                let (executable, argv0) = match of_parent.as_deref() {
                    Some(facts) => (facts.executable.clone(), facts.argv0.clone()),
                    None => (None, None),
                };
                let mut child = observe(&event, executable, argv0);
                if let Some(parent) = of_parent {
                    // A child begins in its parent's control group, unless it was cloned into another.
                    (child.facts.container, child.facts.pod) = (parent.container.clone(), parent.pod.clone());
                }
                telegen_select::Event::Forked { child, parent }
            }
            EventKind::Execed { ref executable, ref argv0 } => {
                let mut observed = observe(&event, executable.clone(), argv0.clone());
                let before = self.selector.facts_of(event.process.id);
                let (container, pod) = match before {
                    Some(facts) => (facts.container.clone(), facts.pod.clone()),
                    None => (None, PodFacts::InNone),
                };
                // A runtime has put itself into the container's control group before it becomes its program.
                let facts = &mut observed.facts;
                facts.container =
                    if self.with_containers { container_of(facts, container) } else { container };
                facts.pod = if self.with_pods { pod_of(facts, &pod) } else { pod };
                telegen_select::Event::Execed(observed)
            }
            EventKind::Renamed => telegen_select::Event::Renamed { token, comm: event.comm },
            EventKind::Exited => telegen_select::Event::Exited { token },
            EventKind::FirstSample | EventKind::Remapped => return None,
        })
    }

    /// Decisions go to the kernel first, then the draining thread hears of starts and ends.
    fn carry_out(&mut self, operations: Vec<Operation>, times: &[u64]) -> Result<(), telegen_bpf::Error> {
        let changes: Vec<StateChange> = operations.iter().filter_map(state_change).collect();
        let stale = &self.metrics.stale_decisions;
        self.decider.apply(&changes, |_, outcome| {
            if outcome == Outcome::Stale {
                stale.inc();
            }
        })?;
        if !times.is_empty() {
            let now = monotonic_ns();
            for &time in times {
                self.metrics.decision_latency.observe(now.saturating_sub(time) as f64 / 1e9);
            }
        }
        match &mut self.audience {
            Audience::Sampler(_) => operations.into_iter().for_each(|operation| self.sample(operation)),
            Audience::Watcher(watcher) => {
                operations.into_iter().for_each(|operation| show(watcher, &self.selector, operation));
            }
        }
        Ok(())
    }

    fn sample(&mut self, operation: Operation) {
        match operation {
            Operation::Set { .. } => {}
            Operation::Start { token, facts, decision, parent } => {
                let facts = self.image_facts(facts, decision);
                self.tell(drain::Message::Start { token, facts, parent });
                if self.prepare > 0 {
                    self.prepare -= 1;
                    self.tell(drain::Message::ReadMappings(token));
                }
            }
            Operation::Retarget { token, facts, decision } => {
                let facts = self.image_facts(facts, decision);
                // It goes on with what it has mapped, as a child would.
                self.tell(drain::Message::Start { token, facts, parent: Some(token) });
            }
            Operation::End { token } => self.tell(drain::Message::End(token)),
        }
    }

    /// What goes on the samples of a target.
    fn image_facts(&self, facts: Arc<ProcessFacts>, decision: Decision) -> ImageFacts {
        let process = if self.with_containers { facts } else { with_container(facts) };
        ImageFacts { process, target: self.selector.selection().rules().target(decision).name.clone() }
    }

    fn tell(&self, message: drain::Message) {
        if let Audience::Sampler(drain) = &self.audience
            && drain.send(message).is_err()
        {
            tracing::debug!("the draining thread is gone");
        }
    }

    fn log_summary(&self) -> Summary {
        let selection = self.selector.selection();
        let (processes, matched) = selection.counts();
        let summary = Summary { scanned: processes + self.kernel_threads.load(Ordering::Relaxed), matched };
        tracing::info!(
            total_scanned = summary.scanned,
            matched,
            has_filters = selection.rules().has_filters(),
            "filtered processes for profiling"
        );
        summary
    }
}

fn show(watcher: &mut Watcher, selector: &Selector, operation: Operation) {
    match operation {
        Operation::Set { token, standing: telegen_select::Standing::Skip, .. } => {
            if let (Some(facts), Some(decision)) = (selector.facts(token), selector.decision(token)) {
                watcher.leave_out(facts.clone(), decision);
            }
        }
        Operation::Set { .. } => {}
        Operation::Start { token, facts, decision, .. } | Operation::Retarget { token, facts, decision } => {
            watcher.start(token, facts, decision);
        }
        Operation::End { token } => watcher.end(token),
    }
}

fn observe(event: &Event, executable: Option<Box<str>>, argv0: Option<Box<str>>) -> Observed {
    let mut facts = ProcessFacts {
        key: event.process,
        parent: event.parent,
        kernel_thread: false,
        comm: event.comm.clone(),
        executable,
        argv0,
        container: None,
        pod: PodFacts::InNone,
    };
    complete(&mut facts, None, true);
    Observed { facts, token: event.token, key: event.key, standing: standing(event.state) }
}

/// Takes from /proc what the kernel side could not tell: a path that is too long or too deep, arguments that are.
fn complete(facts: &mut ProcessFacts, known: Option<&ProcessFacts>, with_argv0: bool) {
    if let Some(known) = known {
        if facts.executable.is_none() {
            facts.executable.clone_from(&known.executable);
        }
        return;
    }
    let (proc, pid) = (ProcFs::default(), facts.key.id.pid);
    // A process that has gone meanwhile is decided on by what is known.
    if facts.executable.is_none() {
        facts.executable = proc.executable(pid).ok().flatten();
    }
    if facts.argv0.is_none() && with_argv0 {
        facts.argv0 = proc.argv0(pid).ok().flatten();
    }
}

/// The container that a process runs in now, or what was known of it if it has gone.
fn container_of(facts: &ProcessFacts, before: Option<Arc<Container>>) -> Option<Arc<Container>> {
    match ProcFs::default().container(facts.key.id.pid) {
        // The same container keeps what has been allocated for it.
        Ok(now) if now.as_ref() == before.as_deref() => before,
        Ok(now) => now.map(Arc::new),
        Err(_) => before,
    }
}

fn with_container(facts: Arc<ProcessFacts>) -> Arc<ProcessFacts> {
    match container_of(&facts, facts.container.clone()) {
        None => facts,
        container => Arc::new(ProcessFacts { container, ..(*facts).clone() }),
    }
}

fn standing(state: State) -> telegen_select::Standing {
    match state {
        State::Undecided | State::Exiting => telegen_select::Standing::Undecided,
        State::Profile { by_pid, follow } => telegen_select::Standing::Profile { by_pid, follow },
        State::Skip => telegen_select::Standing::Skip,
    }
}

fn state_change(operation: &Operation) -> Option<StateChange> {
    let &Operation::Set { key, token, standing } = operation else { return None };
    let state = match standing {
        telegen_select::Standing::Undecided => State::Undecided,
        telegen_select::Standing::Profile { by_pid, follow } => State::Profile { by_pid, follow },
        telegen_select::Standing::Skip => State::Skip,
    };
    Some(StateChange { key, token, state })
}

fn monotonic_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
