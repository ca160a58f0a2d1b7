//! A region of undescribed code, byte by byte: what its instructions are to one another, and the rule at each.

use super::effect::is_padding;
use crate::Rule;
use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};
use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic};
use std::ops::Range;

/// What is known of the byte at an address.
pub(super) mod mark {
    /// A function begins here: something calls it, or a symbol says so.
    pub(crate) const START: u16 = 1;
    /// Something jumps here.
    pub(crate) const LABEL: u16 = 2;
    /// A call that does not return.
    pub(crate) const NO_RETURN: u16 = 4;
    /// A function that does not return.
    pub(crate) const NEVER_RETURNS: u16 = 8;
    /// Within an instruction, not at its start.
    pub(crate) const INSIDE: u16 = 16;
    /// A function that could not be followed.
    pub(crate) const FAILED: u16 = 64;
    /// Where an instruction begins, if code is all that there is.
    pub(crate) const BOUNDARY: u16 = 256;
    /// Its address is used.
    pub(crate) const ADDRESS: u16 = 128;
    /// Reached by the function that is being followed.
    pub(crate) const UNDER_WAY: u16 = 512;
    /// What a signal handler returns to.
    pub(crate) const SIGNAL_RETURN: u16 = 32;
}

/// Rules of a region are numbered; there is none at an address that has not been reached.
pub(super) type RuleNumber = u16;
pub(super) const NOT_REACHED: RuleNumber = 0;
/// Reached, but how its frame lies is not certain.
pub(super) const UNCERTAIN: RuleNumber = 1;
const MAX_INSTRUCTION_BYTES: u64 = 15;
/// `mov $15, %rax; syscall`.
const SIGNAL_RETURN: [u8; 9] = [0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05];

/// The region.
pub(super) struct Region<'a> {
    pub(super) start: u64,
    pub(super) bytes: &'a [u8],
    marks: Vec<u16>,
    rules: Vec<RuleNumber>,
    book: Vec<Rule>,
    numbers: HashMap<Rule, RuleNumber, FixedState>,
    /// Where functions begin, ascending.
    pub(super) starts: Vec<u64>,
    /// Addresses outside of it that its code names, ascending: of tables, among others.
    constants: Vec<u64>,
    /// What calls lead to that do not come back.
    never_returning: HashSet<u64, FixedState>,
}

impl<'a> Region<'a> {
    /// A region whose functions begin at these addresses, and wherever something in it calls.
    pub(super) fn new(start: u64, bytes: &'a [u8], symbols: &[u64]) -> Self {
        let mut region = Self {
            start,
            bytes,
            marks: vec![0; bytes.len()],
            rules: vec![NOT_REACHED; bytes.len()],
            book: vec![Rule::Unknown, Rule::Unknown],
            numbers: HashMap::default(),
            starts: Vec::new(),
            constants: Vec::new(),
            never_returning: HashSet::default(),
        };
        region.sweep();
        symbols.iter().for_each(|&address| region.add_mark(address, mark::START));
        region.find_signal_returns();
        region.starts = region.range().filter(|&address| region.has(address, mark::START)).collect();
        region
    }

    pub(super) fn range(&self) -> Range<u64> {
        self.start..self.start + self.bytes.len() as u64
    }

    fn index(&self, address: u64) -> Option<usize> {
        let index = usize::try_from(address.checked_sub(self.start)?).ok()?;
        (index < self.bytes.len()).then_some(index)
    }

    pub(super) fn contains(&self, address: u64) -> bool {
        self.index(address).is_some()
    }

    pub(super) fn has(&self, address: u64, mark: u16) -> bool {
        self.index(address).is_some_and(|index| self.marks[index] & mark != 0)
    }

    pub(super) fn add_mark(&mut self, address: u64, mark: u16) {
        if let Some(index) = self.index(address) {
            self.marks[index] |= mark;
        }
    }

    pub(super) fn remove_mark(&mut self, address: u64, mark: u16) {
        if let Some(index) = self.index(address) {
            self.marks[index] &= !mark;
        }
    }

    pub(super) fn rule(&self, address: u64) -> RuleNumber {
        self.index(address).map_or(NOT_REACHED, |index| self.rules[index])
    }

    pub(super) fn rule_of(&self, number: RuleNumber) -> Rule {
        self.book[usize::from(number)]
    }

    /// Bytes of an instruction get its rule.
    pub(super) fn set_rule(&mut self, address: u64, length: usize, number: RuleNumber) {
        let Some(index) = self.index(address) else { return };
        self.rules[index] = number;
        let end = (index + length).min(self.bytes.len());
        for inside in &mut self.marks[index + 1..end] {
            if number == NOT_REACHED {
                *inside &= !mark::INSIDE;
            } else {
                *inside |= mark::INSIDE;
            }
        }
    }

    /// Forgets all rules.
    pub(super) fn clear_rules(&mut self) {
        self.rules.fill(NOT_REACHED);
        self.marks.iter_mut().for_each(|marks| *marks &= !(mark::INSIDE | mark::NO_RETURN));
    }

    pub(super) fn number(&mut self, rule: Option<Rule>) -> RuleNumber {
        let Some(rule) = rule else { return UNCERTAIN };
        if let Some(&number) = self.numbers.get(&rule) {
            return number;
        }
        let Ok(number) = RuleNumber::try_from(self.book.len()) else { return UNCERTAIN };
        self.book.push(rule);
        self.numbers.insert(rule, number);
        number
    }

    /// The instruction at an address, if there is one.
    pub(super) fn decode(&self, address: u64) -> Option<Instruction> {
        let index = self.index(address)?;
        let mut decoder = Decoder::with_ip(64, &self.bytes[index..], address, DecoderOptions::NONE);
        let instruction = decoder.decode();
        (!instruction.is_invalid()).then_some(instruction)
    }

    /// The next address from this one on that is not padding.
    pub(super) fn skip_padding(&self, mut address: u64) -> u64 {
        while let Some(instruction) = self.decode(address).filter(is_padding) {
            address = instruction.next_ip();
        }
        address
    }

    /// Whether nothing but padding lies in a range.
    pub(super) fn is_padding(&self, range: Range<u64>) -> bool {
        self.skip_padding(range.start) >= range.end
    }

    /// The next address from this one on that has not been reached.
    pub(super) fn next_not_reached(&self, address: u64) -> Option<u64> {
        let from = self.index(address)?;
        let reached =
            |index: usize| self.rules[index] != NOT_REACHED || self.marks[index] & mark::INSIDE != 0;
        (from..self.bytes.len()).find(|&index| !reached(index)).map(|index| self.start + index as u64)
    }

    /// The next address from this one on that has been.
    pub(super) fn next_reached(&self, address: u64) -> u64 {
        let from = self.index(address).unwrap_or(self.bytes.len());
        let found = (from..self.bytes.len()).find(|&index| self.rules[index] != NOT_REACHED);
        self.start + found.unwrap_or(self.bytes.len()) as u64
    }

    /// Marks what instructions, one after the other, call and jump to. Where data lies in between, some of it is wrong: it is held
    /// against what is found by following the code.
    fn sweep(&mut self) {
        let mut decoder = Decoder::with_ip(64, self.bytes, self.start, DecoderOptions::NONE);
        let mut instruction = Instruction::default();
        let mut calls = Vec::new();
        while decoder.can_decode() {
            self.add_mark(decoder.ip(), mark::BOUNDARY);
            decoder.decode_out(&mut instruction);
            let mark = match instruction.flow_control() {
                FlowControl::Call if instruction.mnemonic() == Mnemonic::Call => mark::START,
                FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch => mark::LABEL,
                _ => {
                    if instruction.mnemonic() == Mnemonic::Lea && instruction.is_ip_rel_memory_operand() {
                        let address = instruction.ip_rel_memory_address();
                        self.add_mark(address, mark::ADDRESS);
                        self.constants.push(address);
                    }
                    continue;
                }
            };
            let target = instruction.near_branch_target();
            // The address of the next instruction is asked for so.
            if target != instruction.next_ip() {
                self.add_mark(target, mark);
                if mark == mark::START
                    && self.decode(instruction.next_ip()).is_some_and(|next| is_padding(&next))
                {
                    calls.push((target, instruction.next_ip()));
                }
            }
        }
        self.find_never_returning(&calls);
        self.constants.sort_unstable();
        self.constants.dedup();
    }

    /// What is called at the end of functions, more than once.
    fn find_never_returning(&mut self, calls: &[(u64, u64)]) {
        let mut once = HashSet::<u64, FixedState>::default();
        for &(target, behind) in calls {
            if self.is_end_of_function(behind) && !once.insert(target) {
                self.never_returning.insert(target);
            }
        }
    }

    /// Whether a call is the last instruction of its function: padding leads to where another may begin, and nothing jumps there.
    pub(super) fn is_end_of_function(&self, behind_call: u64) -> bool {
        let next = self.skip_padding(behind_call);
        next != behind_call && next.is_multiple_of(16) && !self.has(next, mark::LABEL)
    }

    /// Whether calls of a function do not return.
    pub(super) fn never_returns(&self, function: u64) -> bool {
        self.has(function, mark::NEVER_RETURNS) || self.never_returning.contains(&function)
    }

    fn find_signal_returns(&mut self) {
        let found = self.bytes.windows(SIGNAL_RETURN.len()).enumerate();
        let found: Vec<_> =
            found.filter(|(_, bytes)| **bytes == SIGNAL_RETURN).map(|(index, _)| index).collect();
        let number = self.number(Some(Rule::Signal));
        for index in found {
            let address = self.start + index as u64;
            self.add_mark(address, mark::START | mark::SIGNAL_RETURN);
            self.set_rule(address, SIGNAL_RETURN.len(), number);
        }
    }

    /// The next address behind one that the code names.
    pub(super) fn next_constant(&self, address: u64) -> u64 {
        let behind = self.constants.partition_point(|constant| *constant <= address);
        self.constants.get(behind).copied().unwrap_or(u64::MAX)
    }

    /// The function that begins at an address or before it.
    pub(super) fn start_before(&self, address: u64) -> Option<u64> {
        let behind = self.starts.partition_point(|start| *start <= address);
        behind.checked_sub(1).map(|nth| self.starts[nth])
    }

    /// The function that begins behind an address.
    pub(super) fn next_start(&self, address: u64) -> u64 {
        let behind = self.starts.partition_point(|start| *start <= address);
        self.starts.get(behind).copied().unwrap_or(u64::MAX)
    }

    /// Whether what stands in front of an address does not lead there: padding, a return, a jump.
    pub(super) fn is_behind_end(&self, address: u64) -> bool {
        let before = (1..=MAX_INSTRUCTION_BYTES).filter_map(|bytes| address.checked_sub(bytes));
        let mut before = before.filter(|&at| self.has(at, mark::BOUNDARY)).filter_map(|at| self.decode(at));
        before.find(|instruction| instruction.next_ip() == address).is_some_and(|instruction| {
            is_padding(&instruction)
                || matches!(
                    instruction.flow_control(),
                    FlowControl::Return | FlowControl::UnconditionalBranch
                )
        })
    }

    /// Whether the byte in front of an address is a prefix that may be jumped over, as that of a locked instruction is while there is
    /// only one thread.
    pub(super) fn is_behind_lock(&self, address: u64) -> bool {
        const LOCK: u8 = 0xf0;
        let before = self.index(address).and_then(|index| self.bytes.get(index.checked_sub(1)?));
        before == Some(&LOCK)
    }

    /// After [`Region::clear_rules`].
    pub(super) fn restore_signal_returns(&mut self) {
        self.find_signal_returns();
    }
}
