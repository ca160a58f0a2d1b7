//! When events are looked for.
//!
//! Those that await an answer wake the thread. All others can wait for more of their kind: under a storm of processes it
//! is waking up that costs most. While they come the thread looks by itself, and nobody wakes it for them.

use std::time::{Duration, Instant};

/// How long events that the kernel side has decided on by itself may wait.
const LINGER: Duration = Duration::from_millis(5);

/// What the kernel side is to be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Promise {
    /// The thread will look by itself soon.
    Attend,
    /// It will not.
    Sleep,
}

/// When the thread looks for events next.
#[derive(Debug, Default)]
pub(super) struct Pace {
    attentive: bool,
    look_at: Option<Instant>,
}

impl Pace {
    /// When it is time to look, if nothing wakes the thread before.
    pub(super) fn look_at(&self) -> Option<Instant> {
        self.look_at
    }

    /// Events have come that can wait. They are not looked at before [`Pace::look_at`].
    pub(super) fn note_waiting(&mut self, now: Instant) -> Option<Promise> {
        self.look_at = Some(self.look_at.map_or(now + LINGER, |at| at.min(now + LINGER)));
        self.promise(true)
    }

    /// So many events have been found.
    pub(super) fn note_looked(&mut self, found: usize, now: Instant) -> Option<Promise> {
        if found > 0 {
            self.look_at = Some(now + LINGER);
            return self.promise(true);
        }
        if self.look_at.is_none_or(|at| at > now) {
            return None;
        }
        // Nothing has come for a while. One that was just being written when the promise ended is found by a last look.
        self.look_at = self.attentive.then(|| now + LINGER);
        self.promise(false)
    }

    fn promise(&mut self, attentive: bool) -> Option<Promise> {
        let changed = self.attentive != attentive;
        self.attentive = attentive;
        changed.then_some(if attentive { Promise::Attend } else { Promise::Sleep })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn while_events_come_it_looks_by_itself_and_afterwards_once_more() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        assert_eq!(pace.note_looked(0, start), None);
        assert_eq!(pace.look_at(), None, "nothing has ever come");
        assert_eq!(pace.note_looked(3, start), Some(Promise::Attend));
        assert_eq!(pace.note_looked(0, start), None, "too early to say that it is over");
        let after = |lingers: u32| start + LINGER * lingers;
        assert_eq!(pace.look_at(), Some(after(1)));
        assert_eq!(pace.note_looked(2, after(1)), None, "promised already");
        assert_eq!(pace.note_looked(0, after(2)), Some(Promise::Sleep));
        assert_eq!(pace.look_at(), Some(after(3)), "the last look");
        assert_eq!(pace.note_looked(0, after(3)), None);
        assert_eq!(pace.look_at(), None);
    }

    #[test]
    fn what_can_wait_waits_from_the_first_of_it_on() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        assert_eq!(pace.note_waiting(start), Some(Promise::Attend));
        assert_eq!(pace.note_waiting(start + LINGER / 2), None);
        assert_eq!(pace.look_at(), Some(start + LINGER));
    }
}
