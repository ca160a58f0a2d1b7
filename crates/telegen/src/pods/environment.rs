//! What processes say of their own pods, as long as there is no other source of it.

use std::sync::Arc;
use telegen_model::{Pod, PodFacts, ProcessFacts};
use telegen_process::{PodEnvironment, ProcFs};

/// The pod that a process runs in, by its control group, with the namespace and the name that the process says it has;
/// `before` if it still says the same, or has gone before it could be asked.
pub(crate) fn pod_of(facts: &ProcessFacts, before: &PodFacts) -> PodFacts {
    let Some(uid) = facts.container.as_ref().and_then(|container| container.pod_uid.as_ref()) else {
        return PodFacts::InNone;
    };
    let Ok(said) = PodEnvironment::read(&ProcFs::default(), facts.key.id.pid) else { return before.clone() };
    let pod = Pod { uid: uid.clone(), namespace: said.namespace, name: said.name, details: None };
    match before.pod() {
        // The same pod keeps what has been allocated for it.
        Some(known) if **known == pod => before.clone(),
        _ => PodFacts::Known { pod: Arc::new(pod), container: None },
    }
}

/// The pod that a process runs in that is looked at again. What it has said once it need not be asked again, as long as
/// it is in the same container.
pub(crate) fn pod_again(facts: &ProcessFacts, known: Option<&ProcessFacts>) -> PodFacts {
    match known {
        Some(known) if known.pod != PodFacts::InNone && known.container == facts.container => {
            known.pod.clone()
        }
        _ => pod_of(facts, &PodFacts::InNone),
    }
}
