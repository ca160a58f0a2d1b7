//! Which function stands where in memory that is written to again and again.

use crate::JitFunction;
use std::collections::BTreeMap;

/// Ranges of code that are held of one file; large services have some ten thousand functions.
const MAX_RANGES: usize = 1 << 17;

/// Ranges of code, each of one function.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct CodeRanges {
    /// By first address; they do not overlap.
    ranges: BTreeMap<u64, Range>,
    surplus: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Range {
    end: u64,
    function: JitFunction,
}

impl CodeRanges {
    /// The function that was last placed at an address.
    pub(crate) fn find(&self, address: u64) -> Option<JitFunction> {
        let (_, range) = self.ranges.range(..=address).next_back()?;
        (address < range.end).then_some(range.function)
    }

    pub(crate) fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Ranges that were left out, because there are too many.
    pub(crate) fn surplus(&self) -> u64 {
        self.surplus
    }

    /// From now on this function is there, or one that is not known, and nothing else.
    pub(crate) fn place(&mut self, start: u64, end: u64, function: Option<JitFunction>) {
        if start >= end {
            return;
        }
        // What began before it may reach into it, or past it.
        if let Some((_, range)) = self.ranges.range_mut(..start).next_back()
            && range.end > start
        {
            let rest = std::mem::replace(&mut range.end, start);
            let function = range.function;
            self.keep(end, rest, function);
        }
        while let Some((&at, &range)) = self.ranges.range(start..end).next() {
            self.ranges.remove(&at);
            self.keep(end, range.end, range.function);
        }
        if let Some(function) = function {
            self.keep(start, end, function);
        }
    }

    fn keep(&mut self, start: u64, end: u64, function: JitFunction) {
        if start >= end {
            return;
        }
        if self.ranges.len() >= MAX_RANGES {
            self.surplus += 1;
        } else {
            self.ranges.insert(start, Range { end, function });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FUNCTION: JitFunction = JitFunction { name_offset: 1, lines_offset: None };

    #[test]
    fn what_a_later_function_leaves_of_an_earlier_one_remains() {
        let other = JitFunction { name_offset: 2, ..FUNCTION };
        let mut code = CodeRanges::default();
        code.place(10, 40, Some(FUNCTION));
        code.place(20, 30, Some(other));
        code.place(35, 38, None);
        let found: Vec<_> = [9, 10, 19, 20, 29, 30, 34, 35, 37, 38, 39, 40]
            .into_iter()
            .map(|address| code.find(address).map_or(0, |function| function.name_offset))
            .collect();
        assert_eq!((found, code.len()), (vec![0, 1, 1, 2, 2, 1, 1, 0, 0, 1, 1, 0], 4));
        code.place(0, 100, Some(other));
        assert_eq!((code.len(), code.find(37)), (1, Some(other)));
    }

    #[test]
    fn what_is_held_is_bounded() {
        let mut code = CodeRanges::default();
        for at in 0..MAX_RANGES as u64 + 10 {
            code.place(at * 16, at * 16 + 8, Some(FUNCTION));
        }
        assert_eq!((code.len(), code.surplus()), (MAX_RANGES, 10));
        code.place(0, u64::MAX, None);
        assert_eq!(code.len(), 0);
    }
}
