//! Where a jump by a table may lead.

use super::explore::Read;
use super::region::{Region, mark};
use super::value::Value;

/// Entries that are read of a table whose length is not known. The longest that compilers write have some thousands.
const MAX_ENTRIES: u32 = 4096;
const MAX_UNBOUNDED_ENTRIES: u32 = 512;
/// How far a function may go to both sides of its start.
const REACH: u64 = 1 << 20;

/// The targets of a jump to a value, if it is an entry of a table; none if it is not, or if the table cannot be.
pub(super) fn targets(
    region: &Region<'_>,
    read: Read<'_>,
    value: Value,
    bound: Option<u32>,
    root: u64,
) -> Vec<u64> {
    let (table, base, bytes) = match value {
        Value::Sum { table, base } => (table, Some(base), 4),
        Value::Target(table) => (table, None, 8),
        _ => return Vec::new(),
    };
    let count = bound.filter(|count| *count <= MAX_ENTRIES).unwrap_or(MAX_UNBOUNDED_ENTRIES);
    let mut found = Vec::new();
    // A table whose length is not known ends at the latest where the next thing begins, or with an entry that leads out of the function.
    let end = if bound.is_some() { u64::MAX } else { region.next_constant(table) };
    let function = root..region.next_start(root);
    for nth in 0..u64::from(count) {
        let at = table.checked_add(nth * bytes).filter(|at| *at < end);
        let Some(entry) = at.and_then(|at| read(at, bytes as usize)) else { break };
        let target = match (base, &*entry) {
            (Some(base), &[a, b, c, d]) => base.wrapping_add_signed(i32::from_le_bytes([a, b, c, d]).into()),
            (None, &[a, b, c, d, e, f, g, h]) => u64::from_le_bytes([a, b, c, d, e, f, g, h]),
            _ => break,
        };
        let fits = region.has(target, mark::BOUNDARY)
            && target.abs_diff(root) <= REACH
            && (bound.is_some() || function.contains(&target));
        if !fits {
            if bound.is_some() {
                return Vec::new();
            }
            break;
        }
        found.push(target);
    }
    found.sort_unstable();
    found.dedup();
    found
}
