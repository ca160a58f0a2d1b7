//! What the kernel side is told of the rules, so that it can say yes before user space has looked.

use crate::pods::PodSource;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use telegen_bpf::{ControlGroups, Decider, Pattern, PatternForm, PatternSubject, Policy, Rank, Scanned};
use telegen_model::{Container, ControlGroup, Pid, PodFacts, TargetNumber};
use telegen_process::ProcFs;
use telegen_rules::Subject;
use telegen_select::Selector;

const BOTH: u8 = Subject::Name.bit() | Subject::Path.bit();
const ALL_SUBJECTS: [PatternSubject; 2] = [PatternSubject::Name, PatternSubject::Path];

/// Containers by their control groups.
pub(crate) type Groups = HashMap<ControlGroup, Arc<Container>>;

/// What the kernel side has been told. One thread owns it, the one that decides.
pub(crate) struct KernelPolicy {
    map: ControlGroups,
    /// Groups that are surely those of containers.
    groups: Groups,
    /// Groups that a scan has met beside these.
    others: HashSet<ControlGroup>,
    told: HashMap<ControlGroup, TargetNumber>,
    /// There were as many targets as there may be: any other yes would be one too many.
    full: bool,
}

impl KernelPolicy {
    pub(crate) fn new(map: ControlGroups) -> Self {
        Self { map, groups: Groups::new(), others: HashSet::new(), told: HashMap::new(), full: false }
    }

    /// The rules of the selection are in force: until the kernel side has been told all of them it decides nothing.
    pub(crate) fn replace(
        &mut self,
        selector: &Selector,
        pods: &mut PodSource,
        decider: &mut Decider,
    ) -> Result<(), telegen_bpf::Error> {
        decider.set_policy(&Policy::default());
        self.full = selector.is_full();
        self.tell_groups(selector, pods)?;
        decider.set_policy(&policy_of(selector));
        Ok(())
    }

    /// Falls silent when there are as many targets as there may be, and speaks again when there are not.
    pub(crate) fn heed_limit(
        &mut self,
        selector: &Selector,
        pods: &mut PodSource,
        decider: &mut Decider,
    ) -> Result<(), telegen_bpf::Error> {
        if self.full == selector.is_full() { Ok(()) } else { self.replace(selector, pods, decider) }
    }

    /// Whether a scan has seen this group, and knows whether it is a container's.
    pub(crate) fn knows(&self, group: ControlGroup) -> bool {
        self.groups.contains_key(&group) || self.others.contains(&group)
    }

    /// Groups that are surely those of containers.
    pub(crate) fn groups(&self) -> &Groups {
        &self.groups
    }

    /// A scan has found these groups of containers, and these others.
    pub(crate) fn set_groups(
        &mut self,
        groups: Groups,
        others: HashSet<ControlGroup>,
        selector: &Selector,
        pods: &mut PodSource,
    ) -> Result<(), telegen_bpf::Error> {
        (self.groups, self.others) = (groups, others);
        self.tell_groups(selector, pods)
    }

    /// Where nothing but the container counts, all processes that come into its group are of one target.
    pub(crate) fn tell_groups(
        &mut self,
        selector: &Selector,
        pods: &mut PodSource,
    ) -> Result<(), telegen_bpf::Error> {
        let groups = if self.full { &Groups::new() } else { &self.groups };
        let wanted: HashMap<ControlGroup, TargetNumber> = groups
            .iter()
            .filter_map(|(group, container)| Some((*group, target_of(selector, container, pods)?)))
            .collect();
        for group in self.told.keys().filter(|group| !wanted.contains_key(*group)) {
            self.map.remove(*group);
        }
        let mut told = HashMap::with_capacity(wanted.len());
        for (group, target) in wanted {
            // One that finds no room is decided on by user space.
            if self.told.get(&group) == Some(&target) || self.map.insert(group, target)? {
                told.insert(group, target);
            }
        }
        self.told = told;
        Ok(())
    }
}

/// Groups of containers that a scan has come upon: told from the others by a second look, for a process can be put into
/// another group between the scan and the reading of where it is.
#[derive(Default)]
pub(crate) struct Sightings(HashMap<ControlGroup, (Pid, Arc<Container>)>);

impl Sightings {
    /// Takes a process of a container for a witness of its group, if that group is the container's own.
    pub(crate) fn note(&mut self, group: ControlGroup, pid: Pid, container: &Arc<Container>) {
        if let Entry::Vacant(entry) = self.0.entry(group)
            && ProcFs::default().container_in(pid, group.hierarchy).ok().flatten().as_ref()
                == Some(&**container)
        {
            entry.insert((pid, container.clone()));
        }
    }

    /// Whether nothing is to be looked at again.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those whose witness is still there, as a later scan has found it.
    pub(crate) fn confirm(self, again: Vec<Scanned>) -> Groups {
        let places: HashMap<Pid, Option<ControlGroup>> =
            again.into_iter().map(|seen| (seen.facts.key.id.pid, seen.cgroup)).collect();
        let still = |(group, (pid, container)): (ControlGroup, (Pid, Arc<Container>))| {
            (places.get(&pid) == Some(&Some(group))).then_some((group, container))
        };
        self.0.into_iter().filter_map(still).collect()
    }
}

fn target_of(selector: &Selector, container: &Arc<Container>, pods: &mut PodSource) -> Option<TargetNumber> {
    let rules = selector.selection().rules();
    let pod = if rules.needs_pod() { pods.of_container(container) } else { PodFacts::InNone };
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
    policy.knows_inclusions = kernel_rules.knows_inclusions();
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
