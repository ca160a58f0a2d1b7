//! Who is told what becomes of processes.

use super::drain;
use super::waker::Sender;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use telegen_model::{ProcessFacts, Token};
use telegen_rules::Decision;

/// Who is told what becomes of processes.
pub(crate) enum Audience {
    /// The thread that samples targets.
    Sampler(Sender<drain::Message>),
    /// Somebody who wants to see decisions; nothing is sampled.
    Watcher(Watcher),
}

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
    pub(crate) kind: ChangeKind,
    pub(crate) facts: Arc<ProcessFacts>,
    pub(crate) decision: Decision,
}

/// Somebody who wants to see decisions.
pub(crate) struct Watcher {
    to: SyncSender<Change>,
    /// Targets that were told of: who has ended is not known to anybody else any more.
    started: HashMap<Token, (Arc<ProcessFacts>, Decision)>,
}

impl Watcher {
    pub(crate) fn new(to: SyncSender<Change>) -> Self {
        Self { to, started: HashMap::new() }
    }

    pub(super) fn start(&mut self, token: Token, facts: Arc<ProcessFacts>, decision: Decision) {
        self.started.insert(token, (facts.clone(), decision));
        self.tell(ChangeKind::Started, facts, decision);
    }

    pub(super) fn leave_out(&self, facts: Arc<ProcessFacts>, decision: Decision) {
        self.tell(ChangeKind::LeftOut, facts, decision);
    }

    pub(super) fn end(&mut self, token: Token) {
        if let Some((facts, decision)) = self.started.remove(&token) {
            self.tell(ChangeKind::Ended, facts, decision);
        }
    }

    fn tell(&self, kind: ChangeKind, facts: Arc<ProcessFacts>, decision: Decision) {
        // Waits while the channel is full: events wait in their ring meanwhile. Who has gone away is stopping.
        let _ = self.to.send(Change { kind, facts, decision });
    }
}
