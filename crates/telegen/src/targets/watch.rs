//! `telegen targets --watch`: changes of the selection as they happen.

use super::entry::{Entry, explanation, pod_name, target_name};
use super::{Decided, ListFormat, ListOptions, decide_all, find};
use crate::engine::{Change, ChangeKind, SelectionWatch};
use crate::failure::{Failure, Status};
use crate::output::{print, say, shown};
use crate::signals::Signals;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};
use telegen_model::ProcessId;
use telegen_rules::RuleSet;

/// How often the end is looked for.
const TICK: Duration = Duration::from_millis(100);
/// How often /proc is read where the kernel may not be asked.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Prints changes until a signal ends it.
pub(crate) fn run(rules: &RuleSet, max_targets: usize, options: ListOptions) -> Result<(), Failure> {
    let signals = Signals::catch().map_err(|error| Failure::new(Status::Failed, error))?;
    let printer = Printer { rules, options };
    printer.print_header()?;
    match SelectionWatch::start(rules.clone(), max_targets) {
        Ok(watch) => {
            let result = follow(&watch, &printer, &signals);
            watch.stop();
            result
        }
        Err(error) if error.is_environment() => {
            say(&format!("{error}\nlooking at /proc once a second instead: shorter lives are not seen"));
            poll(&printer, &signals)
        }
        Err(error) => Err(error.into()),
    }
}

fn follow(watch: &SelectionWatch, printer: &Printer<'_>, signals: &Signals) -> Result<(), Failure> {
    while !signals.end() {
        let Some(Change { kind, facts, decision }) = watch.next(TICK).map_err(anyhow::Error::from)? else {
            continue;
        };
        printer.print(kind, &Decided { facts: (*facts).clone(), decision })?;
    }
    Ok(())
}

fn poll(printer: &Printer<'_>, signals: &Signals) -> Result<(), Failure> {
    let mut before: BTreeMap<ProcessId, Decided> = BTreeMap::new();
    while !signals.end() {
        let next = Instant::now() + POLL_INTERVAL;
        let decided = decide_all(printer.rules, find(printer.rules)?.processes);
        let now: BTreeMap<ProcessId, Decided> =
            decided.into_iter().map(|process| (process.facts.key.id, process)).collect();
        for (id, process) in &before {
            let stays = now.get(id).is_some_and(|now| now.decision.is_profile());
            if process.decision.is_profile() && !stays {
                printer.print(ChangeKind::Ended, process)?;
            }
        }
        for (id, process) in &now {
            let known = before.get(id).is_some_and(|before| before.decision == process.decision);
            if !known {
                let target = process.decision.is_profile();
                let was = before.get(id).is_some_and(|before| before.decision.is_profile());
                match (was, target) {
                    (true, true) => {}
                    (_, true) => printer.print(ChangeKind::Started, process)?,
                    (_, false) => printer.print(ChangeKind::LeftOut, process)?,
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

#[derive(Serialize)]
struct ChangeEntry {
    time: String,
    change: &'static str,
    #[serde(flatten)]
    process: Entry,
}

impl Printer<'_> {
    fn print_header(&self) -> Result<(), Failure> {
        if self.options.format == ListFormat::Json {
            return Ok(());
        }
        self.put(&format!("{:<24}  {:<6}  {:>7}  {:<15}  REASON\n", "TIME", "CHANGE", "PID", "NAME"))
    }

    fn print(&self, kind: ChangeKind, process: &Decided) -> Result<(), Failure> {
        if kind == ChangeKind::LeftOut && !self.options.all {
            return Ok(());
        }
        let (time, change) = (now(), name(kind));
        let line = if self.options.format == ListFormat::Json {
            let entry = ChangeEntry { time, change, process: Entry::new(self.rules, process) };
            serde_json::to_string(&entry).map_err(|error| Failure::new(Status::Failed, error))? + "\n"
        } else {
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

fn name(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Started => "start",
        ChangeKind::LeftOut => "skip",
        ChangeKind::Ended => "end",
    }
}

/// To the millisecond, in UTC, as long in every line.
fn now() -> String {
    let time = jiff::Timestamp::try_from(SystemTime::now()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}
