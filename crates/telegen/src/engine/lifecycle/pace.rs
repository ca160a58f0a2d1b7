//! When events are looked for.
//!
//! Those that await an answer wake the thread, unless that has happened often of late: then they wait a little, and are answered
//! together. All others can wait for more of their kind: under a storm of processes it is waking up that costs most. While they come
//! the thread looks by itself, and nobody wakes it for them.

use std::time::{Duration, Instant};

/// How long events that the kernel side has decided on by itself may wait.
const LINGER: Duration = Duration::from_millis(5);
/// How far apart the thread looks for events that await an answer, when they go on coming; so long does one wait at most.
const ANSWER_INTERVAL: Duration = Duration::from_millis(2);
/// So many times in a row it looks at once all the same.
const ANSWERS_AT_ONCE: u32 = 8;

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
    /// When all looks so far would have been over, had they been [`ANSWER_INTERVAL`] apart.
    looked_until: Option<Instant>,
    /// Whether an event that awaits an answer waits for [`Pace::look_at`].
    puts_off: bool,
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

    /// Whether it is known that an event awaits an answer, which is given at [`Pace::look_at`]: nothing is to wake the thread before.
    pub(super) fn puts_off(&self) -> bool {
        self.puts_off
    }

    /// An event awaits an answer. Whether it is to wait until [`Pace::look_at`], since the thread has been woken too often for
    /// others.
    pub(super) fn put_off_answer(&mut self, now: Instant) -> bool {
        let earliest =
            self.looked_until.and_then(|until| until.checked_sub(ANSWER_INTERVAL * ANSWERS_AT_ONCE));
        let Some(at) = earliest.filter(|at| *at > now) else { return false };
        self.look_at = Some(self.look_at.map_or(at, |known| known.min(at)));
        self.puts_off = true;
        true
    }

    /// So many events have been found.
    pub(super) fn note_looked(&mut self, found: usize, now: Instant) -> Option<Promise> {
        self.puts_off = false;
        if found > 0 {
            self.looked_until = Some(self.looked_until.map_or(now, |until| until.max(now)) + ANSWER_INTERVAL);
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
    fn who_awaits_an_answer_is_answered_at_once_unless_many_are() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        for nth in 0..=ANSWERS_AT_ONCE {
            assert!(!pace.put_off_answer(start), "{nth}");
            pace.note_looked(1, start);
        }
        assert!(pace.put_off_answer(start) && pace.puts_off());
        assert_eq!(pace.look_at(), Some(start + ANSWER_INTERVAL), "no later than that");
        // As long as they come without a pause it is the interval that they are apart.
        for nth in 1..10 {
            let now = start + ANSWER_INTERVAL * nth;
            assert!(!pace.put_off_answer(now), "its time has come");
            pace.note_looked(1, now);
            assert!(!pace.puts_off());
            assert!(pace.put_off_answer(now + ANSWER_INTERVAL / 2));
        }
        let rested = start + ANSWER_INTERVAL * 100;
        assert!(!pace.put_off_answer(rested), "after a pause it is at once again");
    }

    #[test]
    fn what_can_wait_waits_from_the_first_of_it_on() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        assert_eq!(pace.note_waiting(start), Some(Promise::Attend));
        assert_eq!(pace.note_waiting(start + LINGER / 2), None);
        assert_eq!(pace.look_at(), Some(start + LINGER));
    }
}
