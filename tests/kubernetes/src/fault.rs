//! What a test lets go wrong.

use crate::request::Subject;
use crate::resource::qualified;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::broadcast;

/// What goes wrong with a request that could be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// 429 with `Retry-After` and a body of plain text, as priority and fairness answers.
    TooManyRequests {
        /// Seconds.
        retry_after_s: u64,
    },
    /// 500, with a `Status` that has no reason: etcd did not answer in time.
    InternalError,
    /// 503 with a `Status`.
    Unavailable,
    /// 503 with a page of HTML, as a load balancer before dead servers answers.
    BadGateway,
    /// Not a byte, not even a header, as long as the client waits.
    Hang,
    /// Headers and so many bytes of the body, and then nothing. Of a watch it is a stream that has gone
    /// silent.
    HangAfter {
        /// Of the body.
        bytes: u64,
    },
    /// The connection is cut after so many bytes of the body.
    CutAfter {
        /// Of the body.
        bytes: u64,
    },
    /// The body ends after so many bytes as if it were whole.
    EndAfter {
        /// Of the body.
        bytes: u64,
    },
    /// The body in small pieces.
    Slow {
        /// At once.
        bytes: usize,
        /// Time between pieces.
        every: Duration,
    },
    /// What is no JSON: of a list all of it, of a watch the first line.
    MalformedJson,
    /// JSON that has a field of so many bytes in front: of a list, or of the first event of a watch.
    /// `u64::MAX` never ends.
    Oversized {
        /// Of the field.
        bytes: u64,
    },
}

/// Which requests a fault is for. What is None is anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Which {
    /// `get`, `list`, `watch`.
    pub verb: Option<String>,
    /// `pods`, `replicasets.apps`.
    pub resource: Option<String>,
}

impl Which {
    /// All requests.
    pub fn any() -> Self {
        Self::default()
    }

    /// Requests of one verb and resource.
    pub fn only(verb: &str, resource: &str) -> Self {
        Self { verb: Some(verb.to_owned()), resource: Some(resource.to_owned()) }
    }

    fn covers(&self, subject: &Subject) -> bool {
        let resource = match &subject.resource {
            Some(target) => qualified(&target.group, &target.plural),
            None => String::new(),
        };
        self.verb.as_deref().is_none_or(|verb| verb == subject.verb)
            && self.resource.as_ref().is_none_or(|wanted| *wanted == resource)
    }
}

/// How a watch that is open is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Interruption {
    /// The connection is cut in the middle of the line of an event.
    MidLine,
    /// The connection is cut after a whole line.
    BetweenLines,
    /// The stream ends in order, as if its time were up.
    Clean,
    /// An `ERROR` event with 410, and the end in order.
    Expired,
    /// An `ERROR` event with 500, and the end in order.
    InternalError,
}

struct Planned {
    which: Which,
    fault: Fault,
    /// None is until it is cleared.
    left: Option<u32>,
}

/// The faults that are planned. The first one that covers a request happens to it.
pub struct Faults {
    planned: Mutex<Vec<Planned>>,
    interruptions: broadcast::Sender<Interruption>,
}

impl Default for Faults {
    fn default() -> Self {
        Self { planned: Mutex::default(), interruptions: broadcast::channel(64).0 }
    }
}

impl Faults {
    /// Lets all requests that are covered go wrong until faults are cleared.
    pub fn start(&self, which: Which, fault: Fault) {
        self.plan(Planned { which, fault, left: None });
    }

    /// Lets the next so many requests that are covered go wrong.
    pub fn next(&self, times: u32, which: Which, fault: Fault) {
        self.plan(Planned { which, fault, left: Some(times) });
    }

    /// Lets nothing more go wrong. Answers that hang go on hanging.
    pub fn clear(&self) {
        self.planned.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Ends all watches that are open; how many there were.
    pub fn interrupt_watches(&self, how: Interruption) -> usize {
        self.interruptions.send(how).unwrap_or_default()
    }

    /// How many watches are open.
    pub fn open_watches(&self) -> usize {
        self.interruptions.receiver_count()
    }

    pub(crate) fn interruptions(&self) -> broadcast::Receiver<Interruption> {
        self.interruptions.subscribe()
    }

    pub(crate) fn take(&self, subject: &Subject) -> Option<Fault> {
        let mut planned = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
        let index = planned.iter().position(|one| one.which.covers(subject))?;
        let fault = planned[index].fault.clone();
        if let Some(left) = &mut planned[index].left {
            *left -= 1;
            if *left == 0 {
                planned.remove(index);
            }
        }
        Some(fault)
    }

    fn plan(&self, planned: Planned) {
        if planned.left != Some(0) {
            self.planned.lock().unwrap_or_else(PoisonError::into_inner).push(planned);
        }
    }
}
