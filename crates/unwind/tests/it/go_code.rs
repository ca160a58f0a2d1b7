//! Where the frame and the frame pointer of a function are, by its machine code alone.

use iced_x86::{Code, Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind, Register};
use std::collections::BTreeMap;

/// What holds before an instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct State {
    /// How far below the return address the stack pointer is; `None` once it was set to something else altogether.
    pub(crate) depth: Option<i64>,
    /// What the frame pointer was set to, from the canonical frame address.
    pub(crate) frame: Option<i64>,
    /// Where the caller's frame pointer was stored, from the canonical frame address.
    pub(crate) stored: Option<i64>,
    /// Whether it is in its register.
    pub(crate) in_register: bool,
}

/// What holds before each instruction that can be come to.
pub(crate) fn states(start: u64, code: &[u8]) -> BTreeMap<u64, State> {
    let mut states = BTreeMap::new();
    let mut open = vec![(start, State { depth: Some(0), frame: None, stored: None, in_register: true })];
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
        let after = follow(&instruction, state);
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

fn follow(instruction: &Instruction, mut state: State) -> State {
    let at_stack = |operand: u32| {
        instruction.op_kind(operand) == OpKind::Memory
            && instruction.memory_base() == Register::RSP
            && instruction.memory_index() == Register::None
    };
    // A place on the stack, from the canonical frame address.
    let place = |depth: Option<i64>| Some((instruction.memory_displacement64() as i64) - depth? - 8);
    let (mnemonic, first) = (instruction.mnemonic(), instruction.op0_register());
    let of_frame_pointer = first.full_register() == Register::RBP;
    match mnemonic {
        Mnemonic::Push | Mnemonic::Pushfq => {
            state.depth = state.depth.map(|depth| depth + 8);
            if mnemonic == Mnemonic::Push && of_frame_pointer && state.in_register {
                state.stored = state.depth.map(|depth| -depth - 8);
            }
        }
        Mnemonic::Pop | Mnemonic::Popfq => {
            if mnemonic == Mnemonic::Pop && of_frame_pointer {
                state.in_register = state.depth.is_none_or(|depth| state.stored == Some(-depth - 8));
                state.frame = None;
            }
            state.depth = state.depth.map(|depth| depth - 8);
        }
        Mnemonic::Sub | Mnemonic::Add if first == Register::RSP => {
            let by = instruction.immediate(1) as i64;
            let by = if mnemonic == Mnemonic::Sub { by } else { -by };
            state.depth = state.depth.map(|depth| depth + by);
        }
        Mnemonic::Lea if first == Register::RSP && instruction.memory_base() == Register::RSP => {
            let by = instruction.memory_displacement64() as i64;
            state.depth = state.depth.map(|depth| depth - by);
        }
        Mnemonic::Lea if of_frame_pointer && instruction.memory_base() == Register::RSP => {
            (state.in_register, state.frame) = (false, place(state.depth));
        }
        Mnemonic::Mov if of_frame_pointer && instruction.op1_register() == Register::RSP => {
            (state.in_register, state.frame) = (false, state.depth.map(|depth| -depth - 8));
        }
        Mnemonic::Mov if at_stack(0) && instruction.op1_register() == Register::RBP && state.in_register => {
            state.stored = place(state.depth);
        }
        Mnemonic::Mov if of_frame_pointer && instruction.code() == Code::Mov_r64_rm64 && at_stack(1) => {
            let place = place(state.depth);
            (state.in_register, state.frame) = (place.is_none_or(|place| state.stored == Some(place)), None);
        }
        Mnemonic::Cmp | Mnemonic::Test | Mnemonic::Call => {}
        _ if first.full_register() == Register::RSP => state.depth = None,
        _ if of_frame_pointer => (state.in_register, state.frame) = (false, None),
        _ => {}
    }
    // What lies below the stack pointer is not kept.
    if state.stored.zip(state.depth).is_some_and(|(place, depth)| place < -depth - 8) {
        state.stored = None;
    }
    state
}
