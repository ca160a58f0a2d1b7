//! Steps whose outcome is known, and hostile ones.

use crate::kernel_side::{Registers, State, Step, step, step_in};
use proptest::prelude::*;
use telegen_unwind::{Cfa, RawRule, ReturnAddress, Rule, SavedRegister};

fn frame(register: u8, offset: i32, frame_pointer: SavedRegister) -> RawRule {
    let cfa = Cfa::Register { register, offset };
    Rule::Frame { cfa, frame_pointer, rbx: SavedRegister::Lost, return_address: ReturnAddress::AtCfa(-8) }
        .into()
}

const AT: Registers = Registers { pc: 0x40_1000, sp: 0x7fff_0000, fp: Some(0x7fff_0100) };

#[test]
fn a_caller_is_found_by_the_stack_pointer() {
    let memory = |address| match address {
        0x7fff_0018 => Some(0x40_2222),
        0x7fff_0010 => Some(0x7fff_0200),
        _ => None,
    };
    let (outcome, caller) = step(&frame(7, 32, SavedRegister::AtCfa(-16)), AT, None, &memory);
    assert_eq!(outcome, Step::Done);
    assert_eq!(caller, Registers { pc: 0x40_2222, sp: 0x7fff_0020, fp: Some(0x7fff_0200) });
}

#[test]
fn a_lost_frame_pointer_ends_the_walk_only_where_it_is_needed() {
    let memory = |address: u64| Some(address);
    let (outcome, caller) = step(&frame(7, 32, SavedRegister::Lost), AT, None, &memory);
    assert_eq!((outcome, caller.fp), (Step::Done, None));
    assert_eq!(step(&frame(7, 32, SavedRegister::Same), caller, None, &memory).0, Step::Done);
    assert_eq!(step(&frame(6, 16, SavedRegister::AtCfa(-16)), caller, None, &memory).0, Step::Unsupported);
}

#[test]
fn a_register_that_is_not_known_is_not_guessed() {
    let memory = |address: u64| Some(address);
    let rule = frame(10, 0, SavedRegister::Same);
    assert_eq!(step(&rule, AT, None, &memory).0, Step::Unsupported);
    let (outcome, caller) = step(&rule, AT, Some(0x7fff_0040), &memory);
    assert_eq!((outcome, caller.sp), (Step::Done, 0x7fff_0040));
}

#[test]
fn a_stack_that_would_go_down_ends_the_walk() {
    let memory = |address: u64| Some(address);
    let rule = frame(6, -0x200, SavedRegister::Same);
    assert_eq!(step(&rule, AT, None, &memory), (Step::NoProgress, AT));
}

#[test]
fn a_stack_at_the_end_of_all_addresses_does_not_begin_anew() {
    let memory = |address: u64| Some(address);
    let at = Registers { sp: u64::MAX, ..AT };
    assert_eq!(step(&frame(7, -0xfff8, SavedRegister::Lost), at, None, &memory), (Step::NoProgress, at));
}

#[test]
fn an_interrupted_function_may_have_taken_its_return_address_off() {
    let memory = |address: u64| Some(address);
    let rule = frame(7, 0, SavedRegister::Same);
    let before = State::of(AT);
    let (outcome, _) = step_in(&rule, before, None, 0, &memory);
    assert_eq!(outcome, Step::NoProgress, "a caller has not");
    let (outcome, after) = step_in(&rule, State { exact: 1, ..before }, None, 0, &memory);
    assert_eq!((outcome, after.registers.pc, after.registers.sp), (Step::Done, AT.sp - 8, AT.sp));
}

#[test]
fn memory_that_cannot_be_read_leaves_the_frame_as_it_was() {
    let rule = frame(7, 32, SavedRegister::AtCfa(-16));
    assert_eq!(step(&rule, AT, None, &|_| None), (Step::Unreadable, AT));
}

#[test]
fn below_a_signal_handler_all_registers_are_the_interrupted_ones() {
    let memory = |address: u64| match address - AT.sp {
        120 => Some(0x1111_0000),
        160 => Some(0x2222_0000),
        168 => Some(0x3333),
        _ => None,
    };
    let (outcome, caller) = step(&Rule::Signal.into(), AT, None, &memory);
    assert_eq!(outcome, Step::Done);
    assert_eq!(caller, Registers { pc: 0x3333, sp: 0x2222_0000, fp: Some(0x1111_0000) });
}

/// `TG_MAX_SWITCHES` of `c/unwind_table.h`.
const MOST_SWITCHES: u8 = 64;
/// `TG_RULE_RETURN_IN_REGISTER` of `c/unwind_table.h`.
const RETURN_IN_REGISTER: u8 = 7;

proptest! {
    /// No rule, registers or memory make a step take anything but one of its outcomes, and a caller's stack is never
    /// below its callee's unless a signal stands between.
    #[test]
    fn any_step_ends_and_goes_up(
        bytes in any::<[u8; 4]>(),
        offsets in any::<(i32, i16, i16, i16, i16)>(),
        pc in any::<u64>(), sp in any::<u64>(), fp in any::<Option<u64>>(), other in any::<Option<u64>>(),
        word in any::<Option<u64>>(), thread in any::<u64>(), switches in any::<u8>(), rbx_at in any::<u64>(),
    ) {
        let rule = RawRule {
            kind: bytes[0] % 13, register: bytes[1] % 18, frame_pointer: bytes[2] % 5, return_address: bytes[3],
            cfa_offset: offsets.0, cfa_added: offsets.1, frame_pointer_offset: offsets.2, return_address_offset: offsets.3,
            rbx: offsets.4,
        };
        let before = State { registers: Registers { pc, sp, fp }, switches, exact: 0, rbx_at };
        let (outcome, State { registers: after, switches: switched, .. }) = step_in(&rule, before, other, thread, &|_| word);
        if outcome == Step::Done && switched != switches {
            prop_assert!(u16::from(switched) == u16::from(switches) + 1 && switched <= MOST_SWITCHES);
        } else if outcome == Step::Done {
            // What returns by a register has left nothing on the stack; that is followed in the interrupted frame only.
            let by_register = rule.kind == RETURN_IN_REGISTER && after.sp == sp && other == Some(after.pc);
            prop_assert!(after.sp > sp || by_register || rule.kind == RawRule::from(Rule::Signal).kind);
        }
    }
}
