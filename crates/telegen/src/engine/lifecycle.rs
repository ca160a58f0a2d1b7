//! The thread `tg-lifecycle`: owns the selection. Events in, decisions to the kernel, starts and stops to the
//! draining thread.

use super::audience::Audience;
use super::kernel_policy::{Groups, KernelPolicy, Sightings};
use super::observation::{self, Asked};
use super::waker::{Inbox, Sender, channel};
use super::watchers::{ClientOutlet, Outlet, Watchers};
use super::{drain, monotonic_ns};
use crate::containers::{Containers, container_of};
use crate::metrics::Metrics;
use crate::pods::PodSource;
use std::cell::RefCell;
use std::collections::{HashSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant, SystemTime};
use telegen_bpf::{
    Decider, Event, EventKind, EventReader, Kernel, Outcome, ScanUnderWay, Scanned, Scanner, State,
    StateChange,
};
use telegen_collect::{Interval, TargetFacts};
use telegen_model::{ControlGroup, Pid, ProcessFacts, ProcessId};
use telegen_rules::RuleSet;
use telegen_select::{Operation, Rates, SelectedProcess, Selection, Selector, TargetSettings};
use tokio::sync::oneshot;

/// How often all processes are looked at again, only to find events that were lost.
const REPAIR_INTERVAL: Duration = Duration::from_secs(30);
/// How soon after a container has been met all processes are looked at, to tell the kernel side of its control group …
const NEW_CONTAINER_DELAY: Duration = Duration::from_millis(500);
/// … and of the time at most this part.
const LOOKING_PART: u32 = 50;
const QUEUE: usize = 64;

/// So many processes of a scan are looked at before events are looked at again.
const SCAN_PORTION: usize = 256;

/// Targets whose stacks can be unwound from their first sample on, because they are made ready before the clocks
/// start. With more than that most are idle, and cost nothing until they are not.
const MAX_PREPARED: usize = 64;

/// How often it is said at most that there are more targets than there may be.
const REFUSAL_INTERVAL: Duration = Duration::from_secs(60);

/// What the thread is told.
pub(crate) enum Command {
    /// Other rules, and other sample rates of targets, from now on.
    Reload(Box<RuleSet>, Rates),
    /// A process and all that descend from it are profiled; answered when that holds.
    Follow(ProcessId, SyncSender<bool>),
    /// The source of pods has told something.
    Pods(Vec<telegen_k8s::Change>),
    /// So many targets at the most from now on.
    LimitTargets(usize),
    /// The interval ends, after everything that has happened before this command.
    Flush(SyncSender<Interval>),
    /// Somebody wants to hear of all changes from now on; answered with the processes that there are.
    Watch(ClientOutlet, oneshot::Sender<Vec<SelectedProcess>>),
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
    pub(crate) rates: Rates,
    pub(crate) max_targets: usize,
    pub(crate) audience: Audience,
    pub(crate) pods: PodSource,
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
        let asked = Asked::of(&parts.rules, &parts.pods);
        let selector = Selector::new(parts.rules.at(SystemTime::now()), own, limits, parts.rates);
        let policy = KernelPolicy::new(kernel.control_groups()?);
        let selection = selector.selection();
        let kernel_threads = Arc::new(AtomicUsize::new(0));
        let counted = kernel_threads.clone();
        let thread = Builder::new().name("tg-lifecycle".into()).spawn(move || {
            let queue = Rc::new(RefCell::new(VecDeque::new()));
            let into = queue.clone();
            let started = ring.reader(move |event| into.borrow_mut().push_back(event)).and_then(|reader| {
                let Parts { audience, pods, metrics, ready, .. } = parts;
                Owner {
                    reader,
                    queue,
                    decider,
                    scanner,
                    selector,
                    audience,
                    metrics,
                    kernel_threads: counted,
                    policy,
                    pods,
                    refused: (0, None),
                    prepare: 0,
                    asked,
                    look_at: None,
                    rest_until: Instant::now(),
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
    policy: KernelPolicy,
    pods: PodSource,
    /// How many had been refused when it was last said, and when.
    refused: (u64, Option<Instant>),
    /// How many more targets are to be made ready ahead of their first sample.
    prepare: usize,
    /// What every process is asked about where it runs.
    asked: Asked,
    /// When all processes are to be looked at because a container was met that the kernel side does not know.
    look_at: Option<Instant>,
    /// Not before this, for the last look has taken its time.
    rest_until: Instant,
}

impl Owner {
    fn run(
        mut self,
        inbox: &Inbox<Command>,
        ready: Box<dyn FnOnce(Summary) + Send>,
    ) -> Result<(), telegen_bpf::Error> {
        let failed = |source| telegen_bpf::Error::Kernel { action: "waiting for events", source };
        self.prepare = MAX_PREPARED;
        let mut named = Vec::new();
        self.selector.name_targets(&mut named);
        self.carry_out(named, &[])?;
        self.policy.replace(&self.selector, &mut self.pods, &mut self.decider)?;
        self.scan()?;
        self.prepare = 0;
        ready(self.log_summary());
        let mut next_repair = Instant::now() + REPAIR_INTERVAL;
        loop {
            let repair = next_repair.saturating_duration_since(Instant::now());
            let pods = self.pods.next_deadline().map(|at| at.saturating_duration_since(Instant::now()));
            let look = self.look_at.map(|at| at.saturating_duration_since(Instant::now()));
            let waits = [Some(repair), self.until_next_end(), pods, look];
            let timeout = waits.into_iter().flatten().min().unwrap_or(repair);
            let woken = inbox.wait(Some(self.reader.descriptor()), Some(timeout)).map_err(failed)?;
            self.handle_events()?;
            self.end_targets()?;
            let given_up = self.pods.give_up(Instant::now());
            self.change_pods(&given_up)?;
            if woken.message && !self.take_commands(inbox)? {
                return Ok(());
            }
            let now = Instant::now();
            if now >= next_repair || self.look_at.is_some_and(|at| at <= now) {
                next_repair = now + REPAIR_INTERVAL;
                self.look_at = None;
                let repairs = self.scan()?;
                self.metrics.repaired.inc_by((repairs.found + repairs.gone) as u64);
                if repairs != telegen_select::Repairs::default() {
                    tracing::warn!(
                        found = repairs.found,
                        gone = repairs.gone,
                        "a scan has repaired lost events"
                    );
                }
                self.rest_until = Instant::now() + now.elapsed() * LOOKING_PART;
                self.log_summary();
            }
        }
    }

    /// A process has come into a control group that may be a container's.
    fn note_group(&mut self, group: Option<ControlGroup>) {
        let known = group.is_none_or(|group| self.policy.knows(group));
        if self.asked > Asked::Nothing && !known && self.look_at.is_none() {
            self.look_at = Some((Instant::now() + NEW_CONTAINER_DELAY).max(self.rest_until));
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
        self.policy.replace(&self.selector, &mut self.pods, &mut self.decider)?;
        tracing::info!("the end of a target has come");
        self.log_summary();
        Ok(())
    }

    /// False when nobody is left to send any.
    fn take_commands(&mut self, inbox: &Inbox<Command>) -> Result<bool, telegen_bpf::Error> {
        loop {
            match inbox.take() {
                Ok(Command::Reload(rules, rates)) => {
                    let before = std::mem::replace(&mut self.asked, Asked::of(&rules, &self.pods));
                    if self.asked > before {
                        // The new rules must not take what nobody has asked for yet for what is not there.
                        self.scan()?;
                    }
                    let mut out = Vec::new();
                    self.selector.reload(rules.at(SystemTime::now()), rates, &mut out);
                    self.carry_out(out, &[])?;
                    self.policy.replace(&self.selector, &mut self.pods, &mut self.decider)?;
                    self.log_summary();
                }
                Ok(Command::Follow(id, answer)) => {
                    let mut out = Vec::new();
                    let known = self.selector.follow(id, &mut out);
                    self.carry_out(out, &[])?;
                    // Whoever asked may have given up.
                    let _ = answer.send(known);
                }
                Ok(Command::Pods(changes)) => self.take_pods(changes)?,
                Ok(Command::LimitTargets(most)) => {
                    let mut out = Vec::new();
                    self.selector.set_max_targets(most, &mut out);
                    self.carry_out(out, &[])?;
                    self.log_summary();
                }
                Ok(Command::Flush(to)) => {
                    // What has happened so far is told before the interval ends.
                    self.handle_events()?;
                    self.audience.tell_sampler(drain::Message::Flush(to));
                }
                Ok(Command::Watch(client, answer)) => {
                    // Whoever asked may have given up.
                    let _ = answer.send(self.selector.selection().all_processes());
                    self.audience.watchers.add(Outlet::Client(client), self.selector.targets());
                }
                Err(std::sync::mpsc::TryRecvError::Empty) => return Ok(true),
                Err(std::sync::mpsc::TryRecvError::Disconnected) => return Ok(false),
            }
        }
    }

    /// Takes in what the source of pods has told.
    fn take_pods(&mut self, changes: Vec<telegen_k8s::Change>) -> Result<(), telegen_bpf::Error> {
        let synced = changes.contains(&telegen_k8s::Change::Standing(telegen_k8s::Standing::InSync));
        let uids = self.pods.take(changes, Instant::now());
        self.change_pods(&uids)?;
        if synced {
            self.log_summary();
        }
        Ok(())
    }

    /// Decides anew on all processes of pods of which something else is known.
    fn change_pods(&mut self, uids: &[Box<str>]) -> Result<(), telegen_bpf::Error> {
        if uids.is_empty() {
            return Ok(());
        }
        // The kernel side first: who comes into one of them meanwhile is decided on by what is known now.
        self.policy.tell_groups(&self.selector, &mut self.pods)?;
        let mut out = Vec::new();
        for (token, facts) in self.selector.in_pods(|uid| uids.iter().any(|one| **one == *uid)) {
            let pod = self.pods.of(&facts, &facts.pod);
            self.selector.handle(telegen_select::Event::PodChanged { token, pod }, &mut out);
        }
        self.carry_out(out, &[])
    }

    /// Looks at all processes: at the start to learn of them, later to find what events have not told.
    fn scan(&mut self) -> Result<telegen_select::Repairs, telegen_bpf::Error> {
        self.selector.begin_scan();
        let needs_argv0 = self.selector.selection().rules().needs_argv0();
        let under_way = if needs_argv0 { self.scanner.begin_with_argv0() } else { self.scanner.begin() };
        let found = self.read_scan(under_way?)?;
        // Who has been born or has died since the scan began has said so: that comes first, or a process that the
        // scan has just seen dying would stand up again.
        self.handle_events()?;
        let mut out = Vec::new();
        let mut kernel_threads = 0;
        let (mut containers, mut sightings) = (Containers::default(), Sightings::default());
        let mut others = HashSet::new();
        for (nth, scanned) in found.into_iter().enumerate() {
            if nth % SCAN_PORTION == SCAN_PORTION - 1 {
                // What comes next may end what has just been found: in the order in which it was learned.
                self.carry_out(std::mem::take(&mut out), &[])?;
                self.handle_events()?;
            }
            if scanned.facts.kernel_thread {
                kernel_threads += 1;
            } else if scanned.state != State::Exiting {
                let group = scanned.cgroup;
                let known = self.selector.facts(scanned.token).cloned();
                let observed = {
                    let (known, pods) = (known.as_deref(), &mut self.pods);
                    observation::of_scan(scanned, known, needs_argv0, self.asked, &mut containers, pods)
                };
                match (group, &observed.facts.container) {
                    (Some(group), Some(container)) if self.asked > Asked::Nothing => {
                        sightings.note(group, observed.facts.key.id.pid, container);
                    }
                    (Some(group), None) => drop(others.insert(group)),
                    _ => {}
                }
                self.selector.handle(telegen_select::Event::Seen(observed), &mut out);
            }
        }
        self.pods.keep_met(&self.selector);
        self.kernel_threads.store(kernel_threads, Ordering::Relaxed);
        let repairs = self.selector.finish_scan(&mut out);
        self.carry_out(out, &[])?;
        let groups = if sightings.is_empty() {
            Groups::new()
        } else {
            let under_way = self.scanner.begin()?;
            sightings.confirm(self.read_scan(under_way)?)
        };
        self.policy.set_groups(groups, others, &self.selector, &mut self.pods)?;
        Ok(repairs)
    }

    /// Reads all processes. Among thousands that takes a while, in which nobody shall wait for a decision.
    fn read_scan(&mut self, mut under_way: ScanUnderWay) -> Result<Vec<Scanned>, telegen_bpf::Error> {
        while under_way.read_on()? {
            self.handle_events()?;
        }
        Ok(under_way.finish())
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
                EventKind::Forked { .. } | EventKind::Execed { .. } | EventKind::Moved => {
                    times.push(event.time_ns);
                    self.note_group(event.cgroup);
                }
                EventKind::FirstSample | EventKind::Remapped => {
                    // The start that it belongs to may be among what is still to be carried out.
                    self.carry_out(std::mem::take(&mut out), &std::mem::take(&mut times))?;
                    self.audience.tell_sampler(drain::Message::ReadMappings(event.token));
                    continue;
                }
                EventKind::Renamed | EventKind::Exited => {}
            }
            if let Some(event) = {
                let (groups, pods) = (self.policy.groups(), &mut self.pods);
                observation::of_event(event, &self.selector, self.asked, groups, pods)
            } {
                self.selector.handle(event, &mut out);
            }
        }
        self.carry_out(out, &times)
    }

    /// Decisions go to the kernel first, then the draining thread hears of starts and ends.
    fn carry_out(&mut self, operations: Vec<Operation>, times: &[u64]) -> Result<(), telegen_bpf::Error> {
        for operation in &operations {
            if let Operation::Name { number, settings } = operation {
                self.decider.set_sample_rate(*number, settings.sample_hz, settings.clock_hz);
                self.audience.tell_sampler(drain::Message::Target(*number, facts_of(settings)));
            }
        }
        let changes: Vec<StateChange> = operations.iter().filter_map(state_change).collect();
        let stale = &self.metrics.stale_decisions;
        self.decider.apply(&changes, |_, outcome| {
            if outcome == Outcome::Stale {
                stale.inc();
            }
        })?;
        self.say_refused();
        self.policy.heed_limit(&self.selector, &mut self.pods, &mut self.decider)?;
        if !times.is_empty() {
            let now = monotonic_ns();
            for &time in times {
                self.metrics.decision_latency.observe(now.saturating_sub(time) as f64 / 1e9);
            }
        }
        for operation in operations {
            if !self.audience.watchers.is_empty() {
                show(&mut self.audience.watchers, &self.selector, &operation);
            }
            self.sample(operation);
        }
        Ok(())
    }

    fn sample(&mut self, operation: Operation) {
        match operation {
            // Samples bring their target's number along.
            Operation::Name { .. } | Operation::Set { .. } | Operation::Retarget { .. } => {}
            Operation::Facts { token, facts } => {
                self.audience.tell_sampler(drain::Message::Facts { token, facts });
            }
            Operation::Start { token, facts, parent, .. } => {
                let facts = if self.asked == Asked::Nothing { with_container(facts) } else { facts };
                self.audience.tell_sampler(drain::Message::Start { token, facts, parent });
                if self.prepare > 0 {
                    self.prepare -= 1;
                    self.audience.tell_sampler(drain::Message::ReadMappings(token));
                }
            }
            Operation::End { token } => self.audience.tell_sampler(drain::Message::End(token)),
        }
    }

    /// Says, once a minute at most, that processes match for which there is no room.
    fn say_refused(&mut self) {
        let (now, refused) = (Instant::now(), self.selector.selection().refused());
        let (before, said) = self.refused;
        if refused > before && said.is_none_or(|said| now.duration_since(said) >= REFUSAL_INTERVAL) {
            tracing::warn!(
                refused = refused - before,
                "limits.max_targets is reached: processes that match are not profiled"
            );
            self.refused = (refused, Some(now));
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

fn show(watchers: &mut Watchers, selector: &Selector, operation: &Operation) {
    match operation {
        Operation::Set { token, standing: telegen_select::Standing::Skip, .. } => {
            if let Some(process) = selector.process(*token) {
                watchers.leave_out(process);
            }
        }
        Operation::Name { .. } | Operation::Set { .. } | Operation::Facts { .. } => {}
        Operation::Start { token, facts, decision, .. } | Operation::Retarget { token, facts, decision } => {
            let rules = selector.selection().rules();
            let (facts, decision) = (facts.clone(), *decision);
            watchers.start(*token, SelectedProcess { facts, decision, rules });
        }
        Operation::End { token } => watchers.end(*token),
    }
}

/// With the container that goes on the samples of a target.
fn with_container(facts: Arc<ProcessFacts>) -> Arc<ProcessFacts> {
    match container_of(facts.key.id.pid, facts.container.as_ref()) {
        None => facts,
        container => Arc::new(ProcessFacts { container, ..(*facts).clone() }),
    }
}

fn facts_of(settings: &TargetSettings) -> TargetFacts {
    let TargetSettings { name, sample_hz, clock_hz } = settings.clone();
    TargetFacts { name, of_ticks: clock_hz.max(1), taken: sample_hz.clamp(1, clock_hz.max(1)) }
}

fn state_change(operation: &Operation) -> Option<StateChange> {
    let &Operation::Set { key, token, standing } = operation else { return None };
    Some(StateChange { key, token, state: observation::state(standing) })
}
