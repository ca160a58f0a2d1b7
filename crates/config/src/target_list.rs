//! Named targets: a list of mappings, each with keys of its own.

use crate::Target;
use crate::check::{Checker, Mapping};
use crate::keys::TARGET;
use crate::setting::{Place, Setting, Written, is_empty};
use crate::show;
use crate::value::Fault;
use crate::yaml::{Entry, Node, Value};

/// Named targets.
pub(crate) struct TargetList<R>(pub(crate) Place<R, Vec<Target>>);

impl<R> Setting<R> for TargetList<R> {
    fn expected(&self) -> String {
        "a list, each entry a mapping of the keys of a target".into()
    }

    fn read(&self, node: &Node<'_>, _: &mut R) -> Result<(), Vec<Fault>> {
        Err(vec![Fault::wrong(node, &Setting::<R>::expected(self), Some("begin each target with `- name:`"))])
    }

    fn read_entry(
        &self,
        checker: &mut Checker<'_, '_>,
        path: &str,
        entry: &Entry<'_>,
        root: &mut R,
    ) -> Result<(), Vec<Fault>> {
        let Value::List(nodes) = &entry.value.value else { return self.read(&entry.value, root) };
        for (place, node) in nodes.iter().enumerate() {
            let mapping = Mapping { table: &TARGET, path: format!("{path}[{place}]") };
            let mut target = Target::default();
            checker.section(&mapping, "", node, &mut target);
            if matches!(&node.value, Value::Map(entries) if entries.iter().all(|entry| entry.key != "name"))
                || node.is_null()
            {
                let message = format!("`{}` has no `name`", mapping.path);
                checker.error(node.span, message, "", [show::help_on(&TARGET, "name")]);
            }
            (self.0.get_mut)(root).push(target);
        }
        Ok(())
    }

    fn write(&self, root: &R) -> Written {
        match (self.0.get)(root).as_slice() {
            [] => Written::Absent,
            targets => Written::List(targets.iter().map(|target| show::written(&TARGET, target)).collect()),
        }
    }

    fn is_absent(&self, node: &Node<'_>) -> bool {
        is_empty(node)
    }
}
