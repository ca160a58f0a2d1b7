//! A case that fails, made as small as it can be.

use super::draw_rules::{Case, patterns};
use telegen_rules::{Key, PodAnnotations, RuleSpec};

/// The smallest case that still fails, by leaving out one thing after the other.
pub(super) fn smallest(mut case: Case, fails: impl Fn(&Case) -> bool) -> Case {
    loop {
        let Some(smaller) = smaller(&case).into_iter().find(&fails) else { return case };
        case = smaller;
    }
}

fn smaller(case: &Case) -> Vec<Case> {
    let mut all = Vec::new();
    let mut add = |change: &dyn Fn(&mut Case)| {
        let mut smaller = case.clone();
        change(&mut smaller);
        if smaller.spec != case.spec || smaller.facts != case.facts {
            all.push(smaller);
        }
    };
    add(&|case| case.spec.pod_annotations = PodAnnotations::Off);
    add(&|case| case.facts.argv0 = None);
    add(&|case| case.facts.executable = None);
    add(&|case| case.facts.container = None);
    for place in 0..case.spec.targets.len() {
        add(&|case| drop(case.spec.targets.remove(place)));
        add(&|case| case.spec.targets[place].until = None);
        for &key in Key::ALL {
            add(&|case| leave_out(&mut case.spec.targets[place].rules, key));
        }
    }
    for &key in Key::ALL {
        add(&|case| leave_out(&mut case.spec.rules, key));
    }
    all
}

/// The last entry under a key.
fn leave_out(rules: &mut RuleSpec, key: Key) {
    match key {
        Key::Pid => rules.pid = None,
        Key::Pids => drop(rules.pids.pop()),
        Key::Labels => drop(rules.labels.pop()),
        Key::ExcludeLabels => drop(rules.exclude_labels.pop()),
        Key::PodAnnotations => rules.match_mode = None,
        key => drop(patterns(rules, key).pop()),
    }
}
