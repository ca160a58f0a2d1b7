//! What each part may take of `limits.memory`.

use telegen_symbolize::Budget;
use telegen_unwind::TableLimits;

/// What each part may take. The rest is for what does not grow: programs, rings, processes, the profile under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct MemoryShares {
    /// Unwind tables.
    pub(crate) tables: TableLimits,
    /// Symbols.
    pub(crate) symbols: Budget,
}

impl MemoryShares {
    /// The shares of so many bytes.
    pub(crate) fn of(limit_bytes: u64) -> Self {
        let share = |of: u64| limit_bytes / of;
        let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        Self {
            // Of 256 MiB: 16 MiB, which is what a browser and two Java virtual machines take, and 2 MiB.
            tables: TableLimits { bytes: bytes(share(16)), unused_bytes: bytes(share(128)) },
            // 8 MiB and 12 MiB.
            symbols: Budget {
                cache_bytes: bytes(share(32)),
                debug_info_bytes: share(64) * 3,
                ..Budget::default()
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_limit_gives_the_usual_budget() {
        let shares = MemoryShares::of(256 << 20);
        assert_eq!(shares.symbols, Budget::default());
        assert_eq!(shares.tables, TableLimits { bytes: 16 << 20, unused_bytes: 2 << 20 });
    }

    #[test]
    fn all_parts_together_leave_most_of_it() {
        for limit in [32 << 20, 256 << 20, 8 << 30] {
            let MemoryShares { tables, symbols } = MemoryShares::of(limit);
            let sum = tables.bytes as u64 + symbols.cache_bytes as u64 + symbols.debug_info_bytes;
            assert!(sum < limit / 4, "{sum} of {limit}");
        }
    }
}
