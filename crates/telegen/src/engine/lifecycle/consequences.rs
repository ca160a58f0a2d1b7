//! What follows from decisions: the kernel is told first, then whoever samples and whoever watches.

use super::{Owner, Summary};
use crate::containers::container_of;
use crate::engine::observation::{self, Asked};
use crate::engine::watchers::Watchers;
use crate::engine::{drain, monotonic_ns};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use telegen_bpf::{Outcome, StateChange};
use telegen_collect::TargetFacts;
use telegen_model::ProcessFacts;
use telegen_select::{Operation, SelectedProcess, Selector, TargetSettings};

/// How often it is said at most that there are more targets than there may be.
const REFUSAL_INTERVAL: Duration = Duration::from_secs(60);

impl Owner {
    /// Decisions go to the kernel first, then the draining thread hears of starts and ends.
    pub(super) fn carry_out(
        &mut self,
        operations: Vec<Operation>,
        times: &[u64],
    ) -> Result<(), telegen_bpf::Error> {
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

    pub(super) fn sample(&mut self, operation: Operation) {
        match operation {
            // Samples bring their target's number along.
            Operation::Name { .. }
            | Operation::Set { .. }
            | Operation::Retarget { .. }
            | Operation::LeftOut { .. } => {}
            Operation::Facts { token, facts } => {
                self.audience.tell_sampler(drain::Message::Facts { token, facts });
            }
            Operation::Start { token, facts, parent, .. } => {
                // None if it has gone already.
                let key = self.selector.key(token);
                let facts = if self.asked == Asked::Nothing { with_container(facts) } else { facts };
                self.audience.tell_sampler(drain::Message::Start { token, key, facts, parent });
                if self.prepare > 0 {
                    self.prepare -= 1;
                    self.audience.tell_sampler(drain::Message::ReadMappings(token));
                }
            }
            Operation::End { token } => self.audience.tell_sampler(drain::Message::End(token)),
        }
    }

    /// Says, once a minute at most, that processes match for which there is no room.
    pub(super) fn say_refused(&mut self) {
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

    pub(super) fn log_summary(&self) -> Summary {
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
        Operation::Set { token, standing: telegen_select::Standing::Skip, .. }
        | Operation::LeftOut { token } => {
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
