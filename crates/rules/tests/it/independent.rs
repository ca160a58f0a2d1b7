//! An oracle written from the text of the targeting rules alone, by somebody who has not seen the code that it judges,
//! and the cases on which both are asked.

mod dice;
mod draw_process;
mod draw_rule;
mod draw_rules;
mod glob;
mod known;
mod labels;
mod reading;
mod shares;
mod smaller;
mod truth;

use dice::Dice;
use draw_rules::{Case, case};
use reading::{Candidate, Cause, Reading, Step, read};
use shares::Shares;
use std::collections::BTreeSet;
use std::time::SystemTime;
use telegen_rules::{Decision, Key, PidChoice, Reason, RuleSet, TargetId, TargetingSpec};

/// Cases from the seed that never changes, and from the one that always does.
const CASES: usize = 100_000;
const OTHER_CASES: usize = 20_000;

#[test]
fn the_rules_decide_as_the_text_says() {
    compare(20_261_125, CASES).assert_enough();
}

#[test]
fn the_rules_decide_as_the_text_says_from_any_seed() {
    let seed = std::env::var("TELEGEN_SEED").ok().map(|seed| seed.parse().expect("a number"));
    let clock = || SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_nanos() as u64;
    compare(seed.unwrap_or_else(clock), OTHER_CASES);
}

/// Asks both about all cases from a seed, which is shown so that it can be had again.
#[allow(clippy::print_stdout)]
fn compare(seed: u64, cases: usize) -> Shares {
    println!("TELEGEN_SEED={seed}");
    let mut dice = Dice::new(seed);
    let mut shares = Shares::default();
    for number in 0..cases {
        let case = case(&mut dice);
        let candidate = candidate(&case);
        let reading = read(&case.spec, case.moment, candidate);
        if let Some(difference) = difference(&case, &reading) {
            let case = smaller::smallest(case, |case| {
                self::difference(case, &read(&case.spec, case.moment, self::candidate(case))).is_some()
            });
            let reading = read(&case.spec, case.moment, self::candidate(&case));
            let smallest = self::difference(&case, &reading);
            panic!(
                "TELEGEN_SEED={seed}, case {number}: {difference}\nsmallest: {smallest:?}\n{case:#?}\n{reading:#?}"
            );
        }
        shares.count(&case, candidate, &reading);
    }
    println!("{shares}");
    shares
}

fn candidate(case: &Case) -> Candidate<'_> {
    Candidate { facts: &case.facts, is_agent: case.is_agent, is_bound: case.is_bound }
}

/// How the rules decide otherwise than the text says, if they do.
fn difference(case: &Case, reading: &Reading) -> Option<String> {
    let rules = match RuleSet::compile(&case.spec) {
        Ok(rules) => rules.at(case.moment),
        Err(errors) => return Some(format!("no rules: {errors:?}")),
    };
    if listed(rules.pids()) != expected_pids(&case.spec, case.moment) {
        return Some(format!("other pids: {:?}", rules.pids()));
    }
    let chosen =
        rules.pids().iter().find(|choice| case.is_bound && choice.pid == case.facts.key.id.pid).copied();
    let decision = rules.decide(&case.facts, chosen, case.is_agent);
    let owner = decision.is_profile().then(|| rules.target(decision).name.to_string());
    if decision.verdict != reading.verdict || owner != reading.owner {
        return Some(format!("{:?} by {owner:?}: {decision:?}", decision.verdict));
    }
    let allowed = reading.causes.iter().any(|cause| is_allowed(cause, &decision));
    (!allowed).then(|| format!("for another reason: {decision:?}"))
}

/// Whether the decision's reason is this one.
fn is_allowed(cause: &Cause, decision: &Decision) -> bool {
    let (step, key, index) = match decision.reason {
        Reason::KernelThread => (Step::KernelThread, None, 0),
        Reason::Agent => (Step::Agent, None, 0),
        Reason::Pid { key, index } => (Step::Pid, Some(key), index),
        Reason::Excluded { key, index } => (Step::Excluded, Some(key), index),
        Reason::NoIncludeRules => (Step::NoIncludes, None, 0),
        Reason::Included { key, index } => (Step::Included, Some(key), index),
        Reason::AllIncluded => (Step::AllIncluded, None, 0),
        Reason::NotIncluded => (Step::NotIncluded, None, 0),
        Reason::Awaiting { key } => (Step::Awaiting, Some(key), 0),
        _ => return false,
    };
    let is_of_target = step != Step::Excluded || cause.target == decision.target;
    let is_of_entry = step == Step::Awaiting || cause.index.is_none_or(|place| place == usize::from(index));
    cause.step == step && cause.key == key && is_of_target && is_of_entry
}

fn listed(choices: &[PidChoice]) -> BTreeSet<(TargetId, Key, u16, u32)> {
    choices.iter().map(|choice| (choice.target, choice.key, choice.index, choice.pid.0)).collect()
}

/// The pids of all targets that have not ended.
fn expected_pids(spec: &TargetingSpec, moment: SystemTime) -> BTreeSet<(TargetId, Key, u16, u32)> {
    let named =
        spec.targets.iter().enumerate().filter(|(_, target)| target.until.is_none_or(|until| moment < until));
    let named = named.map(|(place, target)| (TargetId::named(place).expect("few"), &target.rules));
    let mut all = BTreeSet::new();
    for (target, rules) in named.chain([(TargetId::DEFAULT, &spec.rules)]) {
        all.extend(rules.pid.map(|pid| (target, Key::Pid, 0, pid)));
        all.extend((0_u16..).zip(&rules.pids).map(|(index, &pid)| (target, Key::Pids, index, pid)));
    }
    all
}
