//! Where the frame and the frame pointer of a function are, by its machine code alone.

use iced_x86::{Code, Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind, Register};
use std::collections::BTreeMap;

/// What holds before an instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct State {
    /// How far below the return address the stack pointer is.
    pub(crate) depth: i64,
    /// Where the caller's frame pointer was stored, from the canonical frame address.
    pub(crate) stored: Option<i64>,
    /// Whether it is in its register.
    pub(crate) in_register: bool,
}

/// What holds before each instruction that can be come to. Where the stack pointer is set to something else altogether, nothing
/// is known from there on.
pub(crate) fn states(start: u64, code: &[u8]) -> BTreeMap<u64, State> {
    let mut states = BTreeMap::new();
    let mut open = vec![(start, State { depth: 0, stored: None, in_register: true })];
    while let Some((at, state)) = open.pop() {
        if states.contains_key(&at) {
            continue;
        }
        let Some(rest) = at.checked_sub(start).and_then(|at| code.get(at as usize..)) else { continue };
        let instruction = Decoder::with_ip(64, rest, at, DecoderOptions::NONE).decode();
        if rest.is_empty() || instruction.is_invalid() {
            continue;
        }
        states.insert(at, state);
        let Some(after) = follow(&instruction, state) else { continue };
        let target = || instruction.near_branch_target();
        match instruction.flow_control() {
            FlowControl::Next | FlowControl::Call | FlowControl::IndirectCall => {
                open.push((instruction.next_ip(), after));
            }
            FlowControl::ConditionalBranch => {
                open.extend([(instruction.next_ip(), after), (target(), after)])
            }
            FlowControl::UnconditionalBranch => open.push((target(), after)),
            _ => {}
        }
    }
    states
}

fn follow(instruction: &Instruction, mut state: State) -> Option<State> {
    let at_stack = |operand: u32| {
        instruction.op_kind(operand) == OpKind::Memory
            && instruction.memory_base() == Register::RSP
            && instruction.memory_index() == Register::None
    };
    // A place on the stack, from the canonical frame address.
    let place = |depth: i64| (instruction.memory_displacement64() as i64) - depth - 8;
    match instruction.mnemonic() {
        Mnemonic::Push | Mnemonic::Pushfq => {
            state.depth += 8;
            if instruction.mnemonic() == Mnemonic::Push
                && instruction.op0_register() == Register::RBP
                && state.in_register
            {
                state.stored = Some(-state.depth - 8);
            }
        }
        Mnemonic::Pop | Mnemonic::Popfq => {
            if instruction.mnemonic() == Mnemonic::Pop && instruction.op0_register() == Register::RBP {
                state.in_register = state.stored == Some(-state.depth - 8);
            }
            state.depth -= 8;
        }
        Mnemonic::Sub | Mnemonic::Add if instruction.op0_register() == Register::RSP => {
            let by = instruction.immediate(1) as i64;
            state.depth += if instruction.mnemonic() == Mnemonic::Sub { by } else { -by };
        }
        Mnemonic::Lea
            if instruction.op0_register() == Register::RSP && instruction.memory_base() == Register::RSP =>
        {
            state.depth -= instruction.memory_displacement64() as i64;
        }
        Mnemonic::Mov if at_stack(0) && instruction.op1_register() == Register::RBP && state.in_register => {
            state.stored = Some(place(state.depth));
        }
        Mnemonic::Mov
            if instruction.code() == Code::Mov_r64_rm64
                && instruction.op0_register() == Register::RBP
                && at_stack(1) =>
        {
            state.in_register = state.stored == Some(place(state.depth));
        }
        _ => {
            let writes_first =
                !matches!(instruction.mnemonic(), Mnemonic::Cmp | Mnemonic::Test | Mnemonic::Call);
            match instruction.op0_register().full_register() {
                Register::RSP if writes_first => return None,
                Register::RBP if writes_first => state.in_register = false,
                _ => {}
            }
        }
    }
    // What lies below the stack pointer is not kept.
    if state.stored.is_some_and(|place| place < -state.depth - 8) {
        state.stored = None;
    }
    Some(state)
}
