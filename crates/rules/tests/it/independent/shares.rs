//! How often what has decided, so that no rule goes untested for want of cases.

use super::draw_rules::Case;
use super::reading::{Candidate, Cause, Reading, Step, read};
use std::collections::BTreeMap;
use telegen_rules::{Key, Verdict};

/// How many cases each step and each key has decided.
#[derive(Default)]
pub(super) struct Shares {
    cases: u64,
    decided: BTreeMap<String, u64>,
}

impl Shares {
    /// Counts a case: for a step or a key only if the text leaves no other.
    pub(super) fn count(&mut self, case: &Case, candidate: Candidate<'_>, reading: &Reading) {
        self.cases += 1;
        if let Some(step) = the_only(reading.causes.iter().map(|cause| cause.step)) {
            self.add(format!("step {step:?}"));
        }
        let key = |cause: &Cause| (cause.step, cause.key);
        match the_only(reading.causes.iter().map(key)) {
            Some((Step::Awaiting, Some(key))) => self.add(format!("waits for {}", key.name())),
            Some((Step::Included, Some(Key::PodAnnotations))) => self.add("pod_annotations: true".to_owned()),
            Some((Step::Excluded, Some(Key::PodAnnotations))) => {
                self.add("pod_annotations: false".to_owned())
            }
            Some((_, Some(key))) => self.add(key.name().to_owned()),
            _ => {}
        }
        if reading.passed_over {
            self.add("a later target while an earlier waits".to_owned());
        }
        if case.spec.targets.iter().any(|target| target.until.is_some_and(|until| until <= case.moment)) {
            let mut without = case.spec.clone();
            without.targets.iter_mut().for_each(|target| target.until = None);
            let other = read(&without, case.moment, candidate);
            if (other.verdict, &other.owner) != (reading.verdict, &reading.owner) {
                self.add("until".to_owned());
            }
        }
        self.add(format!("verdict {:?}", reading.verdict));
    }

    /// Asserts that everything has decided one case of a hundred.
    pub(super) fn assert_enough(&self) {
        let steps = [
            Step::KernelThread,
            Step::Agent,
            Step::Pid,
            Step::Excluded,
            Step::NoIncludes,
            Step::Included,
            Step::AllIncluded,
            Step::NotIncluded,
            Step::Awaiting,
        ];
        let verdicts = [Verdict::Profile, Verdict::Skip, Verdict::Pending];
        let keys =
            Key::ALL.iter().filter(|&&key| key != Key::PodAnnotations).map(|key| key.name().to_owned());
        let others = [
            "pod_annotations: true",
            "pod_annotations: false",
            "until",
            "a later target while an earlier waits",
        ];
        let wanted = steps
            .iter()
            .map(|step| format!("step {step:?}"))
            .chain(verdicts.iter().map(|verdict| format!("verdict {verdict:?}")))
            .chain(keys)
            .chain(others.map(str::to_owned));
        let few: Vec<String> =
            wanted.filter(|name| self.decided.get(name).copied().unwrap_or(0) * 100 < self.cases).collect();
        assert!(few.is_empty(), "decided less than one case of a hundred: {few:?}\n{self}");
    }

    fn add(&mut self, name: String) {
        *self.decided.entry(name).or_default() += 1;
    }
}

impl std::fmt::Display for Shares {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (name, &count) in &self.decided {
            writeln!(f, "{:6.2} % {name}", count as f64 * 100.0 / self.cases as f64)?;
        }
        Ok(())
    }
}

fn the_only<T: PartialEq>(mut all: impl Iterator<Item = T>) -> Option<T> {
    let first = all.next()?;
    all.all(|other| other == first).then_some(first)
}
