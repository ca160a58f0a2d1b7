//! What the kernel side is told of the rules, so that it can say yes before user space has looked.

use crate::containers::Containers;
use std::collections::HashMap;
use std::sync::Arc;
use telegen_bpf::{ControlGroups, Decider, Pattern, PatternForm, PatternSubject, Policy, Rank};
use telegen_model::{Container, ControlGroup, PodFacts, TargetNumber};
use telegen_rules::Subject;
use telegen_select::Selector;

const BOTH: u8 = Subject::Name.bit() | Subject::Path.bit();
const ALL_SUBJECTS: [PatternSubject; 2] = [PatternSubject::Name, PatternSubject::Path];

/// What the kernel side has been told. One thread owns it, the one that decides.
pub(crate) struct KernelPolicy {
    groups: ControlGroups,
    told: HashMap<ControlGroup, TargetNumber>,
    /// There were as many targets as there may be: any other yes would be one too many.
    full: bool,
}

impl KernelPolicy {
    pub(crate) fn new(groups: ControlGroups) -> Self {
        Self { groups, told: HashMap::new(), full: false }
    }

    /// The rules of the selection are in force: until the kernel side has been told all of them it decides nothing.
    pub(crate) fn replace(
        &mut self,
        selector: &Selector,
        containers: &Containers,
        decider: &mut Decider,
    ) -> Result<(), telegen_bpf::Error> {
        decider.set_policy(&Policy::default());
        for (group, _) in std::mem::take(&mut self.told) {
            self.groups.remove(group);
        }
        self.full = selector.is_full();
        for (group, container) in containers.all() {
            self.consider(group, container, selector)?;
        }
        decider.set_policy(&policy_of(selector));
        Ok(())
    }

    /// Falls silent when there are as many targets as there may be, and speaks again when there are not.
    pub(crate) fn heed_limit(
        &mut self,
        selector: &Selector,
        containers: &Containers,
        decider: &mut Decider,
    ) -> Result<(), telegen_bpf::Error> {
        if self.full == selector.is_full() { Ok(()) } else { self.replace(selector, containers, decider) }
    }

    /// A process of a container has been seen in a group: if nothing but the container counts, all that come into it are
    /// of one target.
    pub(crate) fn consider(
        &mut self,
        group: ControlGroup,
        container: &Arc<Container>,
        selector: &Selector,
    ) -> Result<(), telegen_bpf::Error> {
        if self.full || self.told.contains_key(&group) {
            return Ok(());
        }
        if let Some(target) = target_of(selector, container)
            && self.groups.insert(group, target)?
        {
            self.told.insert(group, target);
        }
        Ok(())
    }

    /// Groups that are no more, or that nobody is in.
    pub(crate) fn forget(&mut self, groups: &[ControlGroup]) {
        for group in groups {
            if self.told.remove(group).is_some() {
                self.groups.remove(*group);
            }
        }
    }
}

fn target_of(selector: &Selector, container: &Arc<Container>) -> Option<TargetNumber> {
    let rules = selector.selection().rules();
    // What only a process knows of its pod is not the container's.
    let pod = match &container.pod_uid {
        Some(_) if rules.needs_pod() => PodFacts::Pending,
        _ => PodFacts::InNone,
    };
    let target = rules.container_target(container, &pod)?;
    Some(selector.target_number(target))
}

/// The rules as the programs read them.
fn policy_of(selector: &Selector) -> Policy {
    let rules = selector.selection().rules();
    let kernel_rules = rules.kernel_rules();
    let mut policy = Policy {
        watch_control_groups: rules.needs_container() && kernel_rules.knows_exclusions(),
        ..Policy::default()
    };
    if selector.is_full() {
        return policy;
    }
    let mut of_rank = None;
    for rule in kernel_rules.rules() {
        if !rule.exclude && of_rank != Some(rule.target) {
            of_rank = Some(rule.target);
            let all_of = if rule.needs == BOTH { &ALL_SUBJECTS[..] } else { &[] };
            policy.ranks.push(Rank { target: selector.target_number(rule.target), all_of });
        }
        policy.patterns.push(Pattern {
            subject: match rule.subject {
                Subject::Name => PatternSubject::Name,
                Subject::Path => PatternSubject::Path,
            },
            form: match rule.form {
                telegen_rules::PatternForm::Exact => PatternForm::Exact,
                telegen_rules::PatternForm::Prefix => PatternForm::Prefix,
                telegen_rules::PatternForm::Suffix => PatternForm::Suffix,
            },
            text: rule.text.clone(),
            includes: (!rule.exclude).then(|| policy.ranks.len() - 1),
        });
    }
    policy
}
