//! Steps from one stack to another, as Go makes them.

use crate::kernel_side::{Registers, State, Step, step_in};
use telegen_unwind::{Goroutine, Rule, SavedRegister};

/// `TG_MAX_SWITCHES` of `c/unwind_table.h`.
const MOST_SWITCHES: u8 = 64;

const AT: Registers = Registers { pc: 0x40_1000, sp: 0x7fff_0000, fp: Some(0x7fff_0100) };

fn state(switches: u8) -> State {
    State { switches, ..State::of(AT) }
}

#[test]
fn a_function_that_changes_stacks_leads_to_where_its_frame_began() {
    let rule = Rule::OtherStack { register: 6, offset: 16, frame_pointer: SavedRegister::AtCfa(-16) };
    // A goroutine's stack lies below.
    let before = State { switches: 3, ..State::of(Registers { fp: Some(0x1000), ..AT }) };
    let memory = |address| match address {
        0x1000 => Some(0x1100),
        0x1008 => Some(0x40_2222),
        _ => None,
    };
    let (outcome, after) = step_in(&rule.into(), before, None, 0, &memory);
    assert_eq!(outcome, Step::Done);
    assert_eq!(after.registers, Registers { pc: 0x40_2222, sp: 0x1010, fp: Some(0x1100) });
    assert_eq!(after.switches, 4);
    let lost = State { registers: Registers { fp: None, ..AT }, ..before };
    let (outcome, after) = step_in(&rule.into(), lost, None, 0, &memory);
    assert_eq!((outcome, after.registers.sp), (Step::Unsupported, AT.sp));
    let often = State { switches: MOST_SWITCHES, ..before };
    assert_eq!(step_in(&rule.into(), often, None, 0, &memory), (Step::NoProgress, often));
}

#[test]
fn what_was_interrupted_is_told_from_what_has_called() {
    let rule = Rule::Interrupted { register: 7, offset: 32, frame_pointer: SavedRegister::AtCfa(-16) };
    let (outcome, after) = step_in(&rule.into(), state(0), None, 0, &|address| Some(address));
    assert_eq!((outcome, after.exact, after.switches), (Step::Done, 2, 0));
    assert_eq!(after.registers.pc, AT.sp + 24);
    let (_, after) = step_in(&Rule::Signal.into(), state(0), None, 0, &|address| Some(address));
    assert_eq!(after.exact, 1);
}

#[test]
fn a_call_of_c_leads_back_to_the_stack_of_the_goroutine() {
    let rule = Rule::CallOfC { kept: 48, offset: 8, frame_pointer: SavedRegister::Same };
    let on_goroutine = |address: u64| match address {
        0x7fff_0028 => Some(0x80),
        0x7fff_0030 => Some(0x5000),
        0x5008 => Some(0x9000),
        0x8f80 => Some(0x40_3333),
        _ => None,
    };
    let (outcome, after) = step_in(&rule.into(), state(0), None, 0, &on_goroutine);
    assert_eq!((outcome, after.switches), (Step::Done, 1));
    assert_eq!(after.registers, Registers { pc: 0x40_3333, sp: 0x8f88, fp: AT.fp });
    let on_thread = |address: u64| match address {
        0x7fff_0028 => Some(0x7fff_2000),
        0x7fff_0030 => Some(0),
        0x7fff_2000 => Some(0x40_4444),
        _ => None,
    };
    let (outcome, after) = step_in(&rule.into(), state(0), None, 0, &on_thread);
    assert_eq!((outcome, after.registers.pc, after.registers.sp), (Step::Done, 0x40_4444, 0x7fff_2008));
    assert_eq!(step_in(&rule.into(), state(0), None, 0, &|_| None), (Step::Unreadable, state(0)));
}

/// As Go 1.19 has it.
const GOROUTINE: Goroutine = Goroutine {
    thread_local: -8,
    thread: 48,
    current: 192,
    stack_pointer: 56,
    frame_pointer: 104,
    returns: None,
};

/// The thread's local storage ends at 0x2000, the running goroutine is at 0x3000, its thread at 0x4000, and the goroutine that was
/// left at 0x5000.
fn run_time(address: u64) -> Option<u64> {
    Some(match address {
        0x1ff8 => 0x3000,
        0x3030 => 0x4000,
        0x40c0 => 0x5000,
        0x5038 => 0x6000,
        0x5040 => 0x40_5555,
        0x5068 => 0x6100,
        0x6000 => 0x40_6666,
        _ => return None,
    })
}

#[test]
fn it_goes_on_where_a_goroutine_was_left() {
    let there = Rule::Goroutine(GOROUTINE).into();
    let (outcome, after) = step_in(&there, state(0), None, 0x2000, &run_time);
    assert_eq!((outcome, after.switches, after.exact), (Step::Done, 1, 0));
    assert_eq!(after.registers, Registers { pc: 0x40_5555, sp: 0x6000, fp: Some(0x6100) });
    let returning = Rule::Goroutine(Goroutine { returns: Some(8), ..GOROUTINE }).into();
    let (outcome, after) = step_in(&returning, state(0), None, 0x2000, &run_time);
    assert_eq!(outcome, Step::Done);
    assert_eq!(after.registers, Registers { pc: 0x40_6666, sp: 0x6008, fp: Some(0x6100) });
}

#[test]
fn a_thread_that_works_for_no_goroutine_has_its_end_there() {
    let rule = Rule::Goroutine(GOROUTINE).into();
    for cleared in [0x40c0, 0x5038, 0x5040] {
        let memory = |address| if address == cleared { Some(0) } else { run_time(address) };
        assert_eq!(step_in(&rule, state(0), None, 0x2000, &memory).0, Step::Outermost, "{cleared:#x}");
    }
    for missing in [0x1ff8, 0x3030, 0x40c0, 0x5038, 0x5040, 0x5068] {
        let memory = |address| run_time(address).filter(|_| address != missing);
        let (outcome, after) = step_in(&rule, state(0), None, 0x2000, &memory);
        assert_eq!((outcome, after), (Step::Unreadable, state(0)), "{missing:#x}");
    }
    assert_eq!(step_in(&rule, state(0), None, 0, &run_time).0, Step::Unsupported);
    let often = state(MOST_SWITCHES);
    assert_eq!(step_in(&rule, often, None, 0x2000, &run_time), (Step::NoProgress, often));
}
