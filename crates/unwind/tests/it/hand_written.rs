//! What code tells of its frames that no compiler writes so.

use crate::assembled::{Code, RCX, RSP, frame, pushed};
use telegen_unwind::{Rule, SavedRegister};

#[test]
fn a_dynamic_linker_begins_by_handing_on_what_the_stack_begins_with() {
    let code = Code::assemble(
        "linker",
        ".globl _start
         .fn _start
         mov %rsp, %rdi
         call f
         started: mov %rax, %r12
         mov %rsp, %r13
         and $-16, %rsp
         xor %ebp, %ebp
         call g
         initialized: mov %r13, %rsp
         jmp *%r12
         .balign 16
         .fn f
         push %rbx
         pushed: mov %rsp, %rdi
         call g
         pop %rbx
         ret
         .fn g
         ret",
    );
    for label in ["_start", "started", "initialized"] {
        code.assert(label, Rule::Outermost);
    }
    code.assert("f", pushed(0));
    code.assert("pushed", pushed(8));
}

#[test]
fn a_function_that_is_named_in_described_code_only_is_found() {
    let code = Code::assemble(
        "named",
        "first: push %rbx
         inc %ebx
         pop %rbx
         ret
         second: push %rbp
         push %rbx
         in_second: inc %ebx
         pop %rbx
         pop %rbp
         ret
         .skip 300, 0xcc
         .cfi_startproc
         lea second(%rip), %rdx
         ret
         .cfi_endproc",
    );
    assert_ne!(code.labels["second"] % 16, 0, "nothing else tells that a function begins there");
    code.assert("second", pushed(0));
    code.assert("in_second", frame(RSP, 24, SavedRegister::AtCfa(-16)));
}

#[test]
fn a_register_that_the_called_function_leaves_alone_keeps_the_stack() {
    let code = Code::assemble(
        "keeper",
        ".fn f
         mov %rsp, %rcx
         and $-32, %rsp
         sub $96, %rsp
         call leaves_rcx
         behind: sub $64, %rsp
         call leaves_rcx
         mov %rcx, %rsp
         restored: ret
         .fn g
         mov %rsp, %rcx
         and $-32, %rsp
         call writes_rcx
         lost: mov %rcx, %rsp
         ret
         .fn leaves_rcx
         test %eax, %eax
         jz 1f
         ret
         1: inc %eax
         ret
         .fn writes_rcx
         test %eax, %eax
         jz 1f
         ret
         1: inc %ecx
         ret",
    );
    code.assert("behind", frame(RCX, 8, SavedRegister::Same));
    code.assert("restored", pushed(0));
    code.assert("lost", Rule::Unknown);
}

#[test]
fn code_with_a_stack_of_its_own_in_the_frame_pointer_has_no_rules() {
    let code = Code::assemble(
        "own_stack",
        ".globl continuation, thunk
         .fn continuation
         mov 8(%rbp), %rbx
         is_own: add $16, %rbp
         jmp *(%rbp)
         .fn thunk
         mov (%rdi), %rax
         is_usual: jmp *16(%rax)",
    );
    code.assert("continuation", Rule::Unknown);
    code.assert("is_own", Rule::Unknown);
    code.assert("is_usual", pushed(0));
}
