//! Call frame information that is written by hand, or in its own way.

use crate::assembled::{Code, R9, pushed};
use crate::kernel_side::{self, Registers, Step};
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
    code.assert("indexed", Rule::Frame { cfa, frame_pointer: SavedRegister::Same, return_address });

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
