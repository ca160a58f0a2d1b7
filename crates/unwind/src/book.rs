//! The rules of all tables.

use crate::{RawRule, Rule};
use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// The number of a rule in its book.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct RuleId(pub u16);

impl RuleId {
    /// Of [`Rule::Unknown`], in every book.
    pub const UNKNOWN: Self = Self(0);
    /// Of [`Rule::Unsupported`], in every book.
    pub const UNSUPPORTED: Self = Self(1);
}

/// Numbers rules, so that a row of a table can be small. Rules are never taken out: there are few of them, and the
/// next binary has most of them again.
#[derive(Clone, Debug)]
pub struct RuleBook {
    rules: Vec<RawRule>,
    numbers: HashMap<RawRule, RuleId, FixedState>,
    most: usize,
    refused: u64,
}

impl RuleBook {
    /// How many rules a book may hold.
    pub const MAX_RULES: usize = 1 << 16;

    /// A book of at most `most` rules, two of which it has from the start.
    pub fn new(most: usize) -> Self {
        let mut book = Self {
            rules: Vec::new(),
            numbers: HashMap::default(),
            most: most.clamp(2, Self::MAX_RULES),
            refused: 0,
        };
        let unknown = book.number(Rule::Unknown);
        let unsupported = book.number(Rule::Unsupported);
        debug_assert_eq!((unknown, unsupported), (RuleId::UNKNOWN, RuleId::UNSUPPORTED));
        book
    }

    /// The number of a rule; that of [`Rule::Unsupported`] if the book is full.
    pub fn number(&mut self, rule: Rule) -> RuleId {
        self.number_raw(rule.into())
    }

    /// The number of a rule from another book.
    pub(crate) fn number_raw(&mut self, raw: RawRule) -> RuleId {
        if let Some(&number) = self.numbers.get(&raw) {
            return number;
        }
        if self.rules.len() >= self.most {
            self.refused += 1;
            return RuleId::UNSUPPORTED;
        }
        let number = RuleId(self.rules.len() as u16);
        self.rules.push(raw);
        self.numbers.insert(raw, number);
        number
    }

    /// All rules; the number of each is its position.
    pub fn rules(&self) -> &[RawRule] {
        &self.rules
    }

    /// How often a rule has found no room.
    pub fn refused(&self) -> u64 {
        self.refused
    }
}
