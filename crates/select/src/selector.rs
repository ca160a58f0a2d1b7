//! The owner of the selection.

mod deciding;
mod reloading;
mod scanning;

use crate::bindings::Bindings;
use crate::scan::Scan;
use crate::selection::{Published, SelectedProcess, Selection};
use crate::target_numbers::TargetNumbers;
use crate::{Event, Observed, Operation, Standing};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
pub use reloading::Rates;
pub use scanning::Repairs;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use telegen_model::{Container, KernelKey, Pid, PodFacts, ProcessFacts, ProcessId, TargetNumber, Token};
use telegen_rules::{Decision, RuleSet, TargetId};

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
                let (token, standing) = (observed.token, observed.standing);
                self.enter(observed, false, None, out);
                let is_left_out = |process: &Process| process.standing == Standing::Skip;
                if standing == Standing::Skip && self.processes.get(&token).is_some_and(is_left_out) {
                    out.push(Operation::LeftOut { token });
                }
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
}
