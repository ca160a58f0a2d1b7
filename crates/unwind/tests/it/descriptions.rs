//! Call frame information that is written by hand, or in its own way.

use crate::assembled::{Code, R9, pushed};
use crate::kernel_side::{self, Registers, State, Step};
use telegen_unwind::{Cfa, ReturnAddress, Rule, SavedRegister};

#[test]
fn a_frame_that_is_kept_as_many_words_away_as_a_register_says() {
    // *(rsp + 8 + r9 * 8) + 8, as OpenSSL writes it.
    let code = Code::assemble(
        "indexed",
        ".cfi_startproc
         .cfi_escape 0x0f, 10, 0x77, 8, 0x79, 0, 0x38, 0x1e, 0x22, 0x06, 0x23, 8
         indexed: ret
         .cfi_endproc",
    );
    let cfa = Cfa::Indexed { register: R9, offset: 8, added: 8 };
    let return_address = ReturnAddress::AtCfa(-8);
    code.assert(
        "indexed",
        Rule::Frame { cfa, frame_pointer: SavedRegister::Same, rbx: SavedRegister::Lost, return_address },
    );

    let before = Registers { pc: 0x1000, sp: 0x7000, fp: Some(1) };
    let memory = |address| match address {
        0x7038 => Some(0x7100),
        0x7100 => Some(0x2000),
        _ => None,
    };
    let (step, after) = kernel_side::step(&code.at("indexed"), before, Some(6), &memory);
    assert_eq!((step, after), (Step::Done, Registers { pc: 0x2000, sp: 0x7108, fp: Some(1) }));
    let (step, _) = kernel_side::step(&code.at("indexed"), before, None, &memory);
    assert_eq!(step, Step::Unsupported, "of a caller the register is not known");
    let (step, _) = kernel_side::step(&code.at("indexed"), before, Some(7), &memory);
    assert_eq!(step, Step::Unreadable);
}

#[test]
fn what_is_said_of_the_end_of_a_function_leaves_its_last_row_as_it_is() {
    let code = Code::assemble(
        "ends",
        ".cfi_startproc
         sub $8, %rsp
         .cfi_adjust_cfa_offset 8
         in_ends: add $8, %rsp
         ret
         .cfi_adjust_cfa_offset -8
         .cfi_endproc",
    );
    code.assert("in_ends", pushed(8));
    assert_eq!(code.binary.compiled.damaged, 0);
}

#[test]
fn a_frame_that_is_found_by_rbx_is_found_where_the_functions_it_has_called_have_saved_it() {
    // As the dynamic linker's code has it that looks a function up when it is called first.
    let code = Code::assemble(
        "by_rbx",
        ".cfi_startproc
         push %rbx
         .cfi_adjust_cfa_offset 8
         .cfi_rel_offset %rbx, 0
         mov %rsp, %rbx
         .cfi_def_cfa_register %rbx
         and $-64, %rsp
         sub $704, %rsp
         call outer
         in_by_rbx: mov %rbx, %rsp
         .cfi_def_cfa_register %rsp
         pop %rbx
         .cfi_adjust_cfa_offset -8
         .cfi_restore %rbx
         ret
         .cfi_endproc
         .cfi_startproc
         outer: push %rbp
         .cfi_adjust_cfa_offset 8
         .cfi_rel_offset %rbp, 0
         push %rbx
         .cfi_adjust_cfa_offset 8
         .cfi_rel_offset %rbx, 0
         call inner
         in_outer: pop %rbx
         .cfi_adjust_cfa_offset -8
         .cfi_restore %rbx
         pop %rbp
         .cfi_adjust_cfa_offset -8
         .cfi_restore %rbp
         ret
         .cfi_endproc
         .cfi_startproc
         inner: sub $8, %rsp
         .cfi_adjust_cfa_offset 8
         in_inner: add $8, %rsp
         .cfi_adjust_cfa_offset -8
         ret
         .cfi_endproc",
    );
    let memory = |address| match address {
        0x7008 => Some(0x1111), // into `outer`
        0x7010 => Some(0x8000), // rbx, the frame of `by_rbx`
        0x7018 => Some(0x5555), // rbp
        0x7020 => Some(0x2222), // into `by_rbx`
        0x8000 => Some(0x6666), // its caller's rbx
        0x8008 => Some(0x3333), // into its caller
        _ => None,
    };
    let walk = |label, before: State, rbx| kernel_side::step_in(&code.at(label), before, rbx, 0, &memory);
    let interrupted = Registers { pc: 0x1000, sp: 0x7000, fp: Some(0x4444) };

    let (step, outer) = walk("in_inner", State { rbx_at: 1, exact: 1, ..State::of(interrupted) }, None);
    assert_eq!((step, outer.registers.pc, outer.rbx_at), (Step::Done, 0x1111, 1), "still in the register");
    let (step, by_rbx) = walk("in_outer", outer, None);
    assert_eq!((step, by_rbx.registers.pc, by_rbx.rbx_at), (Step::Done, 0x2222, 0x7010));
    assert_eq!(by_rbx.registers, Registers { pc: 0x2222, sp: 0x7028, fp: Some(0x5555) });
    let (step, caller) = walk("in_by_rbx", by_rbx, None);
    assert_eq!(
        (step, caller.registers),
        (Step::Done, Registers { pc: 0x3333, sp: 0x8010, fp: Some(0x5555) })
    );
    assert_eq!(caller.rbx_at, 0x8000);

    // The interrupted function has its frame itself, or has called only what leaves the register alone.
    let here = State::of(Registers { sp: 0x7028, ..interrupted });
    let (step, caller) = walk("in_by_rbx", State { rbx_at: 1, ..here }, Some(0x8000));
    assert_eq!((step, caller.registers.sp, caller.registers.pc), (Step::Done, 0x8010, 0x3333));
    assert_eq!(walk("in_by_rbx", here, None).0, Step::Unsupported, "nobody knows where it has been saved");
    assert_eq!(walk("in_by_rbx", State { rbx_at: 0x9000, ..here }, None).0, Step::Unreadable);
}

#[test]
fn binaries_that_find_no_frame_by_rbx_have_no_rules_for_it() {
    let function = ".cfi_startproc
         push %rbx
         .cfi_adjust_cfa_offset 8
         .cfi_rel_offset %rbx, 0
         in_it: pop %rbx
         .cfi_adjust_cfa_offset -8
         .cfi_restore %rbx
         ret
         .cfi_endproc";
    let code = Code::assemble("saves_rbx", function);
    code.assert("in_it", pushed(8));
    assert_eq!(code.binary.compiled.by_rbx, 0);
}
