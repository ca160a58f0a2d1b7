//! What the allocator cannot know by itself.

use tikv_jemalloc_ctl::{Access, AsName};

/// Gives back what this thread has freed and keeps for itself. For a thread that has done something once that took much, and is idle
/// from now on: it is never looked through otherwise.
pub(crate) fn give_back() {
    let cache = b"thread.tcache.enabled\0";
    // What is off holds nothing; it is on again at once.
    let outcome = [false, true].into_iter().try_for_each(|on| cache.name().write(on));
    if let Err(error) = outcome {
        tracing::debug!(%error, "the allocator keeps what this thread has freed");
    }
}
