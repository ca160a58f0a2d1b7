//! What the kernel side is told of the rules, so that it can say yes before user space has looked.

use crate::containers::Containers;
use std::collections::HashMap;
use telegen_bpf::{ControlGroups, Decider, Policy};
use telegen_model::{Container, ControlGroup, TargetNumber};
use telegen_select::Selector;

/// What the kernel side has been told. One thread owns it, the one that decides.
pub(crate) struct KernelPolicy {
    groups: ControlGroups,
    told: HashMap<ControlGroup, TargetNumber>,
}

impl KernelPolicy {
    pub(crate) fn new(groups: ControlGroups) -> Self {
        Self { groups, told: HashMap::new() }
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
        for (group, container) in containers.all() {
            self.consider(group, container, selector)?;
        }
        decider.set_policy(&policy_of(selector));
        Ok(())
    }

    /// A process of a container has been seen in a group: if nothing but the container counts, all that come into it are
    /// of one target.
    pub(crate) fn consider(
        &mut self,
        group: ControlGroup,
        container: &Container,
        selector: &Selector,
    ) -> Result<(), telegen_bpf::Error> {
        if self.told.contains_key(&group) {
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

fn target_of(_selector: &Selector, _container: &Container) -> Option<TargetNumber> {
    None
}

fn policy_of(selector: &Selector) -> Policy {
    let rules = selector.selection().rules();
    Policy { watch_control_groups: rules.needs_container(), ..Policy::default() }
}
