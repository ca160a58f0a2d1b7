//! `telegen targets`: what would be profiled, and why.

mod entry;
pub(crate) mod json;
mod nothing_matched;
mod readings;
pub(crate) mod watch;

use crate::containers::Containers;
use crate::failure::{Failure, Status};
use crate::output::{counted, print, say, shown, table};
use crate::pods::{Look, Need, PodSource, described};
use entry::{Entry, explanation, pod_name, target_name};
pub(crate) use nothing_matched::nothing_matched;
pub(crate) use readings::compare_readings;
use std::sync::Arc;
use std::time::Instant;
use telegen_bpf::Scanner;
use telegen_model::{ContainerId, Pid, PodFacts, ProcessFacts};
use telegen_process::ProcFs;
use telegen_rules::{Decision, PidChoice, RuleSet};

/// How the list looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ListFormat {
    Table,
    Wide,
    Json,
}

/// What is listed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ListOptions {
    pub(crate) format: ListFormat,
    /// Also what is not profiled.
    pub(crate) all: bool,
    /// Why.
    pub(crate) explain: bool,
}

/// A process, and what the rules say of it.
struct Decided {
    facts: Arc<ProcessFacts>,
    decision: Decision,
}

/// Lists processes with what the rules say of them.
pub(crate) fn run(
    rules: &RuleSet,
    kubernetes: Option<telegen_k8s::Options>,
    options: ListOptions,
) -> Result<(), Failure> {
    let source = described(kubernetes.as_ref());
    let mut look = Look::new(kubernetes);
    if let Err(missing) = look.wait(Need::of(rules)) {
        if rules.needs_pod() {
            return Err(Failure::message(Status::Failed, format!("there are rules on pods; {missing}")));
        }
        say(&format!("pods are not known: {missing}"));
    }
    let begun = Instant::now();
    let found = find(rules, look.pods())?;
    let decided = decide_all(rules, found.processes);
    let elapsed = begun.elapsed();
    let matched = decided.iter().filter(|process| process.decision.is_profile()).count();
    let listed: Vec<&Decided> =
        decided.iter().filter(|process| options.all || process.decision.is_profile()).collect();
    let text = match options.format {
        ListFormat::Json => {
            let figures = json::Figures::new(decided.len(), matched, elapsed);
            json::list(figures, listed.iter().map(|process| Entry::new(rules, process))).collect()
        }
        format => {
            let text = rendered(rules, &listed, format, options.explain, (decided.len(), matched));
            if options.explain { format!("{text}pods are known from {source}\n") } else { text }
        }
    };
    print(&text).map_err(|error| Failure::new(Status::Failed, error))?;
    if found.partly_read > 0 {
        say(&format!(
            "{} could be read in part only: executables and arguments of other users' processes need root \
             or CAP_SYS_PTRACE, so rules on them may not match here",
            counted(found.partly_read as u64, "process", "processes")
        ));
    }
    Ok(())
}

struct Found {
    processes: Vec<ProcessFacts>,
    partly_read: usize,
}

/// All processes with what the rules ask of them.
fn find(rules: &RuleSet, pods: &mut PodSource) -> Result<Found, Failure> {
    let mut found = find_processes(rules)?;
    // Kubernetes has been asked once for all of them; each would have to be asked for itself.
    if rules.needs_pod() || matches!(pods, PodSource::Book(_)) {
        for facts in &mut found.processes {
            facts.pod = pods.of(facts, &PodFacts::InNone);
        }
        if !pods.give_up(Instant::now()).is_empty() {
            for facts in &mut found.processes {
                facts.pod = pods.of(facts, &PodFacts::InNone);
            }
        }
    }
    Ok(found)
}

/// All processes: by the kernel's iterator where that may be used, else from /proc.
fn find_processes(rules: &RuleSet) -> Result<Found, Failure> {
    match Scanner::load() {
        Ok(mut scanner) => {
            let scanned = if rules.needs_argv0() { scanner.scan_with_argv0() } else { scanner.scan() }?;
            let mut containers = Containers::default();
            let processes = scanned
                .into_iter()
                .map(|mut scanned| {
                    scanned.facts.container = containers.of(&scanned, None);
                    completed(scanned.facts)
                })
                .collect();
            Ok(Found { processes, partly_read: 0 })
        }
        Err(reason) => {
            tracing::debug!(%reason, "reading /proc instead of the kernel's list of processes");
            let scan = ProcFs::default().scan().map_err(|error| Failure::new(Status::Failed, error))?;
            Ok(Found { processes: scan.processes, partly_read: scan.partly_read })
        }
    }
}

/// Adds from /proc what the iterator could not tell, such as a path that is too long.
fn completed(mut facts: ProcessFacts) -> ProcessFacts {
    if facts.executable.is_none() && !facts.kernel_thread {
        // A process that has gone meanwhile stays as it is.
        facts.executable = ProcFs::default().executable(facts.key.id.pid).ok().flatten();
    }
    facts
}

fn decide_all(rules: &RuleSet, mut processes: Vec<ProcessFacts>) -> Vec<Decided> {
    processes.sort_unstable_by_key(|facts| facts.key.id);
    let own = Pid(std::process::id());
    let decide = |facts: ProcessFacts| {
        let pid = facts.key.id.pid;
        let decision = rules.decide(&facts, choice(rules, pid), pid == own);
        Decided { facts: Arc::new(facts), decision }
    };
    processes.into_iter().map(decide).collect()
}

/// In a single look every pid rule means the process that has the pid now.
fn choice(rules: &RuleSet, pid: Pid) -> Option<PidChoice> {
    rules.pids().iter().copied().find(|choice| choice.pid == pid)
}

fn rendered(
    rules: &RuleSet,
    listed: &[&Decided],
    format: ListFormat,
    explain: bool,
    (scanned, matched): (usize, usize),
) -> String {
    let wide = format == ListFormat::Wide;
    let mut header = vec!["PID", "NAME", "DECISION"];
    if wide {
        header.extend(["TARGET", "STARTED", "CONTAINER", "POD", "EXECUTABLE"]);
    }
    if wide || explain {
        header.push("REASON");
    }
    let row = |process: &&Decided| {
        let facts = &process.facts;
        let mut row = vec![
            facts.key.id.pid.to_string(),
            shown(&facts.comm),
            process.decision.verdict.name().to_owned(),
        ];
        if wide {
            row.push(target_name(rules, process).map_or_else(|| "-".into(), shown));
            row.push(format!("{:.3}s", facts.key.id.start.0 as f64 / 1e9));
            let container = facts.container.as_ref();
            // As short as rules and other tools take it.
            row.push(
                container.map_or("-", |container| &container.id.as_str()[..ContainerId::MIN_DIGITS]).into(),
            );
            row.push(shown(&pod_name(&facts.pod)));
            row.push(facts.executable.as_deref().map_or_else(|| "-".into(), shown));
        }
        if wide || explain {
            row.push(shown(&explanation(rules, process)));
        }
        row
    };
    let rows: Vec<Vec<String>> = listed.iter().map(row).collect();
    let scanned = counted(scanned as u64, "process", "processes");
    let are = if matched == 1 { "is" } else { "are" };
    format!("{}\n{matched} of {scanned} {are} profiled: {}\n", table(&header, &rows), rules.summary())
}
