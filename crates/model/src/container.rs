//! Containers and pods.

use std::fmt;

/// The full id that a runtime has given to a container: 64 hexadecimal digits, in lower case.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ContainerId(Box<str>);

impl ContainerId {
    /// Digits of an id.
    pub const DIGITS: usize = 64;
    /// Fewest digits that an id may be shortened to.
    pub const MIN_DIGITS: usize = 12;

    /// The id, if the text is one.
    pub fn new(text: &str) -> Option<Self> {
        let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (text.len() == Self::DIGITS && text.bytes().all(digit)).then(|| Self(text.into()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The container that a process runs in.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Container {
    /// Its id.
    pub id: ContainerId,
    /// The uid of its pod, if it is a pod's. For a static pod this is the hash of its configuration.
    pub pod_uid: Option<Box<str>>,
}
