//! What a scan of all processes has found, against what is known.

use super::Selector;
use crate::{Observed, Operation};
use std::sync::Arc;
use telegen_model::Token;

/// What a scan has put right, because events were lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Repairs {
    /// Processes that nobody had announced.
    pub found: usize,
    /// Processes that had gone without a word.
    pub gone: usize,
}

impl Selector {
    /// A scan of all processes begins, before the first of them is looked at: each will be
    /// [`Event::Seen`](crate::Event::Seen). Events that are handled until [`Selector::finish_scan`] are newer than what
    /// the scan has seen, and win.
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

    pub(super) fn see(&mut self, observed: Observed, out: &mut Vec<Operation>) {
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
}
