//! What is known of registers and of the stack at an instruction, in terms of the function's frame.

use crate::{Cfa, ReturnAddress, Rule, SavedRegister};

/// General registers by their numbers in instructions.
pub(super) mod register {
    pub(crate) const RSP: usize = 4;
    pub(crate) const RBP: usize = 5;
    /// Those that a call may change: rax, rcx, rdx, rsi, rdi, r8 to r11.
    pub(crate) const OF_CALLEES: [usize; 9] = [0, 1, 2, 6, 7, 8, 9, 10, 11];
    /// Their DWARF numbers.
    pub(crate) const DWARF: [u8; 16] = [0, 2, 1, 3, 7, 6, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15];
}
use register::{DWARF, RBP, RSP};

/// What a register or a word of the stack holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Value {
    Unknown,
    /// An address of the stack.
    Stack(Place),
    /// What the frame pointer held when the function was entered.
    CallersFramePointer,
    /// Where the function returns to.
    Return,
    /// A constant, such as the address of a table.
    Constant(u64),
    /// An entry of the table of 32-bit distances at this address.
    Distance(u64),
    /// A distance of the table, and what it is from.
    Sum {
        table: u64,
        base: u64,
    },
    /// An entry of the table of addresses here.
    Target(u64),
}

/// A place on the stack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    pub(super) origin: Origin,
    pub(super) offset: i32,
}

/// What places on the stack are measured from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Origin {
    /// The canonical frame address.
    Cfa,
    /// Where the stack pointer was after it had been aligned or moved by what is known at run time only: somewhere below.
    Below,
}

impl Place {
    pub(super) fn of_cfa(offset: i32) -> Self {
        Self { origin: Origin::Cfa, offset }
    }

    pub(super) fn plus(self, distance: i64) -> Option<Self> {
        let offset = i32::try_from(i64::from(self.offset).checked_add(distance)?).ok()?;
        Some(Self { offset, ..self })
    }
}

/// The rule at the start of a function.
pub(super) const AT_ENTRY: Rule = Rule::Frame {
    cfa: Cfa::Register { register: DWARF[RSP], offset: 8 },
    frame_pointer: SavedRegister::Same,
    rbx: SavedRegister::Lost,
    return_address: ReturnAddress::AtCfa(-8),
};

/// Words of the stack that are followed; the others hold nothing that matters.
const MAX_WORDS: usize = 12;

/// What is known at an instruction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct State {
    registers: [Value; 16],
    words: Vec<(Place, Value)>,
    /// There is no caller: the frame pointer was cleared without having been saved.
    pub(super) outermost: bool,
    /// A system call has been made: what follows may be a new thread.
    pub(super) after_system_call: bool,
    /// The stack pointer was set to what memory says: another context is gone on with.
    pub(super) is_elsewhere: bool,
    /// What was last compared with, and below what an index has been found to be.
    pub(super) compared: Option<u32>,
    pub(super) bound: Option<u32>,
}

impl State {
    /// What holds at the start of a function.
    pub(super) fn at_entry() -> Self {
        let mut registers = [Value::Unknown; 16];
        registers[RSP] = Value::Stack(Place::of_cfa(-8));
        registers[RBP] = Value::CallersFramePointer;
        Self {
            registers,
            words: vec![(Place::of_cfa(-8), Value::Return)],
            outermost: false,
            after_system_call: false,
            is_elsewhere: false,
            compared: None,
            bound: None,
        }
    }

    pub(super) fn register(&self, number: usize) -> Value {
        self.registers[number]
    }

    pub(super) fn set(&mut self, number: usize, value: Value) {
        self.registers[number] = value;
        if number == RSP {
            self.drop_left_words();
        }
    }

    /// Where the stack pointer points to.
    pub(super) fn stack_pointer(&self) -> Option<Place> {
        self.place_in(RSP)
    }

    /// Whether the frame pointer has been changed, to something else than a place in the frame. A function that is left so keeps to
    /// no convention that has frames: Haskell's code has its own stack in that register, and the machine's stack is not its.
    pub(super) fn has_own_frame_pointer(&self) -> bool {
        !self.outermost && self.registers[RBP] == Value::Unknown
    }

    /// Whether a register that a call may change is what says where the frame is, since the stack pointer does not.
    pub(super) fn keeps_stack(&self, number: usize) -> bool {
        let is_lost = self.stack_pointer().is_none_or(|place| place.origin != Origin::Cfa);
        let is_kept = self.place_in(number).is_some_and(|place| place.origin == Origin::Cfa);
        is_lost && is_kept && register::OF_CALLEES.contains(&number)
    }

    pub(super) fn place_in(&self, number: usize) -> Option<Place> {
        match self.registers[number] {
            Value::Stack(place) => Some(place),
            _ => None,
        }
    }

    /// What the word at a place holds.
    pub(super) fn load(&self, place: Place) -> Value {
        self.words.iter().find(|word| word.0 == place).map_or(Value::Unknown, |word| word.1)
    }

    /// Bytes of the stack are written.
    pub(super) fn store(&mut self, place: Place, bytes: i32, value: Value) {
        self.words.retain(|(at, _)| {
            at.origin != place.origin
                || at.offset >= place.offset.saturating_add(bytes)
                || at.offset.saturating_add(8) <= place.offset
        });
        let matters = matches!(value, Value::Stack(_) | Value::CallersFramePointer | Value::Return);
        if matters && bytes == 8 && self.words.len() < MAX_WORDS {
            self.words.push((place, value));
        }
    }

    /// Words below the stack pointer may be overwritten at any time.
    fn drop_left_words(&mut self) {
        if let Some(top) = self.stack_pointer() {
            self.words.retain(|(at, _)| at.origin != top.origin || at.offset >= top.offset);
        }
    }

    /// The stack pointer is moved down by what is not known.
    pub(super) fn lower_stack_pointer(&mut self) {
        let is_below = |value: &Value| matches!(value, Value::Stack(Place { origin: Origin::Below, .. }));
        let in_use = self.registers.iter().any(is_below)
            || self.words.iter().any(|(at, value)| at.origin == Origin::Below || is_below(value));
        self.registers[RSP] =
            if in_use { Value::Unknown } else { Value::Stack(Place { origin: Origin::Below, offset: 0 }) };
    }

    /// What holds whichever of two ways has led here; true if that is less than what held before.
    pub(super) fn meet(&mut self, other: &Self) -> bool {
        let mut less = false;
        for (mine, theirs) in self.registers.iter_mut().zip(&other.registers) {
            if *mine != *theirs && *mine != Value::Unknown {
                *mine = Value::Unknown;
                less = true;
            }
        }
        let before = self.words.len();
        self.words.retain(|word| other.words.contains(word));
        less |= self.words.len() < before || (self.outermost && !other.outermost);
        self.outermost &= other.outermost;
        self.after_system_call &= other.after_system_call;
        self.is_elsewhere &= other.is_elsewhere;
        for (mine, theirs) in [(&mut self.compared, other.compared), (&mut self.bound, other.bound)] {
            *mine = mine.filter(|mine| Some(*mine) == theirs);
        }
        less
    }

    /// Whether a function may be left here: everything is as its caller needs it.
    pub(super) fn can_leave(&self) -> bool {
        self.outermost || self.stack_pointer() == Some(Place::of_cfa(-8))
    }

    /// The way to the caller.
    pub(super) fn rule(&self) -> Option<Rule> {
        if self.outermost {
            return Some(Rule::Outermost);
        }
        if self.load(Place::of_cfa(-8)) != Value::Return {
            return self.rule_without_return_address();
        }
        let cfa = self.cfa()?;
        Some(Rule::Frame {
            cfa,
            frame_pointer: self.frame_pointer(),
            rbx: SavedRegister::Lost,
            return_address: ReturnAddress::AtCfa(-8),
        })
    }

    /// While `vfork` is under way the return address is in a register.
    fn rule_without_return_address(&self) -> Option<Rule> {
        let holder = self.registers.iter().position(|value| *value == Value::Return)?;
        let place = self.stack_pointer().filter(|place| place.origin == Origin::Cfa)?;
        (self.registers[RBP] == Value::CallersFramePointer).then_some(Rule::Frame {
            cfa: Cfa::Register { register: DWARF[RSP], offset: -place.offset },
            frame_pointer: SavedRegister::Same,
            rbx: SavedRegister::Lost,
            return_address: ReturnAddress::In(DWARF[holder]),
        })
    }

    fn cfa(&self) -> Option<Cfa> {
        let by = |number: usize| match self.place_in(number) {
            Some(Place { origin: Origin::Cfa, offset }) => {
                Some(Cfa::Register { register: DWARF[number], offset: offset.checked_neg()? })
            }
            _ => None,
        };
        // Such a frame is the same whatever happens to the stack pointer in between.
        let usual = self.place_in(RBP) == Some(Place::of_cfa(-16))
            && self.load(Place::of_cfa(-16)) == Value::CallersFramePointer;
        let first = if usual { RBP } else { RSP };
        by(first).or_else(|| by(RBP)).or_else(|| self.kept_cfa()).or_else(|| (0..16).find_map(by))
    }

    /// The canonical frame address where a function that aligns its stack keeps it.
    fn kept_cfa(&self) -> Option<Cfa> {
        self.words.iter().find_map(|(at, value)| {
            let Value::Stack(Place { origin: Origin::Cfa, offset: kept }) = value else { return None };
            let added = i16::try_from(kept.checked_neg()?).ok()?;
            [RBP, RSP].into_iter().find_map(|base| {
                let from = self.place_in(base).filter(|from| from.origin == at.origin)?;
                let offset = at.offset.checked_sub(from.offset)?;
                Some(Cfa::Deref { register: DWARF[base], offset, added })
            })
        })
    }

    /// Where it has been saved, also while it still holds the same: call frame information says so as well.
    fn frame_pointer(&self) -> SavedRegister {
        let saved = self.words.iter().filter(|(_, value)| *value == Value::CallersFramePointer);
        let place = |(at, _): &(Place, Value)| match at.origin {
            Origin::Cfa => i16::try_from(at.offset).ok().map(SavedRegister::AtCfa),
            Origin::Below => {
                let from = self.place_in(RBP).filter(|from| from.origin == Origin::Below)?;
                i16::try_from(at.offset.checked_sub(from.offset)?).ok().map(SavedRegister::AtFramePointer)
            }
        };
        let unsaved = match self.registers[RBP] {
            Value::CallersFramePointer => SavedRegister::Same,
            _ => SavedRegister::Lost,
        };
        saved.filter_map(place).next().unwrap_or(unsaved)
    }
}
