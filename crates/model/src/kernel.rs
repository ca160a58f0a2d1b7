//! How the kernel side knows processes.

use std::fmt;

/// A process in the kernel side's table: its tgid in the initial pid namespace.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct KernelKey(pub u32);

/// One program image of one process, unlike any other that there was or will be while the kernel side is loaded: a new
/// one at fork, and at each exec.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Token(pub u64);

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
