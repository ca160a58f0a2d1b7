//! Who is told what becomes of processes.

use super::drain;
use super::waker::Sender;
use super::watchers::Watchers;

/// Who is told what becomes of processes.
pub(crate) struct Audience {
    /// The thread that samples targets, if any are sampled.
    pub(super) sampler: Option<Sender<drain::Message>>,
    /// Who wants to see decisions.
    pub(super) watchers: Watchers,
}

impl Audience {
    /// Tells the thread that samples targets.
    pub(super) fn tell_sampler(&self, message: drain::Message) {
        if let Some(drain) = &self.sampler
            && drain.send(message).is_err()
        {
            tracing::debug!("the draining thread is gone");
        }
    }
}
