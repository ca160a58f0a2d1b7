//! The owner of the selection.

use crate::bindings::Bindings;
use crate::scan::Scan;
use crate::selection::{Published, SelectedProcess, Selection};
use crate::target_numbers::TargetNumbers;
use crate::{Event, Observed, Operation, Standing, TargetSettings};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use telegen_model::{Container, KernelKey, Pid, PodFacts, ProcessFacts, ProcessId, TargetNumber, Token};
use telegen_rules::{Decision, Reason, RuleSet, Target, TargetId, Verdict};

/// Bounds on the selection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Most targets at a time; beyond it the newest are refused, until a place falls free.
    pub max_targets: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_targets: 10_000 }
    }
}

/// How often targets are sampled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rates {
    /// Targets that do not say it themselves, in Hz.
    pub default_hz: u32,
    /// The clock, which is at least as fast as the fastest of them.
    pub clock_hz: u32,
}

impl Default for Rates {
    fn default() -> Self {
        Self { default_hz: 99, clock_hz: 99 }
    }
}

/// What a scan has put right, because events were lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Repairs {
    /// Processes that nobody had announced.
    pub found: usize,
    /// Processes that had gone without a word.
    pub gone: usize,
}

/// The owner of the selection: decides, and says what follows from it.
#[derive(Debug)]
pub struct Selector {
    rules: Arc<RuleSet>,
    agent: Pid,
    limits: Limits,
    rates: Rates,
    numbers: TargetNumbers,
    bindings: Bindings,
    processes: HashMap<Token, Process, FixedState>,
    /// The program image that now runs under a pid.
    current: HashMap<Pid, Token, FixedState>,
    targets: usize,
    /// Images that match but were refused, the oldest first.
    refused: BTreeSet<Token>,
    scan: Scan,
    repairs: Repairs,
    published: Arc<Published>,
}

#[derive(Debug)]
struct Process {
    facts: Arc<ProcessFacts>,
    key: KernelKey,
    standing: Standing,
    decision: Decision,
    followed: bool,
    parent: Option<Token>,
    /// The last scan that has seen it, or that was under way when it came.
    seen: u64,
}

impl Selector {
    /// A selection by these rules, on behalf of the agent with this pid.
    pub fn new(rules: RuleSet, agent: Pid, limits: Limits, rates: Rates) -> Self {
        Self {
            rates,
            numbers: TargetNumbers::new(),
            bindings: Bindings::new(&rules),
            published: Arc::new(Published::new(rules.clone())),
            rules: Arc::new(rules),
            agent,
            limits,
            processes: HashMap::default(),
            current: HashMap::default(),
            targets: 0,
            refused: BTreeSet::new(),
            scan: Scan::default(),
            repairs: Repairs::default(),
        }
    }

    /// A view for other threads.
    pub fn selection(&self) -> Selection {
        Selection(self.published.clone())
    }

    /// What is known of a program image.
    pub fn facts(&self, token: Token) -> Option<&Arc<ProcessFacts>> {
        self.processes.get(&token).map(|process| &process.facts)
    }

    /// Where a program image stands in the kernel's table.
    pub fn key(&self, token: Token) -> Option<KernelKey> {
        self.processes.get(&token).map(|process| process.key)
    }

    /// A program image and what was decided on it.
    pub fn process(&self, token: Token) -> Option<SelectedProcess> {
        let Process { facts, decision, .. } = self.processes.get(&token)?;
        Some(SelectedProcess { facts: facts.clone(), decision: *decision, rules: self.rules.clone() })
    }

    /// The program images that are profiled.
    pub fn targets(&self) -> impl Iterator<Item = (Token, SelectedProcess)> {
        let targets = self.processes.iter().filter(|(_, process)| process.decision.is_profile());
        targets.filter_map(|(&token, _)| Some((token, self.process(token)?)))
    }

    /// What is known of the program that a process runs.
    pub fn facts_of(&self, id: ProcessId) -> Option<&Arc<ProcessFacts>> {
        self.facts(*self.current.get(&id.pid)?).filter(|facts| facts.key.id == id)
    }

    /// The program images that run in a container, by the uid of its pod.
    pub fn in_pods(&self, is_one: impl Fn(&str) -> bool) -> Vec<(Token, Arc<ProcessFacts>)> {
        let in_one = |process: &Process| {
            let container = process.facts.container.as_deref();
            container.and_then(|container| container.pod_uid.as_deref()).is_some_and(&is_one)
        };
        let found = self.processes.iter().filter(|(_, process)| in_one(process));
        found.map(|(&token, process)| (token, process.facts.clone())).collect()
    }

    /// Names the targets of the rules that it was made with; to be called before anything has happened.
    pub fn name_targets(&mut self, out: &mut Vec<Operation>) {
        let settings = settings_of(&self.rules, self.rates);
        let named = self.numbers.assign(&settings).into_iter();
        out.extend(named.map(|(number, settings)| Operation::Name { number, settings }));
    }

    /// Whether there are as many targets as there may be.
    pub fn is_full(&self) -> bool {
        self.targets >= self.limits.max_targets
    }

    /// The number by which the kernel side knows a target.
    pub fn target_number(&self, target: TargetId) -> TargetNumber {
        self.numbers.number(target)
    }

    /// Takes in what has happened; what is to be done is appended to `out`.
    pub fn handle(&mut self, event: Event, out: &mut Vec<Operation>) {
        if self.published.something_forgotten.load(Ordering::Relaxed) {
            self.decide_forgotten(out);
        }
        match event {
            Event::Seen(observed) => self.see(observed, out),
            Event::Forked { child, parent } => {
                let followed = self.processes.get(&parent).is_some_and(|parent| parent.followed);
                self.enter(child, followed, Some(parent), out);
            }
            Event::Execed(observed) => {
                self.enter(observed, false, None, out);
            }
            Event::Renamed { token, comm } => self.rename(token, comm, out),
            Event::Moved { token, container, pod, standing } => {
                self.move_to(token, (container, pod), standing, out);
            }
            Event::PodChanged { token, pod } => self.change_pod(token, pod, out),
            Event::Exited { token } => self.exit(token, out),
        }
        self.admit_refused(out);
    }

    fn see(&mut self, observed: Observed, out: &mut Vec<Operation>) {
        if self.scan.has_exited(observed.token, &observed.facts) {
            return;
        }
        match self.processes.get_mut(&observed.token) {
            Some(process) => {
                process.seen = self.scan.number;
                self.compare(observed, out);
            }
            None => self.repairs.found += usize::from(self.enter(observed, false, None, out)),
        }
    }

    /// Takes over what a scan has found otherwise than it was known: a rename was lost, arguments can be read now that
    /// could not before, or the kernel has not taken a decision.
    fn compare(&mut self, observed: Observed, out: &mut Vec<Operation>) {
        let Observed { mut facts, token, standing, .. } = observed;
        let Some(process) = self.processes.get_mut(&token) else { return };
        if self.scan.has_renamed(token) {
            facts.comm.clone_from(&process.facts.comm);
        }
        if self.scan.has_moved(token) {
            facts.container.clone_from(&process.facts.container);
            facts.pod.clone_from(&process.facts.pod);
        }
        if *process.facts == facts && process.standing == standing {
            return;
        }
        if *process.facts != facts {
            process.facts = Arc::new(facts);
        }
        process.standing = standing;
        self.decide(token, out);
    }

    /// A program image that is new. Whatever ran under its pid before does not run any more. False if it is known, or
    /// is itself what ran before something that is.
    fn enter(
        &mut self,
        observed: Observed,
        followed: bool,
        parent: Option<Token>,
        out: &mut Vec<Operation>,
    ) -> bool {
        let Observed { facts, token, key, standing } = observed;
        let id = facts.key.id;
        let current = self.current.get(&id.pid).and_then(|before| self.processes.get(before));
        if self.processes.contains_key(&token) || current.is_some_and(|before| before.facts.key > facts.key) {
            return false;
        }
        // The kernel passes it on at fork and exec, whichever way the news has come.
        let inherited = matches!(standing, Standing::Profile { follow: true, .. });
        let same_process = current.filter(|before| before.facts.key.id == id);
        let followed = followed || inherited || same_process.is_some_and(|before| before.followed);
        if let Some(before) = self.current.insert(id.pid, token) {
            self.remove(before, out);
        }
        let (decision, seen) = (Decision::UNKNOWN, self.scan.number);
        let process = Process { facts: Arc::new(facts), key, standing, decision, followed, parent, seen };
        self.processes.insert(token, process);
        self.decide(token, out);
        true
    }

    fn rename(&mut self, token: Token, comm: Box<str>, out: &mut Vec<Operation>) {
        let Some(process) = self.processes.get_mut(&token) else { return };
        self.scan.note_rename(token);
        if process.facts.comm == comm {
            return;
        }
        Arc::make_mut(&mut process.facts).comm = comm;
        self.decide(token, out);
    }

    fn move_to(
        &mut self,
        token: Token,
        (container, pod): (Option<Arc<Container>>, PodFacts),
        standing: Standing,
        out: &mut Vec<Operation>,
    ) {
        let Some(process) = self.processes.get_mut(&token) else { return };
        self.scan.note_move(token);
        process.standing = standing;
        if process.facts.container == container && process.facts.pod == pod {
            self.decide(token, out);
            return;
        }
        let facts = Arc::make_mut(&mut process.facts);
        (facts.container, facts.pod) = (container, pod);
        self.decide_with_other_facts(token, out);
    }

    fn change_pod(&mut self, token: Token, pod: PodFacts, out: &mut Vec<Operation>) {
        let Some(process) = self.processes.get_mut(&token) else { return };
        if process.facts.pod == pod {
            return;
        }
        Arc::make_mut(&mut process.facts).pod = pod;
        self.decide_with_other_facts(token, out);
    }

    /// Decides on a process of which something else is known than before, and says so if it is a target as before.
    fn decide_with_other_facts(&mut self, token: Token, out: &mut Vec<Operation>) {
        let Some(process) = self.processes.get(&token) else { return };
        let (was_target, facts) = (process.decision.is_profile(), process.facts.clone());
        self.decide(token, out);
        if was_target && self.processes.get(&token).is_some_and(|process| process.decision.is_profile()) {
            out.push(Operation::Facts { token, facts });
        }
    }

    fn exit(&mut self, token: Token, out: &mut Vec<Operation>) {
        let removed = self.remove(token, out);
        self.scan.note_exit(token, removed.as_ref().map(|process| process.facts.key.id));
        let Some(process) = removed else { return };
        let id = process.facts.key.id;
        if self.current.get(&id.pid) == Some(&token) {
            self.current.remove(&id.pid);
            self.published.table.set(id.pid, None);
        }
    }

    fn remove(&mut self, token: Token, out: &mut Vec<Operation>) -> Option<Process> {
        let process = self.processes.remove(&token)?;
        self.published.write().remove(&token);
        self.refused.remove(&token);
        if process.decision.is_profile() {
            self.set_targets(self.targets - 1);
            out.push(Operation::End { token });
        }
        Some(process)
    }

    /// Decides on a process that is known, and says what that changes.
    fn decide(&mut self, token: Token, out: &mut Vec<Operation>) {
        self.decide_after(&self.rules.clone(), token, out);
    }

    /// The same for a process on which other rules have decided before.
    fn decide_after(&mut self, rules_before: &RuleSet, token: Token, out: &mut Vec<Operation>) {
        let Some(process) = self.processes.get(&token) else { return };
        let before = process.decision;
        let after = self.decision_for(token);
        let Some(process) = self.processes.get_mut(&token) else { return };
        process.decision = after;
        if after.reason == Reason::TooManyTargets {
            self.refused.insert(token);
        } else {
            self.refused.remove(&token);
        }
        let standing = match after.verdict {
            Verdict::Profile => {
                let target = self.numbers.number(after.target);
                Standing::Profile { by_pid: after.is_by_pid(), follow: process.followed, target }
            }
            Verdict::Skip => Standing::Skip,
            Verdict::Pending => Standing::Undecided,
        };
        if process.standing != standing {
            process.standing = standing;
            out.push(Operation::Set { key: process.key, token, standing });
        }
        let (facts, parent) = (process.facts.clone(), process.parent);
        match (before.is_profile(), after.is_profile()) {
            (false, true) => {
                self.set_targets(self.targets + 1);
                out.push(Operation::Start { token, facts: facts.clone(), decision: after, parent });
            }
            (true, false) => {
                self.set_targets(self.targets - 1);
                out.push(Operation::End { token });
            }
            (true, true) if !is_same(rules_before.target(before), self.rules.target(after)) => {
                out.push(Operation::Retarget { token, facts: facts.clone(), decision: after });
            }
            _ => {}
        }
        self.published.table.set(facts.key.id.pid, Some(after));
        let rules = self.rules.clone();
        self.published.write().insert(token, SelectedProcess { facts, decision: after, rules });
    }

    fn decision_for(&mut self, token: Token) -> Decision {
        let process = &self.processes[&token];
        self.published.decided.fetch_add(1, Ordering::Relaxed);
        let id = process.facts.key.id;
        // A pid rule is bound to the first process seen under its pid, whatever else may choose that one.
        let chosen = self.bindings.choose(id);
        let decision = if process.followed {
            Decision::profile(Reason::Followed)
        } else {
            self.rules.decide(&process.facts, chosen, id.pid == self.agent)
        };
        if decision.is_profile() && !process.decision.is_profile() && self.targets >= self.limits.max_targets
        {
            if process.decision.reason != Reason::TooManyTargets {
                self.published.refused.fetch_add(1, Ordering::Relaxed);
            }
            return Decision::skip(Reason::TooManyTargets);
        }
        decision
    }

    /// Other rules from now on. Processes for which nothing changes are not mentioned.
    pub fn reload(&mut self, rules: RuleSet, rates: Rates, out: &mut Vec<Operation>) {
        self.rates = rates;
        self.bindings = Bindings::new(&rules);
        self.apply(rules, out);
    }

    /// The same rules as they hold at another moment: as a reload, but a rule on a pid that is spent stays so.
    pub fn renew(&mut self, rules: RuleSet, out: &mut Vec<Operation>) {
        self.bindings = self.bindings.renewed(&rules);
        self.apply(rules, out);
    }

    fn apply(&mut self, rules: RuleSet, out: &mut Vec<Operation>) {
        let before = std::mem::replace(&mut self.rules, Arc::new(rules));
        self.published.rules.store(self.rules.clone());
        self.name_targets(out);
        // In the order of their tokens, so that beyond the limit it is the newest that are refused; first those that
        // leave, to make room.
        let mut tokens: Vec<Token> = self.processes.keys().copied().collect();
        tokens.sort_unstable_by_key(|token| (!self.processes[token].decision.is_profile(), *token));
        for token in tokens {
            self.decide_after(&before, token, out);
        }
        self.admit_refused(out);
    }

    /// So many targets at the most from now on; if there are more, the newest are targets no longer.
    pub fn set_max_targets(&mut self, max_targets: usize, out: &mut Vec<Operation>) {
        self.limits.max_targets = max_targets;
        if self.targets > max_targets {
            let mut tokens: Vec<Token> = self.processes.keys().copied().collect();
            tokens.retain(|token| self.processes[token].decision.is_profile());
            tokens.sort_unstable();
            for token in tokens.drain(max_targets..) {
                self.refuse(token, out);
            }
        }
        self.admit_refused(out);
    }

    /// A target gives its place back, though it matches.
    fn refuse(&mut self, token: Token, out: &mut Vec<Operation>) {
        let Some(process) = self.processes.get_mut(&token) else { return };
        process.decision = Decision::skip(Reason::TooManyTargets);
        process.standing = Standing::Skip;
        let (key, facts, decision) = (process.key, process.facts.clone(), process.decision);
        self.refused.insert(token);
        self.published.refused.fetch_add(1, Ordering::Relaxed);
        self.set_targets(self.targets - 1);
        out.push(Operation::Set { key, token, standing: Standing::Skip });
        out.push(Operation::End { token });
        self.published.table.set(facts.key.id.pid, Some(decision));
        let rules = self.rules.clone();
        self.published.write().insert(token, SelectedProcess { facts, decision, rules });
    }

    /// Gives places that have fallen free to those that were refused.
    fn admit_refused(&mut self, out: &mut Vec<Operation>) {
        while self.targets < self.limits.max_targets
            && let Some(token) = self.refused.pop_first()
        {
            self.decide(token, out);
        }
    }

    /// A process, and all that descend from it from now on, are profiled whatever the rules say. False if it is not
    /// known.
    pub fn follow(&mut self, id: ProcessId, out: &mut Vec<Operation>) -> bool {
        let Some(&token) = self.current.get(&id.pid) else { return false };
        let Some(process) = self.processes.get_mut(&token).filter(|process| process.facts.key.id == id)
        else {
            return false;
        };
        process.followed = true;
        self.decide(token, out);
        true
    }

    /// A scan of all processes begins, before the first of them is looked at: each will be [`Event::Seen`]. Events that
    /// are handled until [`Selector::finish_scan`] are newer than what the scan has seen, and win.
    pub fn begin_scan(&mut self) {
        self.scan.begin();
        self.repairs = Repairs::default();
    }

    /// The scan is complete, and all events that came before its end have been handled: what it has not seen is gone.
    pub fn finish_scan(&mut self, out: &mut Vec<Operation>) -> Repairs {
        let scan = self.scan.number;
        self.scan.finish();
        let gone: Vec<Token> = self
            .processes
            .iter()
            .filter(|(_, process)| process.seen < scan)
            .map(|(&token, _)| token)
            .collect();
        for &token in &gone {
            self.exit(token, out);
        }
        self.admit_refused(out);
        Repairs { gone: gone.len(), ..self.repairs }
    }

    fn decide_forgotten(&mut self, out: &mut Vec<Operation>) {
        for pid in self.published.take_forgotten() {
            if let Some(&token) = self.current.get(&pid) {
                self.decide(token, out);
            }
        }
    }

    fn set_targets(&mut self, targets: usize) {
        self.targets = targets;
        self.published.targets.store(targets, Ordering::Relaxed);
    }
}

/// The targets of rules, and how they are sampled.
fn settings_of(rules: &RuleSet, rates: Rates) -> Vec<(TargetId, TargetSettings)> {
    let Rates { default_hz, clock_hz } = rates;
    let settings = |target: &Target| {
        let sample_hz = target.sample_hz.unwrap_or(default_hz);
        (target.id, TargetSettings { name: target.name.clone(), sample_hz, clock_hz })
    };
    rules.targets().map(settings).collect()
}

/// Whether what holds for the processes of a target is the same for those of another: a place in a list may be another's
/// by now.
fn is_same(before: &Target, after: &Target) -> bool {
    (before.id, &before.name, before.sample_hz) == (after.id, &after.name, after.sample_hz)
}
