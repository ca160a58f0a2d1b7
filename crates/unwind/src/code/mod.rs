//! Frames as machine code itself tells them: how far the stack pointer is from where it was, and where the caller's frame pointer lies.
//!
//! Code is followed from where functions begin, along all its jumps, with what each instruction does to the stack. Nothing is guessed: a
//! function whose returns do not find the stack as it was left, or whose ways meet with different frames, gets no rules, nor does code
//! that is only reached by jumps that cannot be followed.

mod effect;
mod explore;
mod jump_table;
mod path;
mod region;
mod rows;
mod value;

use crate::{FunctionRows, Undescribed};
use effect::Effects;
use explore::{Explorer, Read};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, Register};
use path::Outcome;
use region::{NOT_REACHED, Region, mark};
use std::ops::Range;
use value::State;

/// Code that is held and followed at once.
const REGION_BYTES: u64 = 2 << 20;
/// Undescribed code that is followed of one binary; what is beyond has frame pointers at the most.
const CODE_BYTES: u64 = 16 << 20;
/// Code in a row that nothing describes: what has more was built so, as browsers are, which keep frame pointers.
const MAX_GAP_BYTES: u64 = 8 << 20;
/// From so much code on symbols are read: the little that compilers add to every program does without.
const WITH_SYMBOLS: u64 = 256;
/// Code that is searched for calls at once, and how often.
const CALLER_BYTES: usize = 256 << 10;
const MAX_CALLER_PARTS: usize = 16;
/// Instructions that are followed for a byte of code.
const STEPS_PER_BYTE: usize = 8;
/// Jumps of a function that cannot be followed, and are tried.
const MAX_OPEN: usize = 4;
/// How often a region is followed to learn which functions do not return.
const MAX_ROUNDS: usize = 4;

/// Follows x86-64 machine code that nothing describes.
pub struct MachineCode<'a> {
    read: Read<'a>,
    /// Gives the addresses at which functions begin: asked when there is code enough for it to matter.
    unasked: Option<Box<dyn FnOnce() -> Vec<u64> + 'a>>,
    symbols: Vec<u64>,
    /// Addresses that any of the code names, ascending: of functions that are only called by pointers, among much else.
    named: Vec<u64>,
    /// All code of the binary.
    code: Vec<Range<u64>>,
    code_bytes: u64,
}

impl std::fmt::Debug for MachineCode<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("MachineCode").field("code_bytes", &self.code_bytes).finish_non_exhaustive()
    }
}

impl<'a> MachineCode<'a> {
    /// `code` is all code of the binary, of which `read` gives so many bytes at an address, as linked, and of what else does not change
    /// while it runs. Functions are known to begin at `symbols`, which is asked only if there is more than a little code that nothing
    /// describes.
    pub fn new(
        code: Vec<Range<u64>>,
        read: &'a dyn Fn(u64, usize) -> Option<Vec<u8>>,
        symbols: impl FnOnce() -> Vec<u64> + 'a,
    ) -> Self {
        Self {
            read,
            unasked: Some(Box::new(symbols)),
            symbols: Vec::new(),
            named: Vec::new(),
            code,
            code_bytes: CODE_BYTES,
        }
    }

    /// Where functions begin within a range, as symbols and calls tell, and the addresses in it that code names.
    fn known_in(&mut self, range: &Range<u64>) -> (&[u64], &[u64]) {
        if range.end - range.start >= WITH_SYMBOLS
            && let Some(symbols) = self.unasked.take()
        {
            self.symbols = symbols();
            self.add_called();
            for addresses in [&mut self.symbols, &mut self.named] {
                addresses.sort_unstable();
                addresses.dedup();
            }
        }
        (within(&self.symbols, range), within(&self.named, range))
    }

    /// Adds what is called and named from anywhere in the binary.
    fn add_called(&mut self) {
        let parts = self.code.iter().flat_map(|code| {
            let starts = (code.start..code.end).step_by(CALLER_BYTES);
            starts.map(|start| start..code.end.min(start + CALLER_BYTES as u64))
        });
        let mut instruction = Instruction::default();
        for part in parts.take(MAX_CALLER_PARTS) {
            let Some(bytes) = (self.read)(part.start, (part.end - part.start) as usize) else { continue };
            let mut decoder = Decoder::with_ip(64, &bytes, part.start, DecoderOptions::NONE);
            while decoder.can_decode() {
                decoder.decode_out(&mut instruction);
                let target = instruction.near_branch_target();
                if instruction.is_call_near() && target != instruction.next_ip() {
                    self.symbols.push(target);
                } else if instruction.mnemonic() == Mnemonic::Lea && instruction.is_ip_rel_memory_operand() {
                    let address = instruction.ip_rel_memory_address();
                    self.named
                        .extend(self.code.iter().any(|code| code.contains(&address)).then_some(address));
                }
            }
        }
    }

    fn region(&mut self, range: Range<u64>, found: &mut dyn FnMut(FunctionRows<'_>)) {
        let Some(bytes) = (self.read)(range.start, (range.end - range.start) as usize) else { return };
        let (symbols, named) = self.known_in(&range);
        let mut region = Region::new(range.start, &bytes, symbols);
        named.iter().for_each(|&address| region.add_mark(address, mark::ADDRESS));
        follow(&mut region, self.read);
        rows::tell(&region, found);
    }
}

/// Those of ascending addresses that lie in a range.
fn within<'a>(addresses: &'a [u64], range: &Range<u64>) -> &'a [u64] {
    let at = |end: u64| addresses.partition_point(|address| *address < end);
    &addresses[at(range.start)..at(range.end)]
}

impl Undescribed for MachineCode<'_> {
    fn functions(&mut self, gap: Range<u64>, found: &mut dyn FnMut(FunctionRows<'_>)) {
        if gap.end - gap.start > MAX_GAP_BYTES {
            return;
        }
        let mut start = gap.start;
        while start < gap.end && self.code_bytes > 0 {
            let bytes = (gap.end - start).min(REGION_BYTES).min(self.code_bytes);
            self.code_bytes -= bytes;
            self.region(start..start + bytes, found);
            start += bytes;
        }
    }
}

/// Gives rules to all code of a region that is certain.
fn follow(region: &mut Region<'_>, read: Read<'_>) {
    let budget = region.bytes.len() * STEPS_PER_BYTE;
    let mut explorer = Explorer { region, effects: Effects::new(), read, budget };
    let mut open = HashMap::default();
    for round in 0..MAX_ROUNDS {
        explorer.budget = budget;
        open.clear();
        if round > 0 {
            explorer.region.clear_rules();
            explorer.region.restore_signal_returns();
        }
        let learnt = follow_starts(&mut explorer, &mut open);
        if !learnt || round + 1 == MAX_ROUNDS {
            break;
        }
    }
    explorer.budget = budget;
    follow_rest(&mut explorer, &mut open);
}

/// Follows all functions whose start is known. Whether some are new among those that do not return.
fn follow_starts(explorer: &mut Explorer<'_, '_>, open: &mut Open) -> bool {
    let mut learnt = false;
    for start in explorer.region.starts.clone() {
        if explorer.region.rule(start) != NOT_REACHED {
            continue;
        }
        let Some(outcome) = follow_function(explorer, start, |_| true) else {
            explorer.region.add_mark(start, mark::FAILED);
            continue;
        };
        explorer.region.remove_mark(start, mark::FAILED);
        let never = !outcome.leaves && !outcome.joins && outcome.open.is_empty();
        if never && !explorer.region.has(start, mark::NEVER_RETURNS) {
            explorer.region.add_mark(start, mark::NEVER_RETURNS);
            learnt = true;
        }
        if !outcome.open.is_empty() {
            open.insert(start, outcome.open);
        }
    }
    learnt
}

fn follow_function(
    explorer: &mut Explorer<'_, '_>,
    start: u64,
    does: impl Fn(&Outcome) -> bool,
) -> Option<Outcome> {
    let mut entry = State::at_entry();
    entry.outermost = begins_a_process(explorer.region, start);
    explorer.explore(start, &entry, does)
}

/// Where a process begins the frame pointer is cleared first of all, so that those who follow frame pointers end there; or, in the
/// C library's dynamic linker, what the stack begins with is handed on: at a function's start that would be its return address.
fn begins_a_process(region: &Region<'_>, start: u64) -> bool {
    let first = region.decode(start);
    let first = match first {
        Some(first) if first.mnemonic() == Mnemonic::Endbr64 => region.decode(first.next_ip()),
        first => first,
    };
    first.is_some_and(|first| {
        let clears = first.mnemonic() == Mnemonic::Xor
            && first.op0_register().full_register() == Register::RBP
            && first.op1_register().full_register() == Register::RBP;
        let hands_on = first.mnemonic() == Mnemonic::Mov
            && first.op0_register() == Register::RDI
            && first.op1_register() == Register::RSP
            && region.decode(first.next_ip()).is_some_and(|next| next.is_call_near());
        clears || hands_on
    })
}

/// Functions that are left by jumps which could not be followed, and what holds there.
type Open = HashMap<u64, Vec<State>, FixedState>;

/// Follows what nothing is known to lead to: functions whose address is all that is used, and where jumps lead that could not be
/// followed. Only what leaves as it must is taken, and nothing of what may belong to a function that could not be followed.
fn follow_rest(explorer: &mut Explorer<'_, '_>, open: &mut Open) {
    let mut at = explorer.region.start;
    let mut function = at;
    while let Some(next) = explorer.region.next_not_reached(at) {
        let start = explorer.region.skip_padding(next);
        if start != next && explorer.region.next_not_reached(start) != Some(start) {
            at = start;
            continue;
        }
        function = explorer.region.start_before(start).map_or(function, |known| known.max(function));
        let followed = follow_part(explorer, open, function, start) || {
            let is_new = follow_unknown(explorer, open, function, start);
            function = if is_new || explorer.region.has(start, mark::FAILED) { start } else { function };
            is_new
        };
        at = if followed { start } else { behind_end(explorer.region, start) };
    }
}

/// Follows what a jump of a function that could not be followed may lead to.
fn follow_part(explorer: &mut Explorer<'_, '_>, open: &Open, function: u64, start: u64) -> bool {
    let states = open.get(&function).map_or(&[][..], Vec::as_slice);
    states
        .iter()
        .take(MAX_OPEN)
        .any(|state| explorer.explore(start, state, |outcome| outcome.leaves || outcome.joins).is_some())
}

/// Follows what may be a function.
fn follow_unknown(explorer: &mut Explorer<'_, '_>, open: &mut Open, function: u64, start: u64) -> bool {
    let region = &explorer.region;
    let is_part = region.has(function, mark::FAILED) || open.contains_key(&function);
    let is_named = region.has(start, mark::ADDRESS);
    let is_likely = start == region.start || (start.is_multiple_of(16) && region.is_behind_end(start));
    if !is_named && (is_part || !is_likely) {
        return false;
    }
    // A function whose address is used may also be one that never returns, such as what calls `main`.
    let may_stay = is_named && !is_part;
    let does = |outcome: &Outcome| {
        outcome.leaves || outcome.joins || outcome.outermost || (may_stay && outcome.open.is_empty())
    };
    match follow_function(explorer, start, does) {
        Some(outcome) => {
            if !outcome.open.is_empty() {
                open.insert(start, outcome.open);
            }
            true
        }
        None => {
            explorer.region.add_mark(start, mark::FAILED);
            false
        }
    }
}

/// Behind the first instruction from an address on that nothing follows.
fn behind_end(region: &Region<'_>, mut at: u64) -> u64 {
    let start = at;
    while let Some(instruction) = region.decode(at) {
        at = instruction.next_ip();
        let ends = matches!(
            instruction.flow_control(),
            FlowControl::Return
                | FlowControl::UnconditionalBranch
                | FlowControl::IndirectBranch
                | FlowControl::Exception
        );
        if ends {
            break;
        }
    }
    at.max(start + 1)
}
