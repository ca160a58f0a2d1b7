//! Looks at all processes: at the start, now and then, and when a container was met.

use super::Owner;
use super::owner::REPAIR_INTERVAL;
use crate::containers::Containers;
use crate::engine::kernel_policy::{Groups, Sightings};
use crate::engine::observation::{self, Asked};
use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use telegen_bpf::{ScanUnderWay, Scanned, State};
use telegen_model::ControlGroup;
use telegen_process::ProcFs;

/// How soon after a container has been met all processes are looked at, to tell the kernel side of its control group.
const NEW_CONTAINER_DELAY: Duration = Duration::from_millis(500);
/// So many processes of a scan are looked at before events are looked at again.
const SCAN_PORTION: usize = 256;

impl Owner {
    /// A process has come into a control group that may be a container's.
    pub(super) fn note_group(&mut self, group: Option<ControlGroup>) {
        let known = group.is_none_or(|group| self.policy.knows(group));
        if self.asked > Asked::Nothing && !known && self.look_at.is_none() {
            self.look_at = Some((Instant::now() + NEW_CONTAINER_DELAY).max(self.rest_until));
        }
    }

    /// Looks at all processes: at the start to learn of them, later to find what events have not told.
    pub(super) fn scan(&mut self) -> Result<telegen_select::Repairs, telegen_bpf::Error> {
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
        self.metrics.count_container_lookups(containers.lookups());
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

    /// Deletes what the programs have left over in their table, of processes that were gone the last time already.
    pub(super) fn sweep(&mut self, now: Instant) -> Result<(), telegen_bpf::Error> {
        if now < self.sweep_at {
            return Ok(());
        }
        self.sweep_at = now + REPAIR_INTERVAL;
        let proc = ProcFs::default();
        let is_gone = |pid| matches!(proc.stat(pid), Err(telegen_process::Error::Gone { .. }));
        let left = self.leftovers.find(is_gone)?;
        if !left.is_empty() {
            let released = self.decider.release(&left)?;
            self.metrics.leftovers.inc_by(released as u64);
            tracing::debug!(released, "deleted entries of processes whose release was not seen");
        }
        Ok(())
    }

    /// Reads all processes. Among thousands that takes a while, in which nobody shall wait for a decision.
    pub(super) fn read_scan(
        &mut self,
        mut under_way: ScanUnderWay,
    ) -> Result<Vec<Scanned>, telegen_bpf::Error> {
        while under_way.read_on()? {
            self.handle_events()?;
        }
        Ok(under_way.finish())
    }
}
