//! The rows of a region whose code has been followed.

use super::region::{NOT_REACHED, Region, UNCERTAIN, mark};
use crate::undescribed::MAX_PADDING;
use crate::{FunctionRows, Rule};

/// Tells of what has got rules.
pub(super) fn tell(region: &Region<'_>, found: &mut dyn FnMut(FunctionRows<'_>)) {
    let end_of_region = region.range().end;
    let mut rows: Vec<(u64, Rule)> = Vec::new();
    let mut start = region.next_reached(region.start);
    while start < end_of_region {
        rows.clear();
        let mut at = start;
        let mut end = start;
        while at < end_of_region {
            let number = region.rule(at);
            if number == NOT_REACHED {
                if region.has(at, mark::INSIDE) {
                    at += 1;
                    end = at;
                    continue;
                }
                let next = region.next_reached(at);
                // A short gap would be taken for padding.
                if next - at > MAX_PADDING || region.is_padding(at..next) {
                    break;
                }
                rows.push((at, Rule::Unknown));
                (at, end) = (next, next);
                continue;
            }
            if at != start && region.has(at, mark::START) {
                break;
            }
            let rule = if number == UNCERTAIN { Rule::Unknown } else { region.rule_of(number) };
            if rows.last().is_none_or(|last| last.1 != rule) {
                rows.push((at, rule));
            }
            at += 1;
            end = at;
        }
        if region.has(end, mark::SIGNAL_RETURN) {
            // No call returns there: the byte before must tell.
            rows.pop_if(|last| last.0 == end - 1);
            rows.push((end - 1, Rule::Unknown));
        }
        found(FunctionRows { start, end, rows: &rows });
        start = if region.rule(end) == NOT_REACHED { region.next_reached(end) } else { end };
    }
}
