/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The user stack, frame by frame: the mapping that an address lies in leads to the table of its binary, the table to
 * the rule, the rule to the caller. Where there is no table, frame pointers are followed.
 */
#ifndef TG_UNWIND_H
#define TG_UNWIND_H

/* Tables of binaries, each an array of blocks of its own size. User space alone makes, fills and removes them. */
struct tg_unwind_blocks {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_INNER_MAP | BPF_F_MMAPABLE);
	__uint(key_size, sizeof(u32));
	__uint(value_size, sizeof(struct tg_unwind_block));
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, TG_MAX_TABLES);
	__type(key, u32);
	__array(values, struct tg_unwind_blocks);
} tg_tables SEC(".maps");

/* The rules that all tables refer to; mapped by user space, which only ever appends to them. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TG_MAX_RULES);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct tg_unwind_rule);
} tg_rules SEC(".maps");

/*
 * What each program image has mapped executable, by its token and the number of a part (token << 8 | part). The parts
 * of an image are a binary tree; most have one.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, TG_MAX_PARTS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, u64);
	__type(value, struct tg_mapped);
} tg_mapped SEC(".maps");

/* The key of an image's first part, by the word of its process. */
static __always_inline u64 tg_mapped_key(u64 word)
{
	return word >> TG_TOKEN_SHIFT << 8;
}

/* Which addresses have been handed out anew, by the token of the image. User space makes and removes entries. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, u64);
	__type(value, struct tg_areas);
} tg_areas SEC(".maps");

/*
 * A piece of the stack that was read in one go: a read costs some calls within the kernel, and little more if it is long. Of
 * frames so large that it would serve one of them, only the end is read.
 */
#define TG_STACK_WORDS 64
#define TG_FRAME_WORDS 8
struct tg_stack {
	u64 start; /* where it lies */
	u64 bytes; /* how much of it there is */
	u64 words[TG_STACK_WORDS];
};

/* A walk up a stack, in the scratch memory of its CPU: registers of a BPF program do not outlive a frame. */
struct tg_walk {
	struct tg_unwind_registers registers;
	u64 key; /* of part 0 */
	struct tg_range range; /* in which the last frame was found */
	tg_user_regs interrupted; /* registers of the first frame */
	u64 thread; /* where the thread's local storage ends; 0 if that is not known */
	u32 frames;
	u32 most;
	u32 depth;
	u32 ending; /* enum tg_ending */
	bool not_ready; /* frame pointers stood in for a table that is not there yet */
	bool outdated; /* the list is that of an earlier state of the address space */
	bool at_start; /* of a function: nothing holds for the byte before the frame's return address */
	bool not_called; /* the frame that was last left has an address of its own, not that behind a call */
};

/* An outcome of this file alone: the frame is to be looked at once more. */
#define TG_STEP_AGAIN 0x100

static __always_inline const struct tg_unwind_block *tg_unwind_block(struct tg_unwind_table *table, u32 number)
{
	return bpf_map_lookup_elem(table, &number);
}

static __always_inline struct tg_unwind_table *tg_unwind_table(u32 number)
{
	u32 slot = number % TG_MAX_TABLES;

	return bpf_map_lookup_elem(&tg_tables, &slot);
}

static __always_inline const struct tg_unwind_rule *tg_unwind_rule(u32 number)
{
	return bpf_map_lookup_elem(&tg_rules, &number);
}

static __always_inline int tg_read_user(void *to, u32 bytes, u64 address)
{
	return bpf_probe_read_user(to, bytes, (const void *)address);
}

static __always_inline int tg_read_stack(struct tg_stack *stack, u64 address, u64 *word)
{
	u64 at = address - stack->start;

	if (address % sizeof(*word))
		return tg_read_user(word, sizeof(*word), address);
	if (at >= stack->bytes) {
		u32 bytes = at < 2 * sizeof(stack->words) ? sizeof(stack->words) : TG_FRAME_WORDS * sizeof(*word);

		stack->start = address;
		stack->bytes = 0;
		/* At the end of a stack there may be nothing behind it. */
		if (tg_read_user(stack->words, bytes, address))
			return tg_read_user(word, sizeof(*word), address);
		stack->bytes = bytes;
		at = 0;
	}
	*word = stack->words[tg_within(at / sizeof(*word), TG_STACK_WORDS)];
	return 0;
}

/* 1 if a <= b, else 0; both below 2^63, as the addresses of user space are. */
static __always_inline u32 tg_address_at_most(u64 a, u64 b)
{
	u64 difference = b - a;

	barrier_var(difference);
	return (~difference >> 63) & 1;
}

enum tg_where {
	TG_WHERE_FOUND,
	TG_WHERE_UNMAPPED, /* in no executable mapping that is known */
	TG_WHERE_NOBODY, /* nothing is known of this image's mappings yet */
};

/* Leaves the mapping that an address lies in at `walk->range`. */
static __always_inline enum tg_where tg_find_range(struct tg_walk *walk, u64 pc)
{
	struct tg_mapped *part = NULL;
	struct tg_range *range;
	u64 key = walk->key;
	u32 at = 0, bit, level;

	if (walk->outdated)
		return TG_WHERE_NOBODY;
	if (pc - walk->range.start < walk->range.end - walk->range.start)
		return TG_WHERE_FOUND;
	for (level = 0; level < TG_PART_LEVELS; level++) {
		u32 next;

		part = bpf_map_lookup_elem(&tg_mapped, &key);
		if (!part)
			return level ? TG_WHERE_UNMAPPED : TG_WHERE_NOBODY;
		if (pc < part->low)
			next = part->left;
		else if (pc >= part->high)
			next = part->right;
		else
			break;
		if (!next)
			return TG_WHERE_UNMAPPED;
		key = walk->key | (next & 0xff);
	}
	if (!part)
		return TG_WHERE_UNMAPPED;
#pragma unroll
	for (bit = TG_PART_RANGES / 2; bit; bit /= 2)
		at += bit * tg_address_at_most(part->ranges[tg_within(at + bit, TG_PART_RANGES)].start, pc);
	range = &part->ranges[tg_within(at, TG_PART_RANGES)];
	if (pc < range->start || pc >= range->end)
		return TG_WHERE_UNMAPPED;
	walk->range = *range;
	return TG_WHERE_FOUND;
}

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

#if defined(__TARGET_ARCH_x86)
/* A register of the interrupted frame by its DWARF number, 0 to 15. The stack pointer is not asked for. */
static __always_inline u64 *tg_interrupted_register(struct tg_walk *walk, u32 number)
{
	/* Where in pt_regs each is: four bits a register, the first one lowest. */
	u32 slot = 0x01236789f4ed5bcaULL >> (number % 16 * 4) & 15;

	return &((u64 *)&walk->interrupted)[tg_within(slot, 16)];
}
#else
static __always_inline u64 *tg_interrupted_register(struct tg_walk *walk, u32 number)
{
	return NULL;
}
#endif

/* rax, rdx, rcx, rsi, rdi, r8 to r11 by their DWARF numbers: compilers take it that a call changes them. */
#define TG_CHANGED_BY_CALLS 0xf37

/*
 * Whether the frame that has called the interrupted one finds its own by such a register. A compiler's does not: this one is
 * written by hand, and calls what leaves the register alone.
 */
static __always_inline bool tg_outlives_call(struct tg_walk *walk, const struct tg_unwind_rule *rule)
{
	return rule->kind == TG_RULE_REGISTER && TG_CHANGED_BY_CALLS >> (rule->reg & 31) & 1 && !walk->registers.exact;
}

/* Whether the register by which a rule finds its frame is still what it was when the thread was interrupted. */
static __always_inline bool tg_is_in_register(struct tg_walk *walk, const struct tg_unwind_rule *rule)
{
	return !walk->depth || (walk->depth == 1 && tg_outlives_call(walk, rule)) ||
	       (rule->reg == TG_DWARF_RBX && walk->registers.rbx_at == TG_IN_REGISTER);
}

static __always_inline int tg_step_by_table(struct tg_walk *walk, struct tg_stack *stack, struct tg_found *found,
					    u64 pc)
{
	const struct tg_unwind_rule *rule;
	u64 *other = NULL;
	u32 number;

	if (!tg_find_rule(found, walk->range.table, pc - walk->range.start + walk->range.position, &number))
		return TG_STEP_UNKNOWN;
	rule = tg_unwind_rule(number);
	if (!rule)
		return TG_STEP_UNKNOWN;
	if (tg_is_in_register(walk, rule))
		other = tg_interrupted_register(walk, rule->reg);
	return tg_step(rule, &walk->registers, stack, other, walk->thread);
}

/*
 * What a signal handler returns to, where nothing describes it: in musl's library, in Go's runtime. It is known by its
 * instructions, `mov $15, %rax; syscall`, as debuggers know it.
 */
static __always_inline bool tg_is_signal_return(u64 pc)
{
	u64 instructions;

	return !tg_read_user(&instructions, sizeof(instructions), pc) && instructions == 0x0f0000000fc0c748ULL;
}

/*
 * Whether a call returns to an address, `e8` and where it leads from here. The last of a function, which does not return, returns to
 * the next function.
 */
static __always_inline bool tg_is_behind_call(u64 pc)
{
	u64 before;

	return !tg_read_user(&before, sizeof(before), pc - sizeof(before)) && (before >> 24 & 0xff) == 0xe8;
}

/*
 * Up from a frame. Where the byte before a return address is no function's, no call has put it there. It is that of a signal's
 * frame, or of a function that something has been made to look as if it came from, as a context's first function. That function's
 * frame is the last one. The walk looks at such a frame twice.
 */
static __always_inline int tg_step_up(struct tg_walk *walk, struct tg_stack *stack, struct tg_found *found)
{
	bool second = walk->at_start, was_exact = walk->registers.exact && !second;
	u64 pc = walk->registers.exact ? walk->registers.pc : walk->registers.pc - 1;
	int outcome = TG_STEP_UNKNOWN;
	bool described = false;

	walk->at_start = false;
	walk->not_called = false;
	switch (tg_find_range(walk, pc)) {
	case TG_WHERE_UNMAPPED:
		return TG_ENDING_UNMAPPED;
	case TG_WHERE_NOBODY:
		walk->not_ready = true;
		break;
	case TG_WHERE_FOUND:
		if (walk->range.table == TG_TABLE_AWAITED)
			walk->not_ready = true;
		else
			described = walk->range.table != TG_TABLE_NONE;
		break;
	}
	if (described)
		outcome = tg_step_by_table(walk, stack, found, pc);
	if (outcome != TG_STEP_UNKNOWN) {
		/* Behind a signal's frame the address is exact. */
		bool is_signal = outcome == TG_STEP_DONE && walk->registers.exact == TG_EXACT;

		walk->not_called = !was_exact && (second || is_signal);
		return second && !is_signal ? TG_STEP_OUTERMOST : outcome;
	}
	if (second) {
		walk->registers.exact = TG_EXACT_NOT;
	} else if (was_exact) {
		outcome = tg_step_without_frame(&walk->registers, stack);
		if (outcome != TG_STEP_UNKNOWN)
			return outcome;
	} else if (walk->depth) {
		if (tg_is_signal_return(walk->registers.pc)) {
			walk->not_called = true;
			return tg_step_signal(&walk->registers);
		}
		if (described && !tg_is_behind_call(walk->registers.pc)) {
			walk->at_start = true;
			walk->registers.exact = TG_EXACT;
			return TG_STEP_AGAIN;
		}
	}
	return tg_step_by_frame_pointer(&walk->registers, stack, described);
}

#endif
