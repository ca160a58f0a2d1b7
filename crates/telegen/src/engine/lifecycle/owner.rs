//! The loop of the thread: events, commands, and what time brings.

use super::pace::Promise;
use super::{Command, Owner, Summary};
use crate::engine::drain;
use crate::engine::observation::{self, Asked};
use crate::engine::waker::Inbox;
use crate::engine::watchers::Outlet;
use std::time::{Duration, Instant, SystemTime};
use telegen_bpf::{Event, EventKind, State};

/// How often all processes are looked at again, only to find events that were lost.
pub(super) const REPAIR_INTERVAL: Duration = Duration::from_secs(30);
/// Of the time at most this part is spent on looking at all processes because containers are met.
const LOOKING_PART: u32 = 50;
/// Targets whose stacks can be unwound from their first sample on, because they are made ready before the clocks
/// start. With more than that most are idle, and cost nothing until they are not.
const MAX_PREPARED: usize = 64;

impl Owner {
    pub(super) fn run(
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
            let now = Instant::now();
            let until = |at: Instant| at.saturating_duration_since(now);
            let repair = until(next_repair);
            let moments = [self.pods.next_deadline(), self.look_at, self.pace.look_at()];
            let waits = moments.map(|at| at.map(until)).into_iter().chain([self.until_next_end()]);
            let timeout = waits.flatten().fold(repair, Duration::min);
            let descriptor = (!self.pace.puts_off()).then(|| self.reader.descriptor());
            let woken = inbox.wait(descriptor, Some(timeout)).map_err(failed)?;
            if woken.descriptor && !woken.message {
                let now = Instant::now();
                if !self.reader.awaits_answer() {
                    let promise = self.pace.note_waiting(now);
                    self.keep(promise);
                    continue;
                }
                if self.pace.put_off_answer(now) {
                    continue;
                }
            }
            let found = self.handle_events()?;
            let promise = self.pace.note_looked(found, Instant::now());
            self.keep(promise);
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
                self.sweep(now)?;
                self.rest_until = Instant::now() + now.elapsed() * LOOKING_PART;
                self.log_summary();
            }
        }
    }
    /// How long until the next target ends. The clock may be set meanwhile, so that it is to be asked again after each
    /// repair at the latest.
    pub(super) fn until_next_end(&self) -> Option<Duration> {
        let end = self.selector.selection().rules().next_end()?;
        Some(end.duration_since(SystemTime::now()).unwrap_or_default())
    }

    /// Lets go of what targets have selected whose end has come.
    pub(super) fn end_targets(&mut self) -> Result<(), telegen_bpf::Error> {
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
    pub(super) fn take_commands(&mut self, inbox: &Inbox<Command>) -> Result<bool, telegen_bpf::Error> {
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
    pub(super) fn take_pods(&mut self, changes: Vec<telegen_k8s::Change>) -> Result<(), telegen_bpf::Error> {
        let synced = changes.contains(&telegen_k8s::Change::Standing(telegen_k8s::Standing::InSync));
        let uids = self.pods.take(changes, Instant::now());
        self.change_pods(&uids)?;
        if synced {
            self.log_summary();
        }
        Ok(())
    }

    /// Decides anew on all processes of pods of which something else is known.
    pub(super) fn change_pods(&mut self, uids: &[Box<str>]) -> Result<(), telegen_bpf::Error> {
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

    /// Handles all events that have come; decisions that follow are handed to the kernel together.
    /// How many there were.
    pub(super) fn handle_events(&mut self) -> Result<usize, telegen_bpf::Error> {
        self.reader.drain();
        let events: Vec<Event> = self.queue.borrow_mut().drain(..).collect();
        if events.is_empty() {
            return Ok(0);
        }
        let found = events.len();
        let (mut out, mut times) = (Vec::new(), Vec::new());
        for event in events {
            match event.kind {
                EventKind::Forked { .. } | EventKind::Execed { .. } | EventKind::Moved => {
                    if event.state == State::Undecided {
                        times.push(event.time_ns);
                    } else {
                        self.metrics.kernel_decisions.inc();
                    }
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
        self.carry_out(out, &times)?;
        Ok(found)
    }

    fn keep(&self, promise: Option<Promise>) {
        if let Some(promise) = promise {
            self.reader.attend(promise == Promise::Attend);
        }
    }
}
