//! The server's clock, which a test can set wrong.

use jiff::{SignedDuration, Timestamp};
use std::sync::{Mutex, PoisonError};

/// What time a server thinks it is: that of the machine, and how far it is off.
#[derive(Debug, Default)]
pub struct Clock {
    skew: Mutex<SignedDuration>,
}

impl Clock {
    /// Sets the server's clock that far ahead, or behind if negative. Seen in `Date` headers and in the
    /// times of what is made from now on.
    pub fn set_skew(&self, skew: SignedDuration) {
        *self.skew.lock().unwrap_or_else(PoisonError::into_inner) = skew;
    }

    /// The time by this clock.
    pub fn now(&self) -> Timestamp {
        let skew = *self.skew.lock().unwrap_or_else(PoisonError::into_inner);
        Timestamp::now().saturating_add(skew).expect("a signed duration is no calendar unit")
    }

    /// As objects have it: whole seconds, UTC.
    pub fn object_time(&self) -> String {
        self.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    /// As a `Date` header has it (RFC 9110, IMF-fixdate).
    pub(crate) fn http_date(&self) -> String {
        self.now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
    }
}
