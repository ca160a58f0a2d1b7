//! `telegen targets`: what would be profiled, and why.

pub(crate) mod watch;

use crate::containers::Containers;
use crate::failure::{Failure, Status};
use crate::output::{print, say, shown, table};
use serde::Serialize;
use std::time::{Instant, SystemTime};
use telegen_bpf::Scanner;
use telegen_model::{ContainerId, Pid, ProcessFacts};
use telegen_process::ProcFs;
use telegen_rules::{
    Decision, MatchMode, NearMiss, PidChoice, Reason, RuleSet, TargetId, TargetingSpec, Warning,
};

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
    facts: ProcessFacts,
    decision: Decision,
}

#[derive(Serialize)]
struct List {
    scanned: usize,
    matched: usize,
    duration_ms: f64,
    processes: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    pid: u32,
    start_time: u64,
    name: String,
    exe: Option<String>,
    container_id: Option<String>,
    decision: &'static str,
    target: Option<String>,
    reason: String,
}

/// Lists processes with what the rules say of them.
pub(crate) fn run(rules: &RuleSet, options: ListOptions) -> Result<(), Failure> {
    let begun = Instant::now();
    let found = find(rules)?;
    let decided = decide_all(rules, found.processes);
    let elapsed = begun.elapsed();
    let matched = decided.iter().filter(|process| process.decision.is_profile()).count();
    let listed: Vec<&Decided> =
        decided.iter().filter(|process| options.all || process.decision.is_profile()).collect();
    let text = match options.format {
        ListFormat::Json => {
            let list = List {
                scanned: decided.len(),
                matched,
                duration_ms: elapsed.as_secs_f64() * 1e3,
                processes: listed.iter().map(|process| entry(rules, process)).collect(),
            };
            serde_json::to_string(&list).map_err(|error| Failure::new(Status::Failed, error))? + "\n"
        }
        format => rendered(rules, &listed, format, options.explain, (decided.len(), matched)),
    };
    print(&text).map_err(|error| Failure::new(Status::Failed, error))?;
    if found.partly_read > 0 {
        say(&format!(
            "{} processes could be read in part only: executables and arguments of other users' processes need root \
             or CAP_SYS_PTRACE, so rules on them may not match here",
            found.partly_read
        ));
    }
    Ok(())
}

struct Found {
    processes: Vec<ProcessFacts>,
    partly_read: usize,
}

/// All processes: by the kernel's iterator where that may be used, else from /proc.
fn find(rules: &RuleSet) -> Result<Found, Failure> {
    match Scanner::load() {
        Ok(mut scanner) => {
            let scanned = if rules.needs_argv0() { scanner.scan_with_argv0() } else { scanner.scan() }?;
            let mut containers = Containers::default();
            let processes = scanned
                .into_iter()
                .map(|mut scanned| {
                    scanned.facts.container = containers.of(scanned.cgroup, scanned.facts.key.id.pid, None);
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
        Decided { facts, decision }
    };
    processes.into_iter().map(decide).collect()
}

/// In a single look every pid rule means the process that has the pid now.
fn choice(rules: &RuleSet, pid: Pid) -> Option<PidChoice> {
    rules.pids().iter().copied().find(|choice| choice.pid == pid)
}

fn entry(rules: &RuleSet, process: &Decided) -> Entry {
    let facts = &process.facts;
    Entry {
        pid: facts.key.id.pid.0,
        start_time: facts.key.id.start.0,
        name: facts.comm.to_string(),
        exe: facts.executable.as_deref().map(str::to_owned),
        container_id: facts.container.as_ref().map(|container| container.id.to_string()),
        decision: process.decision.verdict.name(),
        target: target_name(rules, process).map(str::to_owned),
        reason: explanation(rules, process),
    }
}

/// The name of the target that has selected a process.
fn target_name<'a>(rules: &'a RuleSet, process: &Decided) -> Option<&'a str> {
    process.decision.is_profile().then(|| &*rules.target(process.decision).name)
}

/// The deciding rule, or what is missing for one to match.
fn explanation(rules: &RuleSet, process: &Decided) -> String {
    /// More targets than these are too many to read of.
    const SHOWN: usize = 3;
    let reason = rules.reason(process.decision);
    let misses = rules.near_misses(&process.facts, process.decision);
    if misses.is_empty() {
        return reason;
    }
    let misses: Vec<String> = misses.iter().take(SHOWN).map(NearMiss::to_string).collect();
    format!("{reason}: {}", misses.join("; "))
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
        header.extend(["TARGET", "STARTED", "CONTAINER", "EXECUTABLE"]);
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
            row.push(facts.executable.as_deref().map_or_else(|| "-".into(), shown));
        }
        if wide || explain {
            row.push(shown(&explanation(rules, process)));
        }
        row
    };
    let rows: Vec<Vec<String>> = listed.iter().map(row).collect();
    format!("{}\n{matched} of {scanned} processes are profiled: {}\n", table(&header, &rows), rules.summary())
}

/// How many processes each reading of several include types without a `match` would select now, target by target.
pub(crate) fn compare_readings(rules: &RuleSet) -> Result<Vec<String>, Failure> {
    let mut lines = Vec::new();
    for warning in rules.warnings() {
        let Warning::ImplicitMatch { target, name } = warning else { continue };
        let count = |mode| count_selected(&with_mode(rules, target, mode)?, target);
        let of = if target == TargetId::DEFAULT { String::new() } else { format!("target `{name}`: ") };
        lines.push(format!(
            "  {of}match: any would select {} processes now, match: all {}",
            count(MatchMode::Any)?,
            count(MatchMode::All)?
        ));
    }
    Ok(lines)
}

/// The same rules with a `match` for one target.
fn with_mode(rules: &RuleSet, target: TargetId, mode: MatchMode) -> Result<RuleSet, Failure> {
    let mut spec = rules.spec().clone();
    let of_target = match target.place().and_then(|place| spec.targets.get_mut(place)) {
        Some(named) => &mut named.rules,
        None => &mut spec.rules,
    };
    of_target.match_mode = Some(mode);
    let rules = RuleSet::compile(&spec).map_err(|_| Failure::message(Status::Failed, "the rules changed"))?;
    Ok(rules.at(SystemTime::now()))
}

fn count_selected(rules: &RuleSet, target: TargetId) -> Result<usize, Failure> {
    let decided = decide_all(rules, find(rules)?.processes);
    let selected = |process: &&Decided| process.decision.is_profile() && process.decision.target == target;
    Ok(decided.iter().filter(selected).count())
}

/// The same rules with everything in that is excluded, to tell what only an exclusion keeps out.
fn without_exclusions(rules: &RuleSet) -> Option<RuleSet> {
    let spec: TargetingSpec = rules.spec().without_exclusions();
    Some(RuleSet::compile(spec).ok()?.at(SystemTime::now()))
}

/// What `record` says when nothing matches: how many were looked at, and what came closest.
pub(crate) fn nothing_matched(rules: &RuleSet, flags: &str) -> Failure {
    const SHOWN: usize = 5;
    let decided = match find(rules) {
        Ok(found) => decide_all(rules, found.processes),
        Err(failure) => return failure,
    };
    let included = without_exclusions(rules);
    let miss = |process: &Decided| -> Option<(usize, String)> {
        let facts = &process.facts;
        let excluded = matches!(process.decision.reason, Reason::Excluded { .. })
            && included.as_ref().is_some_and(|rules| rules.decide(facts, None, false).is_profile());
        let (distance, why) = if excluded {
            (0, format!("excluded by {}", rules.reason(process.decision)))
        } else {
            let misses = rules.near_misses(facts, process.decision);
            let miss = misses.first()?;
            (miss.distance(), miss.to_string())
        };
        let (pid, name) = (facts.key.id.pid, shown(facts.display_name()));
        Some((distance, format!("  {pid} {name}: {}", shown(&why))))
    };
    let mut misses: Vec<(usize, String)> = decided.iter().filter_map(miss).collect();
    misses.sort();
    let mut text = format!("no process matches; {} were looked at ({})", decided.len(), rules.summary());
    for choice in rules.pids() {
        text.push_str(&format!("\n  there is no process {} to profile", choice.pid));
    }
    if !misses.is_empty() {
        text.push_str("\nnearest misses:");
    }
    for (_, miss) in misses.into_iter().take(SHOWN) {
        text.push('\n');
        text.push_str(&miss);
    }
    text.push_str(&format!(
        "\nto see why each process is left out: telegen targets {flags} --all --explain\nto wait for the first match: --wait"
    ));
    Failure::message(Status::NothingMatched, text)
}
