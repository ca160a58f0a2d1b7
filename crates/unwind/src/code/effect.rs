//! What an instruction does to what is known.

use super::value::{Place, State, Value, register};
use iced_x86::{
    Code, Instruction, InstructionInfoFactory, InstructionInfoOptions, MemorySize, Mnemonic, OpAccess,
    OpKind, Register,
};
use register::{RBP, RSP};

/// Carries out instructions; holds what the decoder's tables need.
pub(super) struct Effects {
    info: InstructionInfoFactory,
}

impl Effects {
    pub(super) fn new() -> Self {
        Self { info: InstructionInfoFactory::new() }
    }

    /// What holds after an instruction that is neither a call nor a jump.
    pub(super) fn apply(&mut self, state: &mut State, instruction: &Instruction) {
        let is_wide = instruction.op_count() > 0
            && (instruction.op0_kind() == OpKind::Memory || instruction.op0_register().is_gpr64());
        match instruction.mnemonic() {
            Mnemonic::Push => push(state, instruction),
            Mnemonic::Pop if is_wide => pop(state, instruction),
            Mnemonic::Mov if is_wide => self.store_or_load(state, instruction),
            Mnemonic::Mov if instruction.op0_register().is_gpr32() && is_immediate(instruction) => {
                set(state, instruction, Value::Constant(u64::from(instruction.immediate32())));
            }
            Mnemonic::Lea if is_wide => {
                let value = address_of(state, instruction);
                set(state, instruction, value);
            }
            Mnemonic::Add | Mnemonic::Sub if is_wide && instruction.op0_kind() == OpKind::Register => {
                add(state, instruction);
            }
            Mnemonic::And if instruction.op0_register() == Register::RSP => state.lower_stack_pointer(),
            // A barrier, or a page that is touched.
            Mnemonic::Or
                if instruction.op0_kind() == OpKind::Memory
                    && is_immediate(instruction)
                    && instruction.immediate(1) == 0 => {}
            Mnemonic::Xor if is_cleared(instruction) => clear(state, instruction),
            Mnemonic::Movsxd if is_wide && instruction.op1_kind() == OpKind::Memory => {
                let table = table_of(state, instruction, 4);
                set(state, instruction, table.map_or(Value::Unknown, Value::Distance));
            }
            Mnemonic::Xchg
                if is_wide
                    && instruction.op0_kind() == OpKind::Register
                    && instruction.op1_kind() == OpKind::Register =>
            {
                exchange(state, instruction);
            }
            Mnemonic::Leave => leave(state),
            Mnemonic::Cmp => compare(state, instruction),
            Mnemonic::Syscall => {
                state.after_system_call = true;
                [0, 1, 11].into_iter().for_each(|number| state.set(number, Value::Unknown));
            }
            _ => self.forget_written(state, instruction),
        }
    }

    /// What holds after a call has returned that may change these registers.
    pub(super) fn apply_call(state: &mut State, changed: impl Fn(usize) -> bool) {
        let changed = register::OF_CALLEES.into_iter().filter(|number| changed(*number));
        changed.for_each(|number| state.set(number, Value::Unknown));
        state.bound = None;
        state.compared = None;
    }

    fn store_or_load(&mut self, state: &mut State, instruction: &Instruction) {
        match (instruction.op0_kind(), instruction.op1_kind()) {
            (OpKind::Register, OpKind::Register) => {
                let value =
                    number_of(instruction.op1_register()).map_or(Value::Unknown, |from| state.register(from));
                set(state, instruction, value);
            }
            (OpKind::Register, OpKind::Memory) => {
                let value = match place_of(state, instruction) {
                    Some(place) if instruction.segment_prefix() == Register::None => state.load(place),
                    _ => table_of(state, instruction, 8).map_or(Value::Unknown, Value::Target),
                };
                state.is_elsewhere |= instruction.op0_register() == Register::RSP && value == Value::Unknown;
                set(state, instruction, value);
            }
            (OpKind::Register, _) => set(state, instruction, Value::Constant(instruction.immediate(1))),
            (OpKind::Memory, OpKind::Register) if instruction.op1_register().is_gpr64() => {
                let value =
                    number_of(instruction.op1_register()).map_or(Value::Unknown, |from| state.register(from));
                if let Some(place) = place_of(state, instruction) {
                    state.store(place, 8, value);
                }
            }
            _ => self.forget_written(state, instruction),
        }
    }

    /// Whether an instruction writes a general register, by its number.
    pub(super) fn writes(&mut self, instruction: &Instruction, number: usize) -> bool {
        let info = self.info.info_options(instruction, InstructionInfoOptions::NO_MEMORY_USAGE);
        let mut used = info.used_registers().iter();
        used.any(|used| is_written(used.access()) && number_of(used.register()) == Some(number))
    }

    /// Of an instruction that is not followed: what it writes is not known any more.
    fn forget_written(&mut self, state: &mut State, instruction: &Instruction) {
        let info = self.info.info_options(instruction, InstructionInfoOptions::NO_MEMORY_USAGE);
        let written = info.used_registers().iter().filter(|used| is_written(used.access()));
        for number in written.filter_map(|used| number_of(used.register())) {
            state.set(number, Value::Unknown);
        }
        let to_memory = (0..instruction.op_count())
            .any(|nth| instruction.op_kind(nth) == OpKind::Memory && is_written(info.op_access(nth)));
        if to_memory && let Some(place) = place_of(state, instruction) {
            let bytes = instruction.memory_size().size().max(1);
            state.store(place, i32::try_from(bytes).unwrap_or(64), Value::Unknown);
        }
    }
}

fn is_written(access: OpAccess) -> bool {
    matches!(access, OpAccess::Write | OpAccess::CondWrite | OpAccess::ReadWrite | OpAccess::ReadCondWrite)
}

/// The number of a general register, or of the one that a part belongs to.
pub(super) fn number_of(register: Register) -> Option<usize> {
    register.is_gpr().then(|| register.full_register().number())
}

fn set(state: &mut State, instruction: &Instruction, value: Value) {
    if let Some(number) = number_of(instruction.op0_register()) {
        state.set(number, value);
    }
}

fn is_immediate(instruction: &Instruction) -> bool {
    matches!(
        instruction.op1_kind(),
        OpKind::Immediate8
            | OpKind::Immediate32
            | OpKind::Immediate64
            | OpKind::Immediate8to32
            | OpKind::Immediate8to64
            | OpKind::Immediate32to64
    )
}

fn push(state: &mut State, instruction: &Instruction) {
    let bytes = -instruction.stack_pointer_increment();
    let value = match instruction.op0_kind() {
        OpKind::Register => {
            number_of(instruction.op0_register()).map_or(Value::Unknown, |from| state.register(from))
        }
        // gcc copies the return address so when it aligns a stack.
        _ => Value::Unknown,
    };
    let Some(place) = state.stack_pointer().and_then(|place| place.plus(-i64::from(bytes))) else {
        state.set(RSP, Value::Unknown);
        return;
    };
    state.set(RSP, Value::Stack(place));
    state.store(place, bytes, value);
}

fn pop(state: &mut State, instruction: &Instruction) {
    let top = state.stack_pointer();
    let value = top.map_or(Value::Unknown, |place| state.load(place));
    if instruction.op0_kind() == OpKind::Memory {
        if let Some(place) = place_of(state, instruction) {
            state.store(place, 8, Value::Unknown);
        }
    } else {
        set(state, instruction, value);
    }
    if instruction.op0_register() != Register::RSP {
        let above = top.and_then(|place| place.plus(8));
        state.set(RSP, above.map_or(Value::Unknown, Value::Stack));
    }
}

fn leave(state: &mut State) {
    let base = state.place_in(RBP);
    let saved = base.map_or(Value::Unknown, |place| state.load(place));
    let above = base.and_then(|place| place.plus(8));
    state.set(RSP, above.map_or(Value::Unknown, Value::Stack));
    state.set(RBP, saved);
}

fn add(state: &mut State, instruction: &Instruction) {
    let Some(to) = number_of(instruction.op0_register()) else { return };
    let is_sub = instruction.mnemonic() == Mnemonic::Sub;
    if is_immediate(instruction) {
        let by = instruction.immediate(1) as i64;
        let moved = |place: Place| place.plus(if is_sub { by.checked_neg()? } else { by });
        let value = state.place_in(to).and_then(moved).map_or(Value::Unknown, Value::Stack);
        state.set(to, value);
        return;
    }
    let other = match instruction.op1_kind() {
        OpKind::Register => {
            number_of(instruction.op1_register()).map_or(Value::Unknown, |from| state.register(from))
        }
        _ => Value::Unknown,
    };
    match (is_sub, state.register(to), other) {
        (false, Value::Distance(table), Value::Constant(base))
        | (false, Value::Constant(base), Value::Distance(table)) => {
            state.set(to, Value::Sum { table, base });
        }
        (true, Value::Stack(place), Value::Constant(by)) if to == RSP => {
            let moved = (by as i64).checked_neg().and_then(|by| place.plus(by));
            state.set(to, moved.map_or(Value::Unknown, Value::Stack));
        }
        (true, ..) if to == RSP => state.lower_stack_pointer(),
        _ => state.set(to, Value::Unknown),
    }
}

fn is_cleared(instruction: &Instruction) -> bool {
    instruction.op0_kind() == OpKind::Register
        && instruction.op1_kind() == OpKind::Register
        && instruction.op0_register() == instruction.op1_register()
        && (instruction.op0_register().is_gpr32() || instruction.op0_register().is_gpr64())
}

/// A new thread has its frame pointer cleared where the system call that makes it has returned, so that those who
/// follow frame pointers end there; who has a caller would have to save it first.
fn clear(state: &mut State, instruction: &Instruction) {
    if number_of(instruction.op0_register()) == Some(RBP)
        && state.register(RBP) == Value::CallersFramePointer
        && state.after_system_call
    {
        state.outermost = true;
    }
    set(state, instruction, Value::Unknown);
}

fn exchange(state: &mut State, instruction: &Instruction) {
    let (Some(one), Some(other)) =
        (number_of(instruction.op0_register()), number_of(instruction.op1_register()))
    else {
        return;
    };
    let (first, second) = (state.register(one), state.register(other));
    state.set(one, second);
    state.set(other, first);
}

fn compare(state: &mut State, instruction: &Instruction) {
    let with = matches!(
        instruction.op1_kind(),
        OpKind::Immediate8
            | OpKind::Immediate32
            | OpKind::Immediate8to32
            | OpKind::Immediate8to64
            | OpKind::Immediate32to64
            | OpKind::Immediate8to16
            | OpKind::Immediate16
    )
    .then(|| instruction.immediate(1));
    state.compared = with.and_then(|with| u32::try_from(with).ok());
}

/// The place of the stack that a memory operand names, if it is known.
pub(super) fn place_of(state: &State, instruction: &Instruction) -> Option<Place> {
    let base = number_of(instruction.memory_base())?;
    let plain = instruction.memory_index() == Register::None && instruction.memory_base().is_gpr64();
    state.place_in(base).filter(|_| plain)?.plus(instruction.memory_displacement64() as i64)
}

fn address_of(state: &State, instruction: &Instruction) -> Value {
    if instruction.is_ip_rel_memory_operand() {
        return Value::Constant(instruction.ip_rel_memory_address());
    }
    if let Some(place) = place_of(state, instruction) {
        return Value::Stack(place);
    }
    let value = |register| number_of(register).map_or(Value::Unknown, |number| state.register(number));
    let is_sum = instruction.memory_displacement64() == 0 && instruction.memory_index_scale() == 1;
    match (value(instruction.memory_base()), value(instruction.memory_index())) {
        (Value::Constant(base), Value::Distance(table)) | (Value::Distance(table), Value::Constant(base))
            if is_sum =>
        {
            Value::Sum { table, base }
        }
        _ => Value::Unknown,
    }
}

/// The table that a memory operand reads an entry of.
pub(super) fn table_of(state: &State, instruction: &Instruction, entry_bytes: u32) -> Option<u64> {
    let indexed =
        instruction.memory_index() != Register::None && instruction.memory_index_scale() == entry_bytes;
    let displacement = instruction.memory_displacement64();
    let value = |register| number_of(register).map_or(Value::Unknown, |number| state.register(number));
    match (indexed, value(instruction.memory_base()), instruction.memory_base()) {
        (true, Value::Constant(base), _) => Some(base.wrapping_add(displacement)),
        (true, _, Register::None) => Some(displacement),
        _ => None,
    }
}

/// Whether nothing but the next instruction comes of it: what compilers put between functions.
pub(super) fn is_padding(instruction: &Instruction) -> bool {
    let code = instruction.code();
    matches!(instruction.mnemonic(), Mnemonic::Nop | Mnemonic::Int3 | Mnemonic::Fnop)
        || (code == Code::Add_rm8_r8
            && instruction.memory_base() == Register::RAX
            && instruction.memory_size() == MemorySize::UInt8)
}
