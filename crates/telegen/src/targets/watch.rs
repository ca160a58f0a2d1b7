//! `telegen targets --watch`: changes of the selection as they happen.

use super::entry::{explanation, pod_name, target_name};
use super::json::{change_name, decided_change, shown_time};
use super::{Decided, ListFormat, ListOptions, decide_all, find};
use crate::engine::{Change, ChangeKind, SelectionWatch};
use crate::failure::{Failure, Status};
use crate::output::{print, say, shown};
use crate::pods::Look;
use crate::signals::Signals;
use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};
use telegen_model::ProcessId;
use telegen_rules::RuleSet;

/// How often the end is looked for.
const TICK: Duration = Duration::from_millis(100);
/// How often /proc is read where the kernel may not be asked.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Prints changes until a signal ends it.
pub(crate) fn run(
    rules: &RuleSet,
    max_targets: usize,
    kubernetes: Option<telegen_k8s::Options>,
    options: ListOptions,
) -> Result<(), Failure> {
    let signals = Signals::catch().map_err(|error| Failure::new(Status::Failed, error))?;
    let printer = Printer { rules, options };
    printer.print_header()?;
    match SelectionWatch::start(rules.clone(), max_targets, kubernetes.clone()) {
        Ok(watch) => {
            let result = follow(&watch, &printer, &signals);
            watch.stop();
            result
        }
        Err(error) if error.is_environment() => {
            say(&format!("{error}\nlooking at /proc once a second instead: shorter lives are not seen"));
            poll(&printer, &signals, Look::new(kubernetes))
        }
        Err(error) => Err(error.into()),
    }
}

fn follow(watch: &SelectionWatch, printer: &Printer<'_>, signals: &Signals) -> Result<(), Failure> {
    while !signals.end() {
        let Some(Change { kind, at, process }) = watch.next(TICK).map_err(anyhow::Error::from)? else {
            continue;
        };
        printer.print(kind, at, &Decided { facts: process.facts, decision: process.decision })?;
    }
    Ok(())
}

fn poll(printer: &Printer<'_>, signals: &Signals, mut look: Look) -> Result<(), Failure> {
    let mut before: BTreeMap<ProcessId, Decided> = BTreeMap::new();
    while !signals.end() {
        let (next, at) = (Instant::now() + POLL_INTERVAL, SystemTime::now());
        let decided = decide_all(printer.rules, find(printer.rules, look.pods())?.processes);
        let now: BTreeMap<ProcessId, Decided> =
            decided.into_iter().map(|process| (process.facts.key.id, process)).collect();
        for (id, process) in &before {
            let stays = now.get(id).is_some_and(|now| now.decision.is_profile());
            if process.decision.is_profile() && !stays {
                printer.print(ChangeKind::Ended, at, process)?;
            }
        }
        for (id, process) in &now {
            let known = before.get(id).is_some_and(|before| before.decision == process.decision);
            if !known {
                let target = process.decision.is_profile();
                let was = before.get(id).is_some_and(|before| before.decision.is_profile());
                match (was, target) {
                    (true, true) => {}
                    (_, true) => printer.print(ChangeKind::Started, at, process)?,
                    (_, false) => printer.print(ChangeKind::LeftOut, at, process)?,
                }
            }
        }
        before = now;
        while !signals.end() && Instant::now() < next {
            std::thread::sleep(TICK);
        }
    }
    Ok(())
}

/// Prints changes in the form that was asked for.
struct Printer<'a> {
    rules: &'a RuleSet,
    options: ListOptions,
}

impl Printer<'_> {
    fn print_header(&self) -> Result<(), Failure> {
        if self.options.format == ListFormat::Json {
            return Ok(());
        }
        self.put(&format!("{:<24}  {:<6}  {:>7}  {:<15}  REASON\n", "TIME", "CHANGE", "PID", "NAME"))
    }

    fn print(&self, kind: ChangeKind, at: SystemTime, process: &Decided) -> Result<(), Failure> {
        if kind == ChangeKind::LeftOut && !self.options.all {
            return Ok(());
        }
        let line = if self.options.format == ListFormat::Json {
            decided_change(kind, at, self.rules, process)
        } else {
            let (time, change) = (shown_time(at), change_name(kind));
            let facts = &process.facts;
            let (pid, comm) = (facts.key.id.pid, shown(&facts.comm));
            let mut reason = shown(&explanation(self.rules, process));
            if self.options.format == ListFormat::Wide {
                let container = facts.container.as_ref().map_or("-", |container| container.id.as_str());
                let executable = facts.executable.as_deref().map_or_else(|| "-".into(), shown);
                let pod = shown(&pod_name(&facts.pod));
                let target = target_name(self.rules, process).map_or_else(|| "-".into(), shown);
                reason = format!("{reason}  {target}  {container}  {pod}  {executable}");
            }
            format!("{time}  {change:<6}  {pid:>7}  {comm:<15}  {reason}\n")
        };
        self.put(&line)
    }

    fn put(&self, text: &str) -> Result<(), Failure> {
        print(text).map_err(|error| Failure::new(Status::Failed, error))
    }
}
