//! What single patterns of machine code tell of their frames.

use crate::assembled::{Code, R10, R11, RBP, RDX, RSP, frame, pushed};
use telegen_unwind::{Cfa, ReturnAddress, Rule, SavedRegister};

#[test]
fn pushes_and_pops() {
    let code = Code::assemble(
        "pushes",
        ".fn f
         push %rbx
         one: push %rbp
         two: xor %ebp, %ebp
         sub $0x28, %rsp
         three: mov %rdi, 8(%rsp)
         call *%rdi
         four: add $0x28, %rsp
         pop %rbp
         five: pop %rbx
         six: ret",
    );
    code.assert("f", pushed(0));
    code.assert("one", pushed(8));
    code.assert("two", frame(RSP, 24, SavedRegister::AtCfa(-24)));
    code.assert("three", frame(RSP, 64, SavedRegister::AtCfa(-24)));
    code.assert("four", frame(RSP, 64, SavedRegister::AtCfa(-24)));
    code.assert("five", pushed(8));
    code.assert("six", pushed(0));
}

#[test]
fn a_frame_pointer_holds_whatever_is_taken_off_the_stack() {
    let code = Code::assemble(
        "pointer",
        ".fn f
         push %rbp
         mov %rsp, %rbp
         one: sub %rdi, %rsp
         two: and $-32, %rsp
         call *%rsi
         three: leave
         four: ret",
    );
    for label in ["one", "two", "three"] {
        code.assert(label, frame(RBP, 16, SavedRegister::AtCfa(-16)));
    }
    code.assert("four", pushed(0));
}

#[test]
fn a_stack_that_is_aligned_through_another_register() {
    let code = Code::assemble(
        "aligned",
        ".fn f
         lea 8(%rsp), %r10
         and $-32, %rsp
         one: push -8(%r10)
         push %rbp
         mov %rsp, %rbp
         push %r10
         two: sub $0x48, %rsp
         call *%rsi
         three: mov -8(%rbp), %r10
         leave
         lea -8(%r10), %rsp
         four: ret",
    );
    code.assert("one", frame(R10, 0, SavedRegister::Same));
    let kept = Rule::Frame {
        cfa: Cfa::Deref { register: RBP, offset: -8, added: 0 },
        frame_pointer: SavedRegister::AtFramePointer(0),
        rbx: SavedRegister::Lost,
        return_address: ReturnAddress::AtCfa(-8),
    };
    code.assert("two", kept);
    code.assert("three", kept);
    code.assert("four", pushed(0));
}

#[test]
fn jumps_by_a_table_are_followed() {
    let table = ".fn f
         push %rbx
         sub $16, %rsp
         cmp $2, %edi
         ja 9f
         lea table(%rip), %rdx
         movslq (%rdx,%rdi,4), %rax
         add %rdx, %rax
         notrack jmp *%rax
         .p2align 4
         a: mov $1, %ebx
         jmp 9f
         .p2align 4
         b: call *%rsi
         .p2align 4
         c: mov $2, %ebx
         9: add $16, %rsp
         pop %rbx
         ret
         .section .rodata
         table: .long a - table, b - table, c - table
         .long 0x7fffffff";
    let code = Code::assemble("table", table);
    for label in ["a", "b", "c"] {
        code.assert(label, pushed(24));
    }
}

#[test]
fn what_only_unknown_jumps_lead_to_has_no_rule_unless_it_joins_what_has() {
    let code = Code::assemble(
        "unknown",
        ".fn f
         push %rbx
         sub $16, %rsp
         jmp *(%rdi)
         nop
         joins: inc %ebx
         jmp end
         nop
         stays: inc %ebx
         hlt
         nop
         end_of: add $8, %rsp
         ret
         .fn g
         push %rbx
         sub $16, %rsp
         end: add $16, %rsp
         pop %rbx
         ret
         .fn h
         call f
         call g
         ret",
    );
    code.assert("joins", pushed(24));
    code.assert("stays", Rule::Unknown);
    code.assert("end_of", Rule::Unknown);
    code.assert("end", pushed(24));
}

#[test]
fn what_is_behind_a_call_that_does_not_return_is_another_block() {
    let code = Code::assemble(
        "no_return",
        ".fn never
         push %rax
         call *%rdi
         hlt
         .fn f
         test %edi, %edi
         jne bad
         push %rbx
         call *%rsi
         pop %rbx
         ok: ret
         bad: push %rbx
         push %rbx
         call never
         other: mov $1, %eax
         ret
         .fn g
         test %esi, %esi
         jne other
         push %rcx
         call f
         pop %rcx
         ret
         .fn h
         push %rcx
         call g
         pop %rcx
         ret",
    );
    code.assert("bad", pushed(0));
    code.assert("other", pushed(0));
    code.assert("ok", pushed(0));
    code.assert("h", pushed(0));
}

#[test]
fn a_function_that_returns_with_another_stack_has_no_rules() {
    let text = ".fn f
         push %rbx
         inside: mov $1, %eax
         ret
         .fn g
         push %rcx
         call f
         pop %rcx
         ret";
    let code = Code::assemble("unbalanced", text);
    code.assert("f", Rule::Unknown);
    code.assert("inside", Rule::Unknown);
    code.assert("g", pushed(0));
}

#[test]
fn threads_and_processes_begin_without_a_caller() {
    let code = Code::assemble(
        "beginnings",
        ".globl _start
         .fn _start
         xor %rbp, %rbp
         mov %rsp, %rdi
         and $-16, %rsp
         call f
         process: hlt
         .globl clone
         .fn clone
         mov $56, %eax
         syscall
         test %eax, %eax
         jnz 1f
         xor %ebp, %ebp
         pop %rdi
         call *%r9
         thread: mov $60, %eax
         syscall
         hlt
         1: ret
         .fn f
         push %rbp
         xor %ebp, %ebp
         call clone
         is_no_beginning: pop %rbp
         ret",
    );
    code.assert("_start", Rule::Outermost);
    code.assert("process", Rule::Outermost);
    code.assert("thread", Rule::Outermost);
    code.assert("clone", pushed(0));
    code.assert("is_no_beginning", frame(RSP, 16, SavedRegister::AtCfa(-16)));
}

#[test]
fn the_return_from_a_signal_is_known_by_its_instructions() {
    let code = Code::assemble(
        "signal",
        ".fn f
         push %rbx
         pop %rbx
         before: ret
         restore: mov $15, %rax
         syscall
         .fn g
         push %rcx
         call f
         pop %rcx
         ret",
    );
    code.assert("restore", Rule::Signal);
    // No call returns there: the byte before tells.
    code.assert("before", Rule::Unknown);
    code.assert("g", pushed(0));
}

#[test]
fn the_return_address_may_be_in_a_register_for_a_while() {
    let code = Code::assemble(
        "vfork",
        ".fn vfork
         pop %rdx
         held: mov $58, %eax
         syscall
         push %rdx
         back: ret
         .fn g
         push %rcx
         call vfork
         pop %rcx
         ret",
    );
    code.assert(
        "held",
        Rule::Frame {
            cfa: Cfa::Register { register: RSP, offset: 0 },
            frame_pointer: SavedRegister::Same,
            rbx: SavedRegister::Lost,
            return_address: ReturnAddress::In(RDX),
        },
    );
    code.assert("back", pushed(0));
}

#[test]
fn large_frames_are_touched_page_by_page() {
    let code = Code::assemble(
        "probing",
        ".fn f
         lea -0x8000(%rsp), %r11
         1: sub $0x1000, %rsp
         touched: orq $0, (%rsp)
         cmp %r11, %rsp
         jne 1b
         whole: sub $0x18, %rsp
         call *%rdi
         add $0x8018, %rsp
         end: ret",
    );
    code.assert("touched", frame(R11, 0x8008, SavedRegister::Same));
    code.assert("whole", pushed(0x8000));
    code.assert("end", pushed(0));
}

#[test]
fn a_lock_may_be_jumped_over_and_a_barrier_overwrites_nothing() {
    let code = Code::assemble(
        "lock",
        ".fn f
         push %rbx
         test %edi, %edi
         je 1f
         lock
         1: incl (%rsi)
         lock orl $0, 8(%rsp)
         behind: pop %rbx
         ret",
    );
    code.assert("behind", pushed(8));
}

#[test]
fn the_next_address_is_no_function() {
    let code = Code::assemble(
        "next",
        ".fn f
         push %rbx
         call 1f
         1: pop %rax
         behind: pop %rbx
         ret",
    );
    code.assert("behind", pushed(8));
}

#[test]
fn other_functions_are_jumped_to_with_the_stack_as_it_was() {
    let code = Code::assemble(
        "tail",
        ".fn f
         push %rbp
         mov %rdi, %rbp
         call g
         pop %rbp
         tail: jmp g
         .fn g
         push %rbx
         in_g: call *%rdi
         pop %rbx
         ret",
    );
    code.assert("tail", pushed(0));
    code.assert("g", pushed(0));
    code.assert("in_g", pushed(8));
}
