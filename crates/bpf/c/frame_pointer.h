/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* From frame to frame where no table says anything: along frame pointers. */
#ifndef TG_FRAME_POINTER_H
#define TG_FRAME_POINTER_H

/* No frame is larger; what is farther away is another stack. */
#define TG_MAX_FRAME_BYTES (8ULL << 20)
/* What is farther below the end of a process's first stack is no part of it. */
#define TG_MAX_STACK_BYTES (8ULL << 20)

/* How far below its stack's upper end the first function of a process may have its frame. */
#define TG_FIRST_FRAME_BYTES 64

/*
 * Whether a frame pointer or a return address of 0 says that this is where the stack begins. A process's first thread has its stack's
 * end in the books. On other stacks code that belongs to a binary is believed; generated code begins no stack, and has in the register
 * whatever it likes.
 */
static __always_inline bool tg_begins_here(u64 sp, bool of_binary)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct mm_struct *mm = task->mm;
	u64 below = mm ? mm->start_stack - sp : ~0ULL;

	return task->pid == task->tgid && below <= TG_MAX_STACK_BYTES ? below <= TG_FIRST_FRAME_BYTES : of_binary;
}

static __always_inline int tg_end_by_zero(const struct tg_unwind_registers *registers, bool of_binary)
{
	return tg_begins_here(registers->sp, of_binary) ? TG_STEP_OUTERMOST : TG_STEP_UNKNOWN;
}

/* `push %rbp; mov %rsp, %rbp` in both its forms, and what may stand before it. */
#define TG_CODE_PUSH 0x55
#define TG_CODE_MOVE 0xe58948
#define TG_CODE_OTHER_MOVE 0xec8b48
#define TG_CODE_ENDBR 0xfa1e0ff3
#define TG_CODE_RETURN 0xc3
#define TG_CODE_RETURN_AND_POP 0xc2

static __always_inline bool tg_is_move(u64 code)
{
	code &= 0xffffff;
	return code == TG_CODE_MOVE || code == TG_CODE_OTHER_MOVE;
}

/*
 * How far above the stack pointer an interrupted function that keeps a frame pointer has its return address while the frame pointer
 * is its caller's: before and behind `push %rbp`, and where it returns. -1 anywhere else.
 */
static __always_inline s64 tg_return_address_without_frame(u64 pc)
{
	u64 code, before;

	if (tg_read_user(&code, sizeof(code), pc))
		return -1;
	if ((code & 0xff) == TG_CODE_RETURN || (code & 0xff) == TG_CODE_RETURN_AND_POP)
		return 0;
	if ((u32)code == TG_CODE_ENDBR)
		code >>= 32;
	if ((code & 0xff) == TG_CODE_PUSH && tg_is_move(code >> 8))
		return 0;
	if (tg_is_move(code) && !tg_read_user(&before, sizeof(before), pc - sizeof(before)) && before >> 56 == TG_CODE_PUSH)
		return sizeof(u64);
	return -1;
}

/* Up from an interrupted function that has no frame of its own yet or any more; TG_STEP_UNKNOWN if it has one. */
static __always_inline int tg_step_without_frame(struct tg_unwind_registers *registers, struct tg_stack *stack)
{
	s64 above = tg_return_address_without_frame(registers->pc);
	u64 pc;

	if (above < 0)
		return TG_STEP_UNKNOWN;
	if (tg_read_stack(stack, registers->sp + above, &pc))
		return TG_STEP_UNREADABLE;
	registers->sp += above + sizeof(pc);
	registers->pc = pc;
	registers->rbx_at = 0;
	registers->exact = TG_EXACT_NOT;
	return pc ? TG_STEP_DONE : TG_STEP_UNKNOWN;
}

/*
 * From a frame to its caller along frame pointers: what just-in-time compilers and some languages keep. Where they do not, nothing is
 * known of the frame.
 */
static __always_inline int tg_step_by_frame_pointer(struct tg_unwind_registers *registers, struct tg_stack *stack, bool of_binary)
{
	u64 fp, pc;

	if (!registers->fp_known)
		return TG_STEP_UNKNOWN;
	if (!registers->fp)
		return tg_end_by_zero(registers, of_binary);
	if (registers->fp < registers->sp || registers->fp - registers->sp > TG_MAX_FRAME_BYTES)
		return TG_STEP_UNKNOWN;
	if (tg_read_stack(stack, registers->fp, &fp) || tg_read_stack(stack, registers->fp + 8, &pc))
		return TG_STEP_UNKNOWN;
	registers->sp = registers->fp + 16;
	registers->fp = fp;
	registers->pc = pc;
	registers->rbx_at = 0;
	registers->exact = TG_EXACT_NOT;
	return pc ? TG_STEP_DONE : tg_end_by_zero(registers, of_binary);
}

#endif
