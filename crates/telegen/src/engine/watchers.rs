//! Any number of watchers of the selection, none of which can hold it up unless it is what the program is there for.

use prometheus_client::metrics::counter::Counter;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::SystemTime;
use telegen_model::Token;
use telegen_select::SelectedProcess;
use tokio::sync::mpsc;

/// How many changes wait for a client, beyond which it has fallen behind.
const CLIENT_QUEUE: usize = 1024;

/// What has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ChangeKind {
    /// A process has become a target.
    Started,
    /// A process, or the program that it has become, has been looked at and is no target.
    LeftOut,
    /// A target has exited, has become another program, or does not match any more.
    Ended,
}

/// A change of the selection.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) at: SystemTime,
    pub(crate) kind: ChangeKind,
    pub(crate) process: SelectedProcess,
}

/// Where changes go.
pub(crate) enum Outlet {
    /// To the command that does nothing but show them. While it is behind, events wait in their ring.
    Command(SyncSender<Change>),
    /// To one of several clients of a profiler that has better to do than to wait for them.
    Client(ClientOutlet),
}

/// The way to a client.
pub(crate) struct ClientOutlet {
    to: mpsc::Sender<Change>,
    fell_behind: Arc<AtomicBool>,
}

/// Changes, as a client gets them.
pub(crate) struct Changes {
    pub(crate) from: mpsc::Receiver<Change>,
    fell_behind: Arc<AtomicBool>,
}

impl Changes {
    /// Once all changes that there are have been taken: whether that is so because the client took them too slowly.
    pub(crate) fn fell_behind(&self) -> bool {
        self.fell_behind.load(Ordering::Acquire)
    }
}

/// A way to a client, and its end there.
pub(crate) fn client() -> (ClientOutlet, Changes) {
    let (to, from) = mpsc::channel(CLIENT_QUEUE);
    let fell_behind = Arc::<AtomicBool>::default();
    (ClientOutlet { to, fell_behind: fell_behind.clone() }, Changes { from, fell_behind })
}

/// Everybody who watches.
pub(crate) struct Watchers {
    outlets: Vec<Outlet>,
    /// Targets of which the watchers have been told, while there are any watchers: of who has ended, nobody else knows any
    /// more who it was.
    started: HashMap<Token, SelectedProcess>,
    fell_behind: Counter,
}

impl Watchers {
    /// Nobody yet; clients that fall behind are counted.
    pub(crate) fn new(fell_behind: Counter) -> Self {
        Self { outlets: Vec::new(), started: HashMap::new(), fell_behind }
    }

    /// With one who watches from the first decision on.
    pub(crate) fn with(mut self, outlet: Outlet) -> Self {
        self.outlets.push(outlet);
        self
    }

    /// Nobody is left to be told anything.
    pub(super) fn is_empty(&self) -> bool {
        self.outlets.is_empty()
    }

    /// One more, who knows of these targets.
    pub(super) fn add(
        &mut self,
        outlet: Outlet,
        targets: impl IntoIterator<Item = (Token, SelectedProcess)>,
    ) {
        self.forget_who_has_gone();
        if self.outlets.is_empty() {
            self.started = targets.into_iter().collect();
        }
        self.outlets.push(outlet);
    }

    pub(super) fn start(&mut self, token: Token, process: SelectedProcess) {
        self.started.insert(token, process.clone());
        self.tell(ChangeKind::Started, process);
    }

    pub(super) fn leave_out(&mut self, process: SelectedProcess) {
        self.tell(ChangeKind::LeftOut, process);
    }

    pub(super) fn end(&mut self, token: Token) {
        if let Some(process) = self.started.remove(&token) {
            self.tell(ChangeKind::Ended, process);
        }
    }

    fn tell(&mut self, kind: ChangeKind, process: SelectedProcess) {
        let change = Change { at: SystemTime::now(), kind, process };
        self.outlets.retain(|outlet| outlet.take(&change, &self.fell_behind));
        self.forget_if_nobody_is_left();
    }

    /// A client that has gone is noticed at the next change; until then it may have been replaced many times.
    fn forget_who_has_gone(&mut self) {
        self.outlets.retain(|outlet| match outlet {
            Outlet::Command(_) => true,
            Outlet::Client(client) => !client.to.is_closed(),
        });
        self.forget_if_nobody_is_left();
    }

    fn forget_if_nobody_is_left(&mut self) {
        if self.outlets.is_empty() {
            self.started = HashMap::new();
        }
    }
}

impl Outlet {
    /// False if there is nobody to tell any more.
    fn take(&self, change: &Change, fell_behind: &Counter) -> bool {
        match self {
            // Who has gone away is about to stop everything.
            Self::Command(to) => to.send(change.clone()).is_ok(),
            Self::Client(client) => match client.to.try_send(change.clone()) {
                Ok(()) => true,
                Err(mpsc::error::TrySendError::Closed(_)) => false,
                Err(mpsc::error::TrySendError::Full(_)) => {
                    client.fell_behind.store(true, Ordering::Release);
                    fell_behind.inc();
                    false
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telegen_model::{Generation, Pid, PodFacts, ProcessFacts, ProcessId, ProcessKey, StartTime};
    use telegen_rules::{Decision, RuleSet};

    fn process(pid: u32) -> SelectedProcess {
        let id = ProcessId { pid: Pid(pid), start: StartTime(1) };
        let facts = ProcessFacts {
            key: ProcessKey { id, generation: Generation(0) },
            parent: Pid(1),
            kernel_thread: false,
            comm: "x".into(),
            executable: None,
            argv0: None,
            container: None,
            pod: PodFacts::InNone,
        };
        let rules = Arc::new(RuleSet::nothing());
        SelectedProcess { facts: Arc::new(facts), decision: Decision::UNKNOWN, rules }
    }

    fn kinds(changes: &mut Changes) -> Vec<(ChangeKind, u32)> {
        let next = std::iter::from_fn(|| changes.from.try_recv().ok());
        next.map(|change| (change.kind, change.process.facts.key.id.pid.0)).collect()
    }

    #[test]
    fn everybody_hears_of_starts_and_ends_whenever_they_came() {
        let mut watchers = Watchers::new(Counter::default());
        watchers.start(Token(1), process(1));
        let (outlet, mut first) = client();
        watchers.add(Outlet::Client(outlet), [(Token(1), process(1))]);
        watchers.start(Token(2), process(2));
        let (outlet, mut second) = client();
        watchers.add(Outlet::Client(outlet), []);
        watchers.end(Token(1));
        watchers.leave_out(process(3));
        watchers.end(Token(3));
        let later = [(ChangeKind::Ended, 1), (ChangeKind::LeftOut, 3)];
        assert_eq!(kinds(&mut second), later);
        assert_eq!(kinds(&mut first), [&[(ChangeKind::Started, 2)], &later[..]].concat());
        assert!(!first.fell_behind());
    }

    #[test]
    fn who_falls_behind_is_let_go_and_nobody_else_waits() {
        let fell_behind = Counter::default();
        let mut watchers = Watchers::new(fell_behind.clone());
        let ((slow, mut slow_end), (quick, mut quick_end)) = (client(), client());
        watchers.add(Outlet::Client(slow), []);
        watchers.add(Outlet::Client(quick), []);
        for pid in 0..CLIENT_QUEUE as u32 + 10 {
            watchers.leave_out(process(pid));
            assert_eq!(kinds(&mut quick_end).len(), 1);
        }
        assert_eq!(fell_behind.get(), 1);
        assert!(slow_end.fell_behind() && !quick_end.fell_behind());
        assert_eq!(kinds(&mut slow_end).len(), CLIENT_QUEUE);
        assert!(!watchers.is_empty());
    }

    #[test]
    fn nothing_is_kept_for_those_who_have_gone() {
        let mut watchers = Watchers::new(Counter::default());
        for _ in 0..10 {
            let (outlet, changes) = client();
            watchers.add(Outlet::Client(outlet), [(Token(1), process(1))]);
            drop(changes);
        }
        assert_eq!(watchers.outlets.len(), 1);
        watchers.leave_out(process(2));
        assert!(watchers.is_empty() && watchers.started.is_empty());
    }
}
